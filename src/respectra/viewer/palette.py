"""The colours of a picture on disk: a number for each pixel, and for each number its values.

A photograph of 24 megapixels has some hundred thousand colours. What has been computed for one
holds for all its pixels, is computed once and takes room once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from respectra.viewer.blocks import ColourCodes

Array = npt.NDArray[Any]
Numbers = npt.NDArray[np.int32]

_ALL = 1 << 24
#: Colours that are computed at a time.
_AT_ONCE = 1 << 17


def numbers_file(folder: Path) -> Path:
    """The file with the number of each pixel: int32, shape (y, x)."""
    return folder / "colours.raw"


def table_file(folder: Path, name: str) -> Path:
    """The file with a row of values for each number."""
    return folder / f"{name}.table.raw"


def open_table(folder: Path, name: str, dtype: str, channels: int) -> Array:
    """Values of all numbers, shape (number, channel)."""
    file = table_file(folder, name)
    rows = file.stat().st_size // (channels * np.dtype(dtype).itemsize)
    return np.asarray(np.memmap(file, dtype, "r", shape=(rows, channels)))


class Palette:
    """Gives colours numbers, and appends what is computed for them to the tables.

    Args:
        folder: of the scene.
        channels: of the table of each name; what is computed may have fewer, zeros follow.
    """

    def __init__(self, folder: Path, channels: Mapping[str, int]) -> None:
        self._folder, self._channels = folder, channels
        # One more than a colour's number, so that memory is only taken for colours that occur.
        self._place = np.zeros(_ALL, np.int32)
        self._count = 0

    def numbers(
        self, colours: ColourCodes, compute: Callable[[ColourCodes], Mapping[str, Array]]
    ) -> Numbers:
        """Numbers of pixels of these colours; new ones are computed first.

        Args:
            colours: of any shape.
            compute: from colours, shape (colour,), to arrays of shape (colour, channel) by name.
        """
        places = self._place[colours]
        if not places.all():
            fresh = np.unique(colours[places == 0])
            for start in range(0, len(fresh), _AT_ONCE):
                part = fresh[start : start + _AT_ONCE]
                self.learn(part, compute(part))
            places = self._place[colours]
        return places - np.int32(1)

    def learn(self, colours: ColourCodes, values: Mapping[str, Array]) -> None:
        """Take in what was computed for colours that are new, each given once."""
        for name, array in values.items():
            rows = np.zeros((len(colours), self._channels[name]), array.dtype)
            rows[:, : array.shape[1]] = array
            with table_file(self._folder, name).open("ab") as file:
                file.write(rows.tobytes())
        end = self._count + len(colours)
        self._place[colours] = np.arange(self._count + 1, end + 1, dtype=np.int32)
        self._count = end
