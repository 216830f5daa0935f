"""Each colour of a picture computed once, for methods that look at one pixel at a time.

A photograph of eight million pixels has a few hundred thousand colours. Colours are told apart by
the bits of their values, so that nothing is rounded and pictures of any depth can be asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from respectra.inference.tiling import Layout, Reader
from respectra.methods import Tiling
from respectra.notices import watch_compiler
from respectra.threads import for_blocks
from respectra.typing import Float32Array

watch_compiler()

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


@dataclass(frozen=True)
class Colours:
    """The colours of some pixels."""

    values: Float32Array
    """Shape (colour, 3). Blocks of the picture may repeat a colour."""
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
    found: list[npt.NDArray[np.uint32] | None] = [None] * -(-count // _BLOCK)

    def look(start: int, stop: int) -> None:
        keys = np.empty((int((stop - start) * _WORTH) + 1, 3), np.uint32)
        slots = np.full(1 << (2 * len(keys) - 1).bit_length(), -1, np.int32)
        seen = _number(bits[start:stop], keys, slots, number[start:stop])
        found[start // _BLOCK] = keys[:seen] if seen >= 0 else None

    for_blocks(look, count, _BLOCK)
    parts = [part for part in found if part is not None]
    if len(parts) < len(found):
        return None
    first = 0
    for index, part in enumerate(parts):
        number[index * _BLOCK : (index + 1) * _BLOCK] += first
        first += len(part)
    return Colours(np.concatenate(parts).view(np.float32), number)


def in_rows(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Colours, (colour, ...), as a picture: (y, x, ...). The last one fills the last row."""
    width = min(_ROW, len(values))
    missing = -len(values) % width
    if missing:
        values = np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])
    return values.reshape(-1, width, *values.shape[1:])


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


class ByColour:
    """A predictor that computes each colour of a piece once.

    Args:
        predict: looks at one pixel at a time: (y, x, 3) -> (y, x, band).
        find: finds the colours of a piece.
    """

    def __init__(
        self, predict: Any, find: Callable[[Float32Array], Colours | None] = find_colours
    ) -> None:
        self._predict, self._find = predict, find

    def __call__(self, pixels: Float32Array) -> Float32Array:
        """(y, x, 3) -> (y, x, band), float32."""
        colours = self._find(pixels)
        if colours is None:
            answer: Float32Array = self._predict(pixels)
            return answer
        picture = self._predict(in_rows(colours.values))
        table = np.ascontiguousarray(picture, np.float32).reshape(-1, picture.shape[2])
        out = np.empty((len(colours.number), table.shape[1]), np.float32)
        for_blocks(
            lambda start, stop: _fill(table, colours.number[start:stop], out[start:stop]),
            len(out),
            _FILLED,
        )
        return out.reshape(*pixels.shape[:2], -1)


def weighted_picture(
    read: Reader,
    layout: Layout,
    find: Callable[[Float32Array], Colours | None] = find_colours,
) -> tuple[Float32Array, Float32Array, Layout] | None:
    """A picture of the colours of a picture, and how often each counts: for means over pixels.

    Args:
        read: gives the picture's pixels as the method expects them.
        layout: how it is cut; tiles without a halo.
        find: finds the colours of a tile.

    Returns:
        (y, x, 3), (y, x), and how that is cut; None where a tile has too many colours.
    """
    values, counts = [], []
    for tile in layout.tiles():
        colours = find(read(*tile.keep))
        if colours is None:
            return None
        values.append(colours.values)
        counts.append(colours.counts().astype(np.float32))
    picture = in_rows(np.concatenate(values))
    weight = np.zeros(picture.shape[:2], np.float32)
    flat = np.concatenate(counts)
    weight.reshape(-1)[: len(flat)] = flat
    rows, width = picture.shape[:2]
    return picture, weight, Layout(rows, width, Tiling.STATISTICS, (width, width))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _number(bits: Any, keys: Any, slots: Any, number: Any) -> int:
    """Number the distinct rows of bits in the order of their appearance; -1: too many.

    Open addressing: ``slots`` holds the number of a key, or -1.
    """
    mask, count, last = np.int64(len(slots) - 1), 0, -1
    for i in range(len(bits)):
        a, b, c = bits[i, 0], bits[i, 1], bits[i, 2]
        if last >= 0 and keys[last, 0] == a and keys[last, 1] == b and keys[last, 2] == c:
            number[i] = last
            continue
        mixed = np.uint64(a) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= np.uint64(b) * np.uint64(0xC2B2AE3D27D4EB4F)
        mixed ^= np.uint64(c) * np.uint64(0x165667B19E3779F9)
        slot = np.int64(mixed >> np.uint64(29)) & mask
        while True:
            known = slots[slot]
            if known < 0:
                if count == len(keys):
                    return -1
                slots[slot] = count
                keys[count, 0], keys[count, 1], keys[count, 2] = a, b, c
                last = count
                count += 1
                break
            if keys[known, 0] == a and keys[known, 1] == b and keys[known, 2] == c:
                last = known
                break
            slot = (slot + 1) & mask
        number[i] = last
    return count


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fill(table: Any, number: Any, out: Any) -> None:
    for i in range(len(number)):
        row = number[i]
        for band in range(table.shape[1]):
            out[i, band] = table[row, band]
