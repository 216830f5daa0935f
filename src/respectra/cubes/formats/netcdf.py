"""NetCDF 4, as xarray writes and reads it."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

import numpy as np
import xarray as xr

from respectra.cubes.formats._dataset import peek_dataset, to_dataset
from respectra.cubes.formats._hdf5 import HDF5_SIGNATURE, check_heaps
from respectra.cubes.formats._hdf5_output import hdf5_output
from respectra.cubes.formats.base import DEFLATE_RATIO, CubeFormat, Stored
from respectra.cubes.lowrank import LowRankCube


def _open(path: Path) -> xr.Dataset:
    return xr.open_dataset(
        path,
        engine="h5netcdf",
        decode_times=False,
        cache=False,
        create_default_indexes=False,
        phony_dims="access",
    )


def _peek(path: Path, key: str | None) -> Stored:
    import h5py

    check_heaps(path)
    with h5py.File(path, "r") as file:
        # Where this fails, h5netcdf would also complain on standard error.
        file.attrs.get("_nc3_strict")
    return peek_dataset(path, key, _open, path.stat().st_size, DEFLATE_RATIO)


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


NETCDF = CubeFormat(
    name="netcdf",
    title="NetCDF 4 file",
    suffix=".nc",
    suffixes=(".nc", ".nc4", ".netcdf"),
    preserves="values bit for bit, wavelengths, and attributes (also as JSON)",
    peek=_peek,
    write=_write,
    recognises=lambda head: head.startswith(HDF5_SIGNATURE),
    keeps_factors=True,
)
FORMATS = (NETCDF,)
