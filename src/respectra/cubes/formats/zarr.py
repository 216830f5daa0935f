"""Zarr: a folder of chunks, version 3 when written, 2 or 3 when read."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from respectra.cubes.formats._dataset import peek_dataset, to_dataset
from respectra.cubes.formats._hdf5 import decoded
from respectra.cubes.formats.base import DEFLATE_RATIO, CubeFormat, Stored
from respectra.cubes.lowrank import LowRankCube
from respectra.errors import FormatError
from respectra.guards.zarr import ZarrStore, check_store

#: A chunk is about this many bytes: whole spectra, a few rows.
_CHUNK_BYTES = 4 * 2**20


def is_zarr(folder: Path) -> bool:
    """Whether a folder holds a Zarr group or array."""
    return any((folder / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray"))


def _peek(path: Path, key: str | None) -> Stored:
    if not path.is_dir():
        raise FormatError(f"{path} is not a folder; a Zarr store is one")
    if not is_zarr(path):
        raise FormatError(f"{path} is a folder without zarr.json; it is no Zarr store")
    store = check_store(path)
    if key is not None and key.strip("/") in store.refused:
        raise FormatError(store.refused[key.strip("/")])
    if not store.arrays and store.refused:
        raise FormatError(next(iter(store.refused.values())))
    # What is not let through, and groups besides that of the cube, are not opened.
    group = _group(store, key)
    name = None if key is None else key.strip("/").removeprefix(f"{group}/")
    opener = functools.partial(_open, store=store, group=group)
    inside = [a.stored_bytes for n, a in store.arrays.items() if n.rpartition("/")[0] == group]
    return peek_dataset(path, name, opener, sum(inside), DEFLATE_RATIO)


def _group(store: ZarrStore, key: str | None) -> str:
    """The group of the cube: that of the key, the store's own, or the only one with arrays."""
    if key is not None:
        return key.strip("/").rpartition("/")[0]
    groups = {name.rpartition("/")[0] for name in store.arrays}
    return "" if "" in groups or len(groups) != 1 else groups.pop()


@contextlib.contextmanager
def _open(path: Path, *, store: ZarrStore, group: str) -> Iterator[xr.Dataset]:
    if "" in store.arrays:
        yield decoded({"cube": _single(path)})
        return
    prefix = f"{group}/" if group else ""
    with xr.open_dataset(
        path,
        engine="zarr",
        group=group or None,
        drop_variables=[n.removeprefix(prefix) for n in store.refused if n.startswith(prefix)],
        decode_cf=False,
        chunks=None,
        consolidated=False,
        cache=False,
        create_default_indexes=False,
    ) as dataset:
        variables = dict(dataset.variables)
        for name, variable in variables.items():
            array = store.arrays[f"{prefix}{name}"]
            # What Zarr 2 fills gaps with is a missing value only where it can mean nothing else.
            plain = array.version == 2 and not array.has_fill_attribute
            if plain and np.all(variable.attrs.get("_FillValue", 1) == 0):
                variable.attrs.pop("_FillValue")
        yield decoded({str(name): variable for name, variable in variables.items()})


def _single(path: Path) -> xr.Variable:
    """The variable of a store that is one array."""
    import zarr

    array = zarr.open_array(path, mode="r")
    attrs = dict(array.attrs)
    names = attrs.pop("_ARRAY_DIMENSIONS", getattr(array.metadata, "dimension_names", None))
    dims = [f"dim_{axis}" for axis in range(array.ndim)]
    if isinstance(names, list | tuple) and len(names) == array.ndim and all(names):
        dims = [str(name) for name in names]
    if len(set(dims)) != len(dims):
        raise FormatError(f"{path} gives one name to several dimensions: {dims}")
    return xr.Variable(dims, indexing.LazilyIndexedArray(_Lazy(array)), attrs)


class _Lazy(BackendArray):
    def __init__(self, array: Any) -> None:
        self._array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._array.__getitem__
        )


def _write(cube: xr.DataArray | LowRankCube, path: Path) -> None:
    dataset = to_dataset(cube)
    encoding: dict[Hashable, dict[str, Any]] = {
        name: {"_FillValue": None} for name in dataset.data_vars
    }
    name = max(dataset.data_vars, key=lambda name: dataset[name].ndim)
    rows, columns, depth = dataset[name].shape
    height = max(1, min(rows, _CHUNK_BYTES // (dataset[name].dtype.itemsize * columns * depth)))
    encoding[name]["chunks"] = (height, columns, depth)
    dataset.to_zarr(path, zarr_format=3, consolidated=False, encoding=encoding)


ZARR = CubeFormat(
    name="zarr",
    title="Zarr store",
    suffix=".zarr",
    suffixes=(".zarr",),
    preserves="values bit for bit, wavelengths, and attributes (also as JSON)",
    peek=_peek,
    write=_write,
    recognises=None,
    compresses=True,
    keeps_factors=True,
)
FORMATS = (ZARR,)
