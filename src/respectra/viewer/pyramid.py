"""Pictures on disk at halving resolutions, read by tiles.

A plane holds one kind of value for every pixel: coefficients, the picture, ... Each of its levels
is a raw file of shape (channel, y, x), so that a tile is a few strided reads and nothing larger
than a tile is ever in memory; channels that are never written take no room on the disk.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from respectra.config import Config
from respectra.viewer.palette import numbers_file, open_table

Array = npt.NDArray[Any]

#: Side of a tile in pixels.
TILE = 256
#: The coarsest level fits into this.
_COARSEST = 512
#: Rows that are halved at a time.
_BAND_ROWS = 64


class PlaneInfo(Config):
    """What a plane holds and how it is averaged."""

    name: str
    channels: int
    dtype: Literal["float16", "uint8"]
    reduce: Literal["mean", "max"] = "mean"


def level_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """(height, width) of each level, finest first, each half the one before, rounded up."""
    sizes = [(height, width)]
    while max(sizes[-1]) > _COARSEST:
        h, w = sizes[-1]
        sizes.append((math.ceil(h / 2), math.ceil(w / 2)))
    return sizes


class Plane:
    """One plane of a scene in a folder.

    Args:
        folder: of the scene.
        info: what it holds.
        height: rows of the finest level.
        width: columns of the finest level.
        stored_from: finest level that has a file; finer ones are looked up by colour, see
            :mod:`respectra.viewer.palette`.
    """

    def __init__(
        self, folder: Path, info: PlaneInfo, height: int, width: int, *, stored_from: int = 0
    ) -> None:
        self.info = info
        self.sizes = level_sizes(height, width)
        self._folder, self._stored_from = folder, stored_from

    def create(self) -> None:
        """Make the files of all stored levels, filled with zeros that take no room yet."""
        for level in range(self._stored_from, len(self.sizes)):
            with self._path(level).open("wb") as file:
                file.truncate(math.prod(self._shape(level)) * np.dtype(self.info.dtype).itemsize)

    def open(self, level: int, mode: Literal["r", "r+"] = "r") -> Array:
        """A stored level as a memory-mapped array of shape (channel, y, x)."""
        return np.memmap(self._path(level), self.info.dtype, mode, shape=self._shape(level))

    def write(self, level: int, rows: slice, columns: slice, values: Array) -> None:
        """Store values of shape (channel, y, x); channels beyond theirs stay zero."""
        self.open(level, "r+")[: len(values), rows, columns] = values

    def read(self, level: int, rows: slice, columns: slice, channels: int | None = None) -> Array:
        """Values of shape (channel, y, x), copied."""
        if level < self._stored_from:
            return self._look_up(level, rows, columns, channels)
        return np.array(self.open(level)[:channels, rows, columns])

    def _look_up(self, level: int, rows: slice, columns: slice, channels: int | None) -> Array:
        height, width = self.sizes[0]
        side = 2**level
        top, bottom, _ = rows.indices(self.sizes[level][0])
        left, right, _ = columns.indices(self.sizes[level][1])
        file = np.memmap(numbers_file(self._folder), np.int32, "r", shape=(height, width))
        numbers = file[top * side : bottom * side, left * side : right * side]
        info = self.info
        table = open_table(self._folder, info.name, info.dtype, info.channels)
        return self.reduced(numbers, table, level, channels)

    def reduced(
        self, numbers: Array, table: Array, level: int, channels: int | None = None
    ) -> Array:
        """Values of a level, from the colours of its pixels at the finest one.

        Args:
            numbers: shape (y, x): the row of each pixel in the table.
            table: shape (number, channel).
            level: how often to halve.
            channels: how many are wanted; all by default.

        Returns:
            shape (channel, y, x).
        """
        side = 2**level
        lacking = [(0, -length % side) for length in numbers.shape]
        padded = np.pad(numbers, lacking, mode="edge")
        largest = self.info.reduce == "max"
        total: Any = None
        for part in (padded[y::side, x::side] for y in range(side) for x in range(side)):
            values = np.take(table, part, axis=0)[..., :channels]
            if total is None:
                total = values if level == 0 or largest else values.astype(np.float32)
            elif largest:
                np.maximum(total, values, out=total)
            else:
                total += values
        if level and not largest:
            total *= np.float32(0.25**level)
        return np.ascontiguousarray(self._stored(total).transpose(2, 0, 1))

    def write_levels(self, levels: range, top: int, left: int, values: Array) -> None:
        """Store values of shape (channel, y, x) in a level and as means in the next ones.

        Args:
            levels: the one that the values belong to and those after it.
            top: first row of the scene, a multiple of 2 to the power of the last level.
            left: first column, likewise.
            values: a block that reaches as far as the next such multiples, or the scene's end.
        """
        for level in levels:
            if level > levels.start:
                values = self._halve(values)
            y, x = top >> level, left >> level
            rows, columns = slice(y, y + values.shape[1]), slice(x, x + values.shape[2])
            self.write(level, rows, columns, values)

    def fill_from(self, level: int, channels: int) -> None:
        """Compute every level coarser than ``level``, which is stored, of the first channels."""
        for finer in range(level, len(self.sizes) - 1):
            source, target = self.open(finer), self.open(finer + 1, "r+")
            height = self.sizes[finer + 1][0]
            for top in range(0, height, _BAND_ROWS):
                band = source[:channels, 2 * top : 2 * (top + _BAND_ROWS)]
                target[:channels, top : top + _BAND_ROWS] = self._halve(band)

    def _halve(self, values: Array) -> Array:
        """Shape (channel, y, x) to half of y and x, rounded up."""
        _, rows, columns = values.shape
        wide = values if self.info.reduce == "max" else values.astype(np.float32)
        even = np.pad(wide, ((0, 0), (0, rows % 2), (0, columns % 2)), mode="edge")
        # Strided sums are several times faster than a mean over a reshaped array.
        a, b = even[:, ::2, ::2], even[:, ::2, 1::2]
        c, d = even[:, 1::2, ::2], even[:, 1::2, 1::2]
        if self.info.reduce == "max":
            return np.asarray(np.maximum(np.maximum(a, b), np.maximum(c, d)))
        return self._stored((a + b + c + d) * np.float32(0.25))

    def _stored(self, values: Array) -> Array:
        """As the plane keeps values."""
        if values.dtype == self.info.dtype:
            return values
        return (np.rint(values) if self.info.dtype == "uint8" else values).astype(self.info.dtype)

    def _shape(self, level: int) -> tuple[int, int, int]:
        return (self.info.channels, *self.sizes[level])

    def _path(self, level: int) -> Path:
        return self._folder / f"{self.info.name}.{level}.raw"
