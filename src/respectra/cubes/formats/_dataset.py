"""What NetCDF and Zarr share: both are xarray datasets with one cube among their variables."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes.formats._low_rank import low_rank_dataset, peek_low_rank
from respectra.cubes.formats.base import (
    WAVELENGTH_NAMES,
    Stored,
    choose_variable,
    contiguous,
    decode_attrs,
    encode_attrs,
    plausible_wavelengths,
)
from respectra.cubes.lowrank import LowRankCube
from respectra.cubes.model import DIMS

_BAND_DIMS = WAVELENGTH_NAMES
_MOST_BANDS = 100_000  # a coordinate is read before its cube is known to be plausible
#: Opens a dataset without reading anything of it, its coordinates included.
Opener = Callable[[Path], AbstractContextManager[xr.Dataset]]


def to_dataset(cube: xr.DataArray | LowRankCube) -> xr.Dataset:
    """A dataset that any xarray reads; attributes that its files cannot hold go along as JSON."""
    if isinstance(cube, LowRankCube):
        return low_rank_dataset(cube)
    bare = xr.DataArray(
        cube.values,
        dims=DIMS,
        coords={"wavelength": ("wavelength", cube["wavelength"].values, {"units": "nm"})},
        attrs={
            name: cube.attrs[name]
            for name in ("quantity", "units", "source")
            if isinstance(cube.attrs.get(name), str) and "\0" not in cube.attrs[name]
        },
    )
    bare.attrs["attributes"] = encode_attrs(cube.attrs)
    return bare.to_dataset(name="cube")


def peek_dataset(
    path: Path, key: str | None, opener: Opener, stored_bytes: int, ratio: float
) -> Stored:
    """What a dataset says of its cube."""
    with opener(path) as dataset:
        low_rank = peek_low_rank(dataset, path, opener, stored_bytes, ratio)
        if low_rank is not None and key is None:
            return low_rank
        shapes = {str(name): dataset[name].shape for name in dataset.data_vars}
        name = choose_variable(shapes, key, path)
        variable = dataset[name]
        order = _order(variable)
        bands = variable.sizes[order[-1]] if order else 0
        names = [n for n in (*order[-1:], *_BAND_DIMS) if n in dataset.variables]
        grids = (
            plausible_wavelengths(dataset[n].values, bands)
            for n in names
            if dataset[n].size == bands <= _MOST_BANDS
        )
        attrs = dict(variable.attrs)
        if "attributes" in attrs:
            attrs = decode_attrs(attrs["attributes"])
        return Stored(
            shape=tuple(variable.sizes[dim] for dim in order),
            dtype=variable.dtype,
            stored_bytes=stored_bytes,
            load=lambda: _load(path, name, order, opener),
            wavelengths_nm=next((grid for grid in grids if grid is not None), None),
            attrs={str(k): _plain(v) for k, v in attrs.items()},
            ratio=ratio,
            details={"variable": name, "dimensions": [str(dim) for dim in variable.dims]},
        )


def _order(variable: xr.DataArray) -> tuple[str, ...]:
    """Dimensions in the order y, x, band: by their names where these say it, else as stored."""
    dims = [str(dim) for dim in variable.dims]
    band = next((dim for dim in dims if dim.lower() in _BAND_DIMS), dims[-1] if dims else None)
    plane = [dim for dim in dims if dim != band]
    if sorted(plane) == ["x", "y"]:
        plane = ["y", "x"]
    return (*plane, band) if band is not None else ()


def _load(path: Path, name: str, order: tuple[str, ...], opener: Opener) -> npt.NDArray[Any]:
    with opener(path) as dataset:
        return contiguous(dataset[name].transpose(*order).values)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
