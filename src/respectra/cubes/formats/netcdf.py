"""NetCDF 4, as xarray writes it; and HDF5 files of any writer, under their own names.

NetCDF's dimensions are HDF5's dimension scales ("NetCDF-4 and HDF5", Unidata's file format
specification, appendix C); other HDF5 files name none, and get one a size.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.core import indexing

from respectra.cubes.formats._axes import UNNAMED, Axes
from respectra.cubes.formats._cf import decoded
from respectra.cubes.formats._dataset import peek_dataset, to_dataset
from respectra.cubes.formats._hdf5_output import hdf5_output
from respectra.cubes.formats.base import DEFLATE_RATIO, CubeFormat, Stored
from respectra.cubes.lowrank import LowRankCube
from respectra.cubes.model import LazyArray
from respectra.guards.hdf5 import SIGNATURE, Hdf5Array, Hdf5File, open_hdf5

#: Attributes that serve HDF5 itself.
_MACHINERY = (
    "CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Dimid",
    "_Netcdf4Coordinates", "_nc3_strict", "_NCProperties", "DIMENSION_LABELS",
)  # fmt: skip
#: How a dimension without values calls itself.
_BARE = "This is a netCDF dimension but not a netCDF variable"


def _peek(path: Path, key: str | None, axes: Axes | None) -> Stored:
    return peek_dataset(path, key, axes, _open, path.stat().st_size, DEFLATE_RATIO)


def _peek_hdf5(path: Path, key: str | None, axes: Axes | None) -> Stored:
    from respectra.cubes.formats.matlab import is_matlab_hdf5, peek_matlab

    # MATLAB's files keep their axes the other way round, whatever they are called.
    return (peek_matlab if is_matlab_hdf5(path) else _peek)(path, key, axes)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[xr.Dataset]:
    """An HDF5 file as a dataset that reads nothing until it must; groups are part of names."""
    yield decoded(
        {a.name: _variable(a, dims) for a, dims in _named(open_hdf5(path)) if _is_value(a)}
    )


def _variable(array: Hdf5Array, dims: tuple[str, ...]) -> xr.Variable:
    attrs = {name: value for name, value in array.attrs.items() if name not in _MACHINERY}
    chunks = array.chunks if array.kind == "numbers" else None
    encoding = {} if chunks is None else {"chunksizes": chunks}
    values = LazyArray(array.shape, array.dtype, functools.partial(_read, array))
    return xr.Variable(dims, indexing.LazilyIndexedArray(values), attrs, encoding)


def _read(array: Hdf5Array, key: tuple[Any, ...]) -> Any:
    """Values at an index; the guard reads ascending slices, the rest is turned here."""
    forward, turned = [], []
    for part, n in zip(key, array.shape, strict=True):
        if isinstance(part, slice) and (part.step or 1) < 0:
            places = range(*part.indices(n))
            low, high = (places[-1], places[0] + 1) if places else (0, 0)
            forward.append(slice(low, high, -places.step))
            turned.append(slice(None, None, -1))
        else:
            forward.append(part)
            if isinstance(part, slice):
                turned.append(slice(None))
    return array.read(tuple(forward))[tuple(turned)]


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
                names = (f"{UNNAMED}{n}" + (f"_{k}" if k else "") for k in itertools.count())
                name = next(d for d in names if d not in dims and sizes.setdefault(d, n) == n)
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


def _write(cube: xr.DataArray | LowRankCube, path: Path) -> None:
    dataset = to_dataset(cube)
    for name, variable in dataset.data_vars.items():
        if variable.dtype == np.float16:  # which NetCDF does not know
            dataset[name] = variable.astype(np.float32)
    encoding: dict[Hashable, dict[str, None]] = {
        name: {"_FillValue": None} for name in dataset.variables
    }
    with hdf5_output(path) as file:
        dataset.to_netcdf(file, engine="h5netcdf", encoding=encoding)


def _recognises(head: bytes) -> bool:
    """A block of the user's own may come first; the larger ones that may be are nobody's."""
    return any(head[at:].startswith(SIGNATURE) for at in (0, 512, 1024, 2048, 4096))


NETCDF = CubeFormat(
    name="netcdf",
    title="NetCDF 4 file",
    suffix=".nc",
    suffixes=(".nc", ".nc4", ".netcdf"),
    preserves="values bit for bit, wavelengths, and attributes (also as JSON)",
    peek=_peek,
    write=_write,
    recognises=_recognises,
    keeps_factors=True,
)
HDF5 = CubeFormat(
    name="hdf5",
    title="HDF5 file",
    suffix=".h5",
    suffixes=(".h5", ".hdf5", ".he5", ".hdf"),
    preserves="what NetCDF keeps: it is written as NetCDF 4",
    peek=_peek_hdf5,
    write=_write,
    recognises=_recognises,
    keeps_factors=True,
)
FORMATS = (NETCDF, HDF5)
