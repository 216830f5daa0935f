"""What NetCDF and Zarr share: both are xarray datasets with one cube among their variables."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes.formats._axes import Axes, Vector, arrange, find_grid
from respectra.cubes.formats._low_rank import low_rank_dataset, peek_low_rank
from respectra.cubes.formats.base import (
    MOST_BANDS,
    Stored,
    choose_variable,
    contiguous,
    decode_attrs,
    encode_attrs,
)
from respectra.cubes.lowrank import LowRankCube
from respectra.cubes.model import DIMS

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
    path: Path,
    key: str | None,
    axes: Axes | None,
    opener: Opener,
    stored_bytes: int,
    ratio: float,
) -> Stored:
    """What a dataset says of its cube."""
    with opener(path) as dataset:
        low_rank = peek_low_rank(dataset, path, opener, stored_bytes, ratio)
        if low_rank is not None and key is None:
            return low_rank
        shapes = {str(name): dataset[name].shape for name in dataset.data_vars}
        name = choose_variable(shapes, key, path)
        variable = dataset[name]
        dims = [str(dim) for dim in variable.dims]
        vectors = _vectors(dataset)
        places = arrange(dims, variable.shape, vectors, axes)
        order = tuple(dims[place] for place in places)
        bands = variable.sizes[order[-1]] if order else 0
        grid = find_grid(vectors, order[-1] if order else "", bands, str(path))
        attrs = dict(variable.attrs)
        if "attributes" in attrs:
            attrs = decode_attrs(attrs["attributes"])
        chunks = variable.encoding.get("chunks") or variable.encoding.get("chunksizes")
        return Stored(
            shape=tuple(variable.sizes[dim] for dim in order),
            dtype=variable.dtype,
            stored_bytes=stored_bytes,
            load=lambda: _read(path, name, order, opener),
            window=lambda *spans: _read(path, name, order, opener, spans),
            chunks=_chunks(chunks, places),
            wavelengths_nm=grid.nm,
            wavelength_problem=grid.problem,
            attrs={str(k): _plain(v) for k, v in attrs.items()},
            ratio=ratio,
            details={"variable": name, "dimensions": dims},
        )


def _vectors(dataset: xr.Dataset) -> list[Vector]:
    """The lists of numbers along one dimension, which may be wavelengths."""
    return [
        Vector(
            str(name),
            str(variable.dims[0]),
            variable.size,
            functools.partial(getattr, dataset[name], "values"),
            {**variable.encoding, **variable.attrs},
        )
        for name, variable in dataset.variables.items()
        if variable.ndim == 1 and 0 < variable.size <= MOST_BANDS and variable.dtype.kind in "fiu"
    ]


def _chunks(chunks: Any, places: tuple[int, ...]) -> tuple[int, int, int] | None:
    if not chunks or len(chunks) != len(places) or not all(isinstance(c, int) for c in chunks):
        return None
    return tuple(chunks[place] for place in places)  # type: ignore[return-value]


def _read(
    path: Path,
    name: str,
    order: tuple[str, ...],
    opener: Opener,
    spans: tuple[slice, ...] | None = None,
) -> npt.NDArray[Any]:
    with opener(path) as dataset:
        variable = dataset[name]
        if spans is not None:
            variable = variable.isel(dict(zip(order, spans, strict=True)))
        return contiguous(variable.transpose(*order).values)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
