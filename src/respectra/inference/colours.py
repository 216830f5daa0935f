"""Each colour of a picture computed once, for methods that look at one pixel at a time.

A photograph of eight million pixels has a few hundred thousand colours. Colours are told apart by
the bits of their values, so that nothing is rounded and pictures of any depth can be asked.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from respectra.inference.tiling import Layout, Reader
from respectra.methods import Tiling
from respectra.threads import for_blocks
from respectra.typing import Float32Array

Bits = npt.NDArray[np.uint32]
#: Pictures from this many pixels on are looked through for colours that they share.
LEAST_PIXELS = 1 << 16
#: Colours are worth it where there are at most this many of them for each pixel.
_WORTH = 0.5
#: Colours lie in rows of this length: networks take pictures.
_ROW = 2048
#: Pixels that are looked through together. Fixed, so that the answer depends on no thread count.
_BLOCK = 1 << 19
#: Pixels that one thread fills at a time.
_FILLED = 1 << 16
#: Colours of several tiles that are told apart together, besides those that are known.
_JOINED = 1 << 20
#: Groups that the colours of several blocks are dealt into, a power of two.
_GROUPS = 8
#: Colours that are computed together: their maps fit memory that is used again and again.
TOGETHER = 1 << 17
#: Odd numbers that mix the bits of three channels.
_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)


@dataclass(frozen=True)
class Colours:
    """The colours of some pixels."""

    values: Float32Array
    """Shape (colour, 3), each once."""
    number: npt.NDArray[np.int32]
    """Shape (pixel,): which of them each pixel has."""

    def counts(self) -> npt.NDArray[np.int64]:
        """How many pixels have each."""
        return np.bincount(self.number, minlength=len(self.values))


def find_colours(pixels: Float32Array) -> Colours | None:
    """The colours of a piece of a picture, (y, x, 3); None where looking for them gains nothing."""
    count = pixels.shape[0] * pixels.shape[1]
    if count < LEAST_PIXELS:
        return None
    bits = np.ascontiguousarray(pixels, np.float32).view(np.uint32).reshape(-1, 3)
    number = np.empty(count, np.int32)
    found: list[Bits | None] = [None] * -(-count // _BLOCK)

    def look(start: int, stop: int) -> None:
        most = int((stop - start) * _WORTH) + 1
        loaded = "respectra.inference.colour_kernels" in sys.modules
        work = _number_many if loaded or count > _BLOCK else _number_few
        found[start // _BLOCK] = work(bits[start:stop], most, number[start:stop])

    for_blocks(look, count, _BLOCK)
    parts = [part for part in found if part is not None]
    if len(parts) < len(found):
        return None
    values = parts[0] if len(parts) == 1 else _merged(parts, number)
    return Colours(values.view(np.float32), number)


def _merged(parts: list[Bits], number: npt.NDArray[np.int32]) -> Bits:
    """The colours of all blocks, each once; the pixels get new numbers."""
    from respectra.inference.colour_kernels import renumber

    colours, known = _numbered(np.concatenate(parts))
    firsts = np.cumsum([0, *(len(part) for part in parts)])
    for_blocks(
        lambda a, b: renumber(number[a:b], int(firsts[a // _BLOCK]), known), len(number), _BLOCK
    )
    return colours


def _numbered(rows: Bits) -> tuple[Bits, npt.NDArray[np.int32]]:
    """The distinct rows, and each row's number.

    Rows are dealt into groups that know nothing of one another, a thread each.
    """
    from respectra.inference import colour_kernels as kernels

    counts = np.zeros(_GROUPS, np.int64)
    kernels.count_groups(rows, counts)
    known = np.empty(len(rows), np.int32)
    keys = [np.empty((int(count), 3), np.uint32) for count in counts]
    found = np.zeros(_GROUPS, np.int64)

    def look(start: int, stop: int) -> None:
        for group in range(start, stop):
            slots = np.full(1 << int(2 * counts[group]).bit_length(), -1, np.int32)
            found[group] = kernels.number_rows(rows, keys[group], slots, known, group, _GROUPS)

    for_blocks(look, _GROUPS, 1)
    starts = (np.cumsum(found) - found).astype(np.int32)
    for_blocks(lambda a, b: kernels.shift_groups(rows[a:b], starts, known[a:b]), len(rows), _BLOCK)
    return np.concatenate([key[:n] for key, n in zip(keys, found, strict=True)]), known


#: Colours, shape (colour, 3), and how many pixels have each.
ColourCounts = tuple[Float32Array, npt.NDArray[np.int64]]


def join_colours(values: Float32Array, counts: npt.NDArray[np.int64]) -> ColourCounts:
    """Colours that may repeat, (colour, 3), and how often each occurs: the same, each once."""
    colours, number = _numbered(np.ascontiguousarray(values, np.float32).view(np.uint32))
    total = np.zeros(len(colours), np.int64)
    np.add.at(total, number, counts)
    return colours.view(np.float32), total


def count_colours(pixels: Float32Array) -> ColourCounts:
    """The colours of a piece of a picture, (y, x, 3), each once."""
    found = find_colours(np.ascontiguousarray(pixels, np.float32))
    if found is None:
        count = pixels.shape[0] * pixels.shape[1]
        return join_colours(pixels.reshape(-1, 3), np.ones(count, np.int64))
    return found.values, found.counts()


def join_counts(parts: Sequence[ColourCounts]) -> ColourCounts:
    """The colours of several pieces, each once."""
    values, counts = zip(*parts, strict=True)
    return join_colours(np.concatenate(values), np.concatenate(counts))


def _number_many(bits: Bits, most: int, number: npt.NDArray[np.int32]) -> Bits | None:
    """The distinct rows in the order of their appearance, each row's number; None: too many."""
    from respectra.inference.colour_kernels import number_rows

    keys = np.empty((most, 3), np.uint32)
    slots = np.full(1 << (2 * most - 1).bit_length(), -1, np.int32)
    seen = number_rows(bits, keys, slots, number)
    return keys[:seen] if seen >= 0 else None


