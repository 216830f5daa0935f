"""Means of what is looked up by colour: compiled, for the process that computes."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from respectra.notices import watch_compiler
from respectra.threads import for_blocks

watch_compiler()

#: Rows of the result that one thread takes at a time.
_ROWS = 64
#: Every half-precision number by its bits, since compiled code knows no such type.
_HALVES = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)


def mean_of_halves(
    numbers: npt.NDArray[np.int32], table: npt.NDArray[np.float16], channels: int, side: int
) -> npt.NDArray[np.float16]:
    """Means over squares of pixels of their rows of a table.

    Args:
        numbers: shape (y, x): the row of each pixel.
        table: shape (number, channel), contiguous.
        channels: how many of them are wanted.
        side: of the squares; the far edges are repeated to fill them.

    Returns:
        shape (channel, y, x).
    """
    height, width = (-(-length // side) for length in numbers.shape)
    out = np.empty((channels, height, width), np.float32)
    halves = table.view(np.uint16)
    for_blocks(
        lambda top, bottom: _mean(numbers, halves, _HALVES, side, top, bottom, out), height, _ROWS
    )
    return out.astype(np.float16)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _mean(
    numbers: Any, table: Any, halves: Any, side: int, top: int, bottom: int, out: Any
) -> None:
    channels, _, width = out.shape
    last_row, last_column = numbers.shape[0] - 1, numbers.shape[1] - 1
    for row in range(top, bottom):
        total = np.zeros(channels, np.float32)
        for column in range(width):
            total[:] = 0.0
            for y in range(row * side, (row + 1) * side):
                for x in range(column * side, (column + 1) * side):
                    number = numbers[min(y, last_row), min(x, last_column)]
                    for c in range(channels):
                        total[c] += halves[table[number, c]]
            for c in range(channels):
                out[c, row, column] = total[c] / (side * side)
