"""NetCDF 4, as xarray writes it; and HDF5 files of any writer, under their own names."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

import numpy as np
import xarray as xr

from respectra.cubes.formats._axes import Axes
from respectra.cubes.formats._dataset import peek_dataset, to_dataset
from respectra.cubes.formats._hdf5 import HDF5_SIGNATURE, open_dataset
from respectra.cubes.formats._hdf5_output import hdf5_output
from respectra.cubes.formats.base import DEFLATE_RATIO, CubeFormat, Stored
from respectra.cubes.lowrank import LowRankCube


def _peek(path: Path, key: str | None, axes: Axes | None) -> Stored:
    return peek_dataset(path, key, axes, open_dataset, path.stat().st_size, DEFLATE_RATIO)


def _peek_hdf5(path: Path, key: str | None, axes: Axes | None) -> Stored:
    from respectra.cubes.formats.matlab import is_matlab_hdf5, peek_matlab

    # MATLAB's files keep their axes the other way round, whatever they are called.
    return (peek_matlab if is_matlab_hdf5(path) else _peek)(path, key, axes)


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
    return any(head[at:].startswith(HDF5_SIGNATURE) for at in (0, 512, 1024, 2048, 4096))


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
