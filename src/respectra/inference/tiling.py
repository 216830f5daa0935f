"""Cutting a picture into tiles, and putting the results together."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from respectra.errors import ConfigError
from respectra.inference.memory import Budget, format_bytes
from respectra.methods import Card, Tiling
from respectra.typing import Float32Array

Region = tuple[slice, slice]
#: A function of pixels as the contract prepares them, (y, x, 3) -> (y, x, value).
Predictor = Callable[[Float32Array], Float32Array]
#: Reads rows and columns of a picture as the method expects them: (y, x, 3).
Reader = Callable[[slice, slice], Float32Array]
#: Rows and columns of pieces, with their spectra.
Pieces = Generator[tuple[Region, Float32Array], None, None]
#: A tile answers for no more than this many rows and columns: larger ones gain nothing.
LARGEST_SIDE = 2048
#: Chosen tiles are not smaller than this; only a side that the user gives is.
SMALLEST_SIDE = 16
#: Larger chosen sides are multiples of this, so that files can be chunked alike.
ROUND_SIDE = 64
#: Tiles that are blended see at least this many rows and columns, unless the user says otherwise:
#: from less, what a method takes for the whole image is a detail.
SMALLEST_VIEW = 128
#: Rows and columns over which neighbouring tiles are blended.
OVERLAP = 64


@dataclass(frozen=True)
class Tile:
    """A piece of a picture: what is read, and the part of the result that is kept."""

    read: Region
    """Rows and columns of the picture that the method sees, halo included."""
    keep: Region
    """Rows and columns of the picture that this tile answers for."""

    @property
    def corner(self) -> tuple[int, int]:
        """First row and column of what is kept: the tile's name in its layout."""
        return self.keep[0].start, self.keep[1].start

    @property
    def inner(self) -> Region:
        """The kept part, counted from the corner of what is read."""
        (ry, rx), (ky, kx) = self.read, self.keep
        return (
            slice(ky.start - ry.start, ky.stop - ry.start),
            slice(kx.start - rx.start, kx.stop - rx.start),
        )