def _number_few(bits: Bits, most: int, number: npt.NDArray[np.int32]) -> Bits | None:
    """The same in NumPy: of small pictures it takes less time than loading the compiler."""
    wide = bits.astype(np.uint64) * _MIX
    keys = wide[:, 0] ^ wide[:, 1] ^ wide[:, 2]
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    if not np.array_equal(bits[first][which], bits):  # two colours of one key
        _, first, which = np.unique(bits, axis=0, return_index=True, return_inverse=True)
    if len(first) > most:
        return None
    order = np.argsort(first)
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    number[:] = rank[which.reshape(-1)]
    return bits[first[order]]


def in_rows(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Colours, (colour, ...), as a picture: (y, x, ...). The last one fills the last row."""
    width = min(_ROW, len(values))
    missing = -len(values) % width
    if missing:
        values = np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])
    return values.reshape(-1, width, *values.shape[1:])


def weighted_rows(
    values: Float32Array, counts: npt.NDArray[np.int64]
) -> tuple[Float32Array, Float32Array]:
    """Colours as a picture, (y, x, 3), and how many pixels each stands for, (y, x)."""
    picture = in_rows(values)
    weight = np.zeros(picture.shape[:2], np.float32)
    weight.reshape(-1)[: len(counts)] = counts
    return picture, weight


class ColourFinder:
    """Finds the colours of pieces; those of the last piece are not looked for again.

    Means over a picture that is one piece, and the answer to it, are taken of the same colours.
    """

    def __init__(self) -> None:
        self._pixels: Float32Array | None = None
        self._found: Colours | None = None

    def __call__(self, pixels: Float32Array) -> Colours | None:
        """As :func:`find_colours`."""
        if pixels is not self._pixels:
            self._found = find_colours(pixels)
            self._pixels = pixels
        return self._found


class ReadOnce:
    """A reader of a picture that is one piece; whatever is asked of it, the piece is read once."""

    def __init__(self, read: Reader, layout: Layout) -> None:
        self._read, self._all = read, (slice(0, layout.height), slice(0, layout.width))
        self._whole: Float32Array | None = None

    def __call__(self, rows: slice, columns: slice) -> Float32Array:
        """What is asked of it."""
        if self._whole is None:
            self._whole = self._read(*self._all)
        return self._whole if (rows, columns) == self._all else self._whole[rows, columns]


class ByColour:
    """A predictor that computes each colour of a piece once.

    ``predict`` looks at one pixel at a time, (y, x, 3) -> (y, x, band); ``finish`` is the last that
    is done to spectra, of each colour once.
    """

    def __init__(
        self,
        predict: Any,
        find: Callable[[Float32Array], Colours | None] = find_colours,
        finish: Callable[[Float32Array], Float32Array] = lambda spectra: spectra,
    ) -> None:
        self._predict, self._find, self._finish = predict, find, finish

    def __call__(self, pixels: Float32Array) -> Float32Array:
        """(y, x, 3) -> (y, x, band), float32."""
        colours = self._find(pixels)
        if colours is None:
            return self._computed(pixels)
        picture = self._computed(in_rows(colours.values))
        table = picture.reshape(-1, picture.shape[2])
        out = np.empty((len(colours.number), table.shape[1]), np.float32)
        fill(table, colours.number, out)
        return out.reshape(*pixels.shape[:2], -1)

    def _computed(self, pixels: Float32Array) -> Float32Array:
        """All pixels, some rows at a time."""
        height, rows = len(pixels), layout_of_colours(*pixels.shape[:2]).sides[0]
        out: Float32Array | None = None
        for start in range(0, height, rows):
            part = self._finish(self._predict(pixels[start : start + rows]))
            if rows >= height:
                return np.ascontiguousarray(part, np.float32)
            if out is None:
                out = np.empty((height, *part.shape[1:]), np.float32)
            out[start : start + rows] = part
        assert out is not None
        return out


def layout_of_colours(rows: int, width: int) -> Layout:
    """How a picture of colours is cut."""
    return Layout(rows, width, Tiling.STATISTICS, (min(rows, max(1, TOGETHER // width)), width))


def same_rows(table: Float32Array, number: npt.NDArray[np.int32], rows: Float32Array) -> bool:
    """Whether ``rows`` are ``table[number]``."""
    from respectra.inference.colour_kernels import same_rows as compare

    return bool(compare(table, number, rows))


def fill(table: Float32Array, number: npt.NDArray[np.int32], out: Float32Array) -> None:
    """``out = table[number]``, on all threads where it is much."""
    if len(out) <= _BLOCK:
        np.take(table, number, axis=0, out=out, mode="clip")
        return
    from respectra.inference.colour_kernels import fill_rows

    for_blocks(
        lambda start, stop: fill_rows(table, number[start:stop], out[start:stop]),
        len(out),
        _FILLED,
    )


def weighted_picture(
    read: Reader,
    layout: Layout,
    find: Callable[[Float32Array], Colours | None] = find_colours,
) -> tuple[Float32Array, Float32Array, Layout] | None:
    """A picture of the colours of a picture, and how often each counts: for means over pixels.

    The layout is one of tiles without a halo; ``find`` finds the colours of one.

    Returns:
        (y, x, 3), (y, x), and how that is cut; None where a tile has too many colours.
    """
    values: list[Float32Array] = []
    counts: list[npt.NDArray[np.int64]] = []
    joined = 0
    for tile in layout.tiles():
        colours = find(read(*tile.keep))
        if colours is None:
            return None
        values.append(colours.values)
        counts.append(colours.counts())
        if sum(map(len, values)) > 2 * joined + _JOINED:
            colour, often = join_colours(np.concatenate(values), np.concatenate(counts))
            values, counts, joined = [colour], [often], len(colour)
    colour, often = values[0], counts[0]
    if len(values) > 1:
        colour, often = join_colours(np.concatenate(values), np.concatenate(counts))
    picture, weight = weighted_rows(colour, often)
    return picture, weight, layout_of_colours(*picture.shape[:2])
