"""HDF5 files as xarray datasets, every value read through the guard.

NetCDF's dimensions are HDF5's dimension scales ("NetCDF-4 and HDF5", Unidata's file format
specification, appendix C); other HDF5 files name none, and get one a size.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from respectra.cubes.formats._axes import UNNAMED
from respectra.cubes.formats._cf import prepared
from respectra.guards.hdf5 import SIGNATURE, Hdf5Array, Hdf5File, open_hdf5

HDF5_SIGNATURE = SIGNATURE
#: Attributes that serve HDF5 itself.
_MACHINERY = (
    "CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Dimid",
    "_Netcdf4Coordinates", "_nc3_strict", "_NCProperties", "DIMENSION_LABELS",
)  # fmt: skip
#: How a dimension without values calls itself.
_BARE = "This is a netCDF dimension but not a netCDF variable"


class _Lazy(BackendArray):
    """An array that xarray reads when it needs it."""

    def __init__(self, array: Hdf5Array) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> Any:
        # The guard reads ascending slices; the rest is turned here.
        forward, turned = [], []
        for part, n in zip(key, self.shape, strict=True):
            if isinstance(part, slice) and (part.step or 1) < 0:
                places = range(*part.indices(n))
                low, high = (places[-1], places[0] + 1) if places else (0, 0)
                forward.append(slice(low, high, -places.step))
                turned.append(slice(None, None, -1))
            else:
                forward.append(part)
                if isinstance(part, slice):
                    turned.append(slice(None))
        return self.array.read(tuple(forward))[tuple(turned)]


@contextlib.contextmanager
def open_dataset(path: Path) -> Iterator[xr.Dataset]:
    """An HDF5 file as a dataset that reads nothing until it must; groups are part of names."""
    file = open_hdf5(path)
    variables = {
        array.name: _variable(array, dims) for array, dims in _named(file) if _is_value(array)
    }
    yield decoded(variables)


def decoded(variables: Mapping[str, xr.Variable]) -> xr.Dataset:
    """A dataset of variables as stored: missing values, limits and scales applied, nothing read."""
    values, _, _ = xr.conventions.decode_cf_variables(
        {name: prepared(variable) for name, variable in variables.items()},
        {},
        decode_times=False,
        decode_coords=False,
    )
    coordinates = [name for name, value in values.items() if value.dims == (name,)]
    return xr.Dataset(
        {name: value for name, value in values.items() if name not in coordinates},
        coords=xr.Coordinates({name: values[name] for name in coordinates}, indexes={}),
    )


def _variable(array: Hdf5Array, dims: tuple[str, ...]) -> xr.Variable:
    attrs = {
        # One number is kept as an array of one by many writers.
        name: value.reshape(())[()] if isinstance(value, np.ndarray) and value.size == 1 else value
        for name, value in array.attrs.items()
        if name not in _MACHINERY
    }
    chunks = array.chunks if array.kind == "numbers" else None
    encoding = {} if chunks is None else {"chunksizes": chunks}
    return xr.Variable(dims, indexing.LazilyIndexedArray(_Lazy(array)), attrs, encoding)


def _is_value(array: Hdf5Array) -> bool:
    if array.kind == "outside":  # listed, so that reading it says why it is refused
        return True
    title = array.attrs.get("NAME", "")
    return array.kind == "numbers" and not (isinstance(title, str) and title.startswith(_BARE))


def _named(file: Hdf5File) -> Iterator[tuple[Hdf5Array, tuple[str, ...]]]:
    """Arrays and the names of their dimensions; equal names have equal sizes."""
    sizes: dict[str, int] = {}
    by_number = {
        int(np.ravel(array.attrs["_Netcdf4Dimid"])[0]): name
        for name, array in file.arrays.items()
        if "_Netcdf4Dimid" in array.attrs
        and np.size(array.attrs["_Netcdf4Dimid"]) == 1
        and "CLASS" in array.attrs
    }
    ranked = sorted(file.arrays.values(), key=lambda a: a.attrs.get("CLASS") is None)
    for array in ranked:
        stated = _stated(array, by_number)
        dims: list[str] = []
        for n, name in zip(array.shape, stated, strict=True):
            if name is None or name in dims or sizes.setdefault(name, n) != n:
                place = 0
                while True:
                    name = f"{UNNAMED}{n}" + (f"_{place}" if place else "")
                    if name not in dims and sizes.setdefault(name, n) == n:
                        break
                    place += 1
            dims.append(name)
        yield array, tuple(dims)


def _stated(array: Hdf5Array, by_number: Mapping[int, str]) -> tuple[str | None, ...]:
    nothing = (None,) * len(array.shape)
    if array.dims is not None:
        return array.dims
    if array.attrs.get("CLASS") != "DIMENSION_SCALE":
        return nothing
    numbers = np.atleast_1d(array.attrs.get("_Netcdf4Coordinates", ()))
    if len(numbers) == len(array.shape) and numbers.dtype.kind in "iu":
        return tuple(by_number.get(int(number)) for number in numbers)
    return (array.name,) if len(array.shape) == 1 else nothing