@dataclass(frozen=True)
class Layout:
    """How a picture is cut for a method.

    The kept parts form a grid that begins at the top left, whatever the policy; so they can be
    written into a chunked file as they come.
    """

    height: int
    width: int
    policy: Tiling
    sides: tuple[int, int]
    """Rows and columns between the beginnings of tiles."""
    halo: int = 0
    """Rows and columns that a tile sees on each side beyond those it answers for."""
    overlap: int = 0
    """Rows and columns that it shares with the next tile, for Tiling.APPROXIMATE."""

    @property
    def whole(self) -> bool:
        """Whether one piece is the whole picture."""
        return self.policy is not Tiling.NATIVE and self.count == 1

    @property
    def count(self) -> int:
        """Number of tiles."""
        return len(self._along(0)) * len(self._along(1))

    @property
    def largest_read(self) -> int:
        """Pixels that the largest tile reads."""
        if self.policy is Tiling.NATIVE:
            return self.sides[0] * self.sides[1]
        rows, columns = (max(r.stop - r.start for r, _ in self._along(axis)) for axis in (0, 1))
        return int(rows * columns)

    def tiles(self) -> Iterator[Tile]:
        """Tiles row by row; their kept parts cover the picture once."""
        for rows, keep_rows in self._along(0):
            for columns, keep_columns in self._along(1):
                yield Tile(read=(rows, columns), keep=(keep_rows, keep_columns))

    def _along(self, axis: int) -> list[tuple[slice, slice]]:
        """What the tiles read and keep along one axis."""
        length, side = (self.height, self.width)[axis], self.sides[axis]
        count = max(1, -(-(length - self.overlap) // side))
        spans = []
        for i in range(count):
            start, stop = i * side, length if i == count - 1 else (i + 1) * side
            low = max(0, start - self.halo)
            high = min(length, stop + self.halo + self.overlap)
            spans.append((slice(low, high), slice(start, stop)))
        return spans


def plan(
    height: int,
    width: int,
    card: Card,
    *,
    halo: int | None,
    side: int | None = None,
    budget: Budget | None = None,
) -> Layout:
    """Choose how to cut a picture.

    Args:
        height, width: of the picture.
        card: of the method.
        halo: radius of its receptive field, pixels; None when unbounded.
        side: rows and columns that a tile answers for; None for the largest that fits.
        budget: what a piece may take; None when there is no limit.

    Raises:
        ConfigError: the memory is too small for the least tile; says what would do.
    """
    multiple = card.size_multiple

    def layout_of(side: int) -> Layout:
        if card.tiling is Tiling.APPROXIMATE or halo is None:
            return _overlapping(height, width, max(side, card.size_minimum), card)
        side = round_up(side, multiple)
        # Fast convolutions work on squares of 4 pixels: tiles that begin there round alike.
        reach = round_up(halo, math.lcm(multiple, 4))
        return Layout(height, width, card.tiling, (side, side), halo=reach)

    def fits(layout: Layout) -> bool:
        return budget is None or budget.allows(layout.largest_read)

    if card.tiling is Tiling.NATIVE and card.native_tile is not None:
        native = (card.native_tile, card.native_tile)
        return checked(Layout(height, width, Tiling.NATIVE, native), card, budget)
    whole = Layout(height, width, card.tiling, (height, width))
    if card.tiling is Tiling.WHOLE:
        return checked(whole, card, budget)
    if side is not None:
        return checked(layout_of(side), card, budget)
    if fits(whole) and max(height, width) <= LARGEST_SIDE:
        return whole
    blended = card.tiling is Tiling.APPROXIMATE
    least = max(SMALLEST_VIEW, card.size_minimum) if blended else SMALLEST_SIDE
    checked(layout_of(least), card, budget)
    low, high = -(-least // multiple), LARGEST_SIDE // multiple
    while low < high:  # the largest multiple that fits
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(layout_of(middle * multiple)) else (low, middle - 1)
    side = low * multiple
    return layout_of(side // ROUND_SIDE * ROUND_SIDE if side > ROUND_SIDE else side)


def checked(layout: Layout, card: Card, budget: Budget | None) -> Layout:
    """The layout, when its largest tile stays within the budget.

    Raises:
        ConfigError: it does not; says what would do.
    """
    if budget is not None and not budget.allows(layout.largest_read):
        raise ConfigError(
            f"{format_bytes(budget.limit)} of memory is too little for {card.name}: a tile of "
            f"{layout.largest_read:,} pixels takes {format_bytes(budget.of(layout.largest_read))} "
            "with what the process holds already; give at least that"
        )
    return layout


def _overlapping(height: int, width: int, side: int, card: Card) -> Layout:
    """Tiles of about equal size that share a strip with each neighbour."""
    multiple = card.size_multiple
    overlap = round_up(max(1, min(OVERLAP, side // 4)), multiple)
    sides = []
    for length in (height, width):
        count = max(1, -(-(length - overlap) // max(side, overlap)))
        sides.append(max(overlap, round_up(-(-(length - overlap) // count), multiple)))
    return Layout(height, width, card.tiling, (sides[0], sides[1]), overlap=overlap)


def round_up(value: int, multiple: int) -> int:
    """The next multiple that is not below the value."""
    return -(-value // multiple) * multiple


def run(
    predict: Predictor,
    read: Reader,
    layout: Layout,
    *,
    done: frozenset[tuple[int, int]] = frozenset(),
) -> Iterator[tuple[Region, Float32Array]]:
    """Spectra of a picture in pieces that cover it once, row by row.

    Args:
        predict: the method; takes (y, x, 3) of any size, for Tiling.NATIVE of its own size.
        read: gives the pixels as the method expects them.
        layout: how the picture is cut.
        done: first row and column of pieces that are not wanted again.
    """
    if layout.overlap and not layout.whole:
        yield from _run_blended(predict, read, layout, done)
        return
    tiles = (tile for tile in layout.tiles() if tile.corner not in done)
    if layout.policy is Tiling.NATIVE:
        yield from _run_native(predict, read, layout, tiles)
        return
    for tile in tiles:
        yield tile.keep, predict(read(*tile.read))[tile.inner]


def gathered(pieces: Pieces, layout: Layout) -> Float32Array:
    """The spectra of all pieces, (y, x, band); the pieces are closed, whatever happens."""
    with contextlib.closing(pieces):
        if layout.whole:
            return next(pieces)[1]
        whole: Float32Array | None = None
        for region, piece in pieces:
            if whole is None:
                whole = np.empty((layout.height, layout.width, piece.shape[2]), np.float32)
            whole[region] = piece
            del piece
        assert whole is not None  # a layout has at least one piece
        return whole


def _run_native(
    predict: Predictor, read: Reader, layout: Layout, tiles: Iterator[Tile]
) -> Iterator[tuple[Region, Float32Array]]:
    """A method that is defined on tiles of its own.

    They start at the top left and do not overlap; those at the right and bottom are filled with
    zeros and cropped afterwards.
    """
    for tile in tiles:
        piece = read(*tile.keep)
        rows, columns = piece.shape[:2]
        padded = np.zeros((*layout.sides, 3), np.float32)
        padded[:rows, :columns] = piece
        yield tile.keep, predict(padded)[:rows, :columns]


def _run_blended(
    predict: Predictor, read: Reader, layout: Layout, done: frozenset[tuple[int, int]]
) -> Iterator[tuple[Region, Float32Array]]:
    """Overlapping tiles, mixed where they overlap with weights that sum to one.

    Held besides one tile: the strip that its row shares with the next, as wide as the picture.
    """
    overlap = layout.overlap
    rising = (0.5 - 0.5 * np.cos(np.pi * (np.arange(overlap) + 0.5) / overlap)).astype(np.float32)
    above = below = right = np.empty(0, np.float32)
    wanted = {tile.keep[0].start for tile in layout.tiles() if tile.corner not in done}
    for tile in layout.tiles():
        # A row of tiles is needed for itself, or for the strip that it shares with the next.
        if not wanted & {tile.keep[0].start, tile.keep[0].stop}:
            below = np.zeros((overlap, layout.width, 1), np.float32)
            continue
        (rows, columns), (keep_rows, keep_columns) = tile.read, tile.keep
        spectra = _copy(predict(read(rows, columns)))
        rise, fall = _like(spectra, rising), _like(spectra, rising[::-1].copy())
        if rows.start > 0:
            spectra[:overlap] *= rise[:, None, None]
        if rows.stop < layout.height:
            spectra[-overlap:] *= fall[:, None, None]
        if columns.start > 0:
            spectra[:, :overlap] *= rise[:, None]
            spectra[:, :overlap] += right
        else:
            above = _like(spectra, below)
            strip = np.empty((overlap, layout.width, spectra.shape[2]), np.float32)
            below = _like(spectra, strip)
        if columns.stop < layout.width:
            spectra[:, -overlap:] *= fall[:, None]
            right = _copy(spectra[:, -overlap:])
        # Complete across the columns that are kept; what is shared with the row below waits.
        kept = spectra[:, : keep_columns.stop - keep_columns.start]
        if rows.start > 0:
            kept[:overlap] += above[:, keep_columns]
        if rows.stop < layout.height:
            below[:, keep_columns] = kept[-overlap:]
        if tile.corner not in done:
            yield tile.keep, kept[: keep_rows.stop - keep_rows.start]


def _copy(spectra: Any) -> Any:
    """A copy of an array, here or on a device."""
    return np.array(spectra) if isinstance(spectra, np.ndarray) else spectra.clone()


def _like(spectra: Any, array: Any) -> Any:
    """An array where these spectra are."""
    if isinstance(spectra, np.ndarray):
        return array
    import torch

    return torch.as_tensor(array, device=spectra.device)
