"""Cubes on dask's chunks: what is done to every pixel is done by chunk, when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes.model import DIMS


def is_chunked(array: xr.DataArray) -> bool:
    """Whether an array lies on dask's chunks: nothing of it is computed until it is asked for."""
    return array.chunks is not None


def by_chunk(
    cube: xr.DataArray,
    function: Callable[..., npt.NDArray[Any]],
    last: int,
    dtype: npt.DTypeLike = np.float32,
    **arguments: Any,
) -> Any:
    """A function of whole spectra on every chunk.

    Args:
        cube: on chunks.
        function: of (rows, columns, bands) and the arguments; must be one of a module.
        last: length of the last axis of what it gives.
        dtype: of what it gives.
        arguments: of the function.

    Returns:
        an array of dask, on the cube's chunks of rows and columns.
    """
    data = cube.data.rechunk({2: -1})
    return data.map_blocks(
        function,
        dtype=dtype,
        chunks=(data.chunks[0], data.chunks[1], (last,)),
        meta=np.empty((0, 0, 0), dtype),
        **arguments,
    )


def cube_on(
    data: Any, wavelengths_nm: npt.ArrayLike, attrs: dict[Any, Any] | None = None
) -> xr.DataArray:
    """Label an array of dask as a cube."""
    return xr.DataArray(
        data,
        dims=DIMS,
        coords={"wavelength": ("wavelength", np.asarray(wavelengths_nm), {"units": "nm"})},
        attrs=dict(attrs or {}),
        name="cube",
    )
