"""Pictures on disk at halving resolutions, read by tiles.

A plane holds one kind of value for every pixel: coefficients, the picture, ... Each of its levels
is a raw file of shape (channel, y, x), so that a tile is a few strided reads and nothing larger
than a tile is ever in memory; channels that are never written take no room on the disk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from respectra.config import Config

Array = npt.NDArray[Any]

#: Side of a tile in pixels.
TILE = 256
#: The coarsest level fits into this.
_COARSEST = 512
_BAND_ROWS = 512


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
    """

    def __init__(self, folder: Path, info: PlaneInfo, height: int, width: int) -> None:
        self.info = info
        self.sizes = level_sizes(height, width)
        self._folder = folder

    def create(self) -> None:
        """Make the files of all levels, filled with zeros that take no room yet."""
        for level in range(len(self.sizes)):
            with self._path(level).open("wb") as file:
                file.truncate(math.prod(self._shape(level)) * np.dtype(self.info.dtype).itemsize)

    def open(self, level: int, mode: Literal["r", "r+"] = "r") -> Array:
        """A level as a memory-mapped array of shape (channel, y, x)."""
        return np.memmap(self._path(level), self.info.dtype, mode, shape=self._shape(level))

    def write(self, level: int, rows: slice, columns: slice, values: Array) -> None:
        """Store values of shape (y, x, channel); channels beyond theirs stay zero."""
        channels = values.shape[2]
        self.open(level, "r+")[:channels, rows, columns] = values.transpose(2, 0, 1)

    def read(self, level: int, rows: slice, columns: slice, channels: int | None = None) -> Array:
        """Values of shape (channel, y, x), copied."""
        return np.array(self.open(level)[:channels, rows, columns])

    def fill_from(self, level: int, tick: Callable[[], None] = lambda: None) -> None:
        """Compute every level coarser than ``level`` from it."""
        for finer in range(level, len(self.sizes) - 1):
            source, target = self.open(finer), self.open(finer + 1, "r+")
            height = self.sizes[finer + 1][0]
            for channel in range(self.info.channels):
                for top in range(0, height, _BAND_ROWS):
                    band = source[channel, 2 * top : 2 * (top + _BAND_ROWS)]
                    if band.any():
                        target[channel, top : top + _BAND_ROWS] = self._halve(band)
                tick()

    def tiles(self, level: int) -> Iterator[tuple[slice, slice]]:
        """Rows and columns of each tile of a level."""
        height, width = self.sizes[level]
        for top in range(0, height, TILE):
            for left in range(0, width, TILE):
                yield slice(top, min(top + TILE, height)), slice(left, min(left + TILE, width))

    def _halve(self, band: Array) -> Array:
        rows, columns = band.shape
        wide = band if self.info.reduce == "max" else band.astype(np.float32)
        even = np.pad(wide, ((0, rows % 2), (0, columns % 2)), mode="edge")
        # Strided sums are several times faster than a mean over a reshaped array.
        a, b, c, d = even[::2, ::2], even[::2, 1::2], even[1::2, ::2], even[1::2, 1::2]
        if self.info.reduce == "max":
            return np.asarray(np.maximum(np.maximum(a, b), np.maximum(c, d)))
        mean = (a + b + c + d) * np.float32(0.25)
        return np.asarray(np.rint(mean) if self.info.dtype == "uint8" else mean)

    def _shape(self, level: int) -> tuple[int, int, int]:
        return (self.info.channels, *self.sizes[level])

    def _path(self, level: int) -> Path:
        return self._folder / f"{self.info.name}.{level}.raw"
