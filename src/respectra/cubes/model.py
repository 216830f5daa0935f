"""The cube: a hyperspectral image as a labelled array."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
import numpy.typing as npt
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from respectra.arrays import labelled_array
from respectra.errors import DataError
from respectra.wavelengths import check_wavelengths

#: Dimensions of a cube, in order.
DIMS = ("y", "x", "wavelength")
#: What the values of a cube mean.
Quantity = Literal["radiance", "reflectance"]
#: The challenge's grid: 400 to 700 nm in steps of 10.
CHALLENGE_WAVELENGTHS_NM: npt.NDArray[np.float64] = np.arange(400.0, 701.0, 10.0)
CHALLENGE_WAVELENGTHS_NM.setflags(write=False)

__all__ = [
    "CHALLENGE_WAVELENGTHS_NM",
    "DIMS",
    "Quantity",
    "check_wavelengths",
    "make_cube",
    "require_cube",
    "wavelengths_of",
]


def make_cube(
    values: npt.ArrayLike,
    wavelengths_nm: npt.ArrayLike,
    *,
    quantity: Quantity = "radiance",
    units: str = "relative",
    source: str = "",
    **attrs: Any,
) -> xr.DataArray:
    """Label an array as a cube.

    Args:
        values: shape (y, x, band), any real dtype; stored as float32.
        wavelengths_nm: shape (band,), nanometres, positive and strictly ascending.
        quantity: what the values mean.
        units: unit of the values; ``relative`` when nobody knows.
        source: where the values came from.
        attrs: further facts worth keeping with the cube.

    Raises:
        DataError: the shapes disagree, the cube is empty, or the wavelengths are not ascending.

    Example:
        >>> import respectra as rs
        >>> cube = rs.make_cube([[[0.2, 0.4, 0.3]]], [450, 550, 650], quantity="reflectance")
        >>> dict(cube.sizes), cube.attrs["quantity"]
        ({'y': 1, 'x': 1, 'wavelength': 3}, 'reflectance')
    """
    array = np.asarray(values)
    if array.ndim != 3:
        raise DataError(f"a cube has shape (y, x, wavelength); got {array.ndim} dimensions")
    if array.size == 0:
        raise DataError(f"a cube needs at least one pixel and one band; got shape {array.shape}")
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise DataError(f"a cube holds real numbers; got values of type {array.dtype}")
    if quantity not in get_args(Quantity):
        raise DataError(f"quantity is 'radiance' or 'reflectance'; got {quantity!r}")
    grid = check_wavelengths(wavelengths_nm)
    if grid.size != array.shape[2]:
        raise DataError(f"{array.shape[2]} bands but {grid.size} wavelengths; they must match")
    return labelled_array(
        array.astype(np.float32, copy=False),
        DIMS,
        wavelengths_nm=grid,
        attrs={"quantity": quantity, "units": units, "source": source, **attrs},
        name="cube",
    )


@runtime_checkable
class Expandable(Protocol):
    """What becomes a cube when it is asked for, such as a low-rank cube."""

    def lazy(self) -> xr.DataArray:
        """The cube, whose values are expanded where they are asked for."""
        ...


def require_cube(cube: object) -> xr.DataArray:
    """Return ``cube`` when it is one: dims (y, x, wavelength) with known wavelengths in nm.

    A low-rank cube becomes an ordinary one whose values are expanded where they are asked for.

    Raises:
        DataError: it is something else; says what is missing.

    Example:
        >>> import respectra as rs
        >>> cube = rs.make_cube([[[0.2, 0.4]]], [450, 550])
        >>> require_cube(cube).identical(cube)
        True
    """
    if isinstance(cube, Expandable):
        return cube.lazy()
    if not isinstance(cube, xr.DataArray):
        raise DataError(
            f"a cube is an xarray.DataArray, got {type(cube).__name__}; "
            "label an array with respectra.make_cube(values, wavelengths_nm)"
        )
    if tuple(cube.dims) != DIMS:
        raise DataError(f"a cube has dimensions {DIMS}, got {tuple(cube.dims)}; use .transpose()")
    if "wavelength" not in cube.coords:
        raise DataError("the cube has no wavelengths; add a coordinate 'wavelength' in nm")
    check_wavelengths(cube["wavelength"].values)
    if cube.size == 0:
        raise DataError(f"a cube needs at least one pixel and one band; got shape {cube.shape}")
    return cube


def wavelengths_of(cube: xr.DataArray) -> npt.NDArray[np.float64]:
    """The wavelengths of a cube or a response in nm, float64, shape (band,).

    Example:
        >>> import respectra as rs
        >>> wavelengths_of(rs.make_cube([[[0.2, 0.4]]], [450, 550])).tolist()
        [450.0, 550.0]
    """
    return np.asarray(cube["wavelength"].values, dtype=np.float64)


def describe_wavelengths(wavelengths_nm: npt.ArrayLike | None) -> str:
    """A grid in few words: ``400 to 700 nm in steps of 10``."""
    if wavelengths_nm is None:
        return "unknown wavelengths"
    grid = np.asarray(wavelengths_nm, np.float64)
    if grid.size == 1:
        return f"{grid[0]:g} nm"
    steps = np.diff(grid)
    regular = np.allclose(steps, steps[0], rtol=1e-6)
    spacing = f"in steps of {abs(steps[0]):g}" if regular else "in uneven steps"
    return f"{grid[0]:g} to {grid[-1]:g} nm {spacing}"


class LazyArray(BackendArray):
    """Values that xarray reads where, and when, they are asked for.

    Args:
        shape: of all values.
        dtype: of the values.
        read: gives those at an integer or a slice for each axis.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: npt.DTypeLike, read: Callable[[tuple[Any, ...]], Any]
    ) -> None:
        self.shape, self.dtype, self._read = shape, np.dtype(dtype), read

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._read
        )


def cube_on(
    data: Any, wavelengths_nm: npt.ArrayLike, attrs: Mapping[Any, Any] | None = None
) -> xr.DataArray:
    """Label values that are not in memory as a cube: an array of dask, or what xarray indexes."""
    return xr.DataArray(
        xr.Variable(DIMS, data),
        coords={"wavelength": ("wavelength", np.asarray(wavelengths_nm), {"units": "nm"})},
        attrs=dict(attrs or {}),
        name="cube",
    )


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
    """A function of whole spectra on every chunk, as an array of dask.

    Args:
        cube: on chunks.
        function: of (rows, columns, bands) and the arguments; must be one of a module.
        last: length of the last axis of what it gives.
        dtype: of what it gives.
        arguments: of the function.
    """
    data = cube.data.rechunk({2: -1})
    return data.map_blocks(
        function,
        dtype=dtype,
        chunks=(data.chunks[0], data.chunks[1], (last,)),
        meta=np.empty((0, 0, 0), dtype),
        **arguments,
    )
