"""Zarr: a folder of chunks, version 3 when written, 2 or 3 when read."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import xarray as xr

from respectra.cubes.formats._dataset import peek_dataset, to_dataset
from respectra.cubes.formats.base import CubeFormat, Stored, folder_bytes
from respectra.cubes.lowrank import LowRankCube
from respectra.errors import FormatError

#: A chunk is about this many bytes: whole spectra, a few rows.
_CHUNK_BYTES = 4 * 2**20
#: Zstandard has no bound as tight as deflate's; constant chunks are not stored at all.
_RATIO = 1e5


def is_zarr(folder: Path) -> bool:
    """Whether a folder holds a Zarr group or array."""
    return any((folder / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray"))


def _open(path: Path) -> xr.Dataset:
    return xr.open_dataset(
        path,
        engine="zarr",
        decode_times=False,
        chunks=None,
        consolidated=False,
        cache=False,
        create_default_indexes=False,
    )


def _peek(path: Path, key: str | None) -> Stored:
    if not path.is_dir():
        raise FormatError(f"{path} is not a folder; a Zarr store is one")
    if not is_zarr(path):
        raise FormatError(f"{path} is a folder without zarr.json; it is no Zarr store")
    return peek_dataset(path, key, _open, folder_bytes(path), _RATIO)


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
