"""Projection: a cube seen through a response, exactly and fast."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.errors import DataError

FloatArray = npt.NDArray[np.float64]
AnyFloats = TypeVar("AnyFloats", bound=npt.NDArray[np.floating])

#: Pixels worked on at a time: small enough for the processor's cache, and for BLAS to stay on one
#: thread, so that the sums do not depend on the number of threads.
BLOCK_PIXELS = 2048
#: Rows that one worker takes at a time. Part of what a seed means: see ``sensor``.
BLOCK_ROWS = 64


def cube_values(cube: xr.DataArray) -> npt.NDArray[np.float32]:
    """The values of a cube as a contiguous array, shape (y, x, band), float32."""
    return np.ascontiguousarray(cube.values, dtype=np.float32)


def project(values: npt.NDArray[np.float32], matrix: FloatArray) -> FloatArray:
    """Sum over the bands in float64: shape (y, x, band) to (y, x, channel).

    Raises:
        DataError: a value is not a finite number.
    """
    rows, columns, bands = values.shape
    result = np.empty((rows, columns, matrix.shape[1]))

    def work(start: int, stop: int) -> None:
        pixels = values[start:stop].reshape(-1, bands)
        target = result[start:stop].reshape(-1, matrix.shape[1])
        buffer = np.empty((min(BLOCK_PIXELS, len(pixels)), bands))
        for first in range(0, len(pixels), BLOCK_PIXELS):
            part = pixels[first : first + BLOCK_PIXELS]
            np.copyto(buffer[: len(part)], part)
            with np.errstate(invalid="ignore"):  # checked when all is done
                np.matmul(buffer[: len(part)], matrix, out=target[first : first + len(part)])

    for_row_blocks(rows, work)
    return check_finite(result)


def check_finite(projected: AnyFloats) -> AnyFloats:
    """Refuse a projection of NaN or infinite values.

    Raises:
        DataError: a value is not a finite number.
    """
    if not (np.isfinite(projected.min()) and np.isfinite(projected.max())):
        bad = int((~np.isfinite(projected)).any(axis=-1).sum())
        raise DataError(
            f"{bad} pixels of the cube hold NaN or infinite values and cannot be rendered; "
            "mask or fill them first (respectra check names the bands)"
        )
    return projected


def for_row_blocks(rows: int, work: Callable[[int, int], None]) -> None:
    """Call ``work(start, stop)`` for each block of rows, on as many threads as there are cores.

    The blocks are the same however many threads there are.
    """
    starts = range(0, rows, BLOCK_ROWS)
    spans = [(start, min(start + BLOCK_ROWS, rows)) for start in starts]
    workers = min(
        len(spans), len(os.sched_getaffinity(0)) if _HAS_AFFINITY else os.cpu_count() or 1
    )
    if workers == 1:
        for span in spans:
            work(*span)
        return
    with ThreadPoolExecutor(workers) as pool:
        for future in [pool.submit(work, *span) for span in spans]:
            future.result()


_HAS_AFFINITY = hasattr(os, "sched_getaffinity")
