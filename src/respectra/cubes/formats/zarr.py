"""Zarr: a folder of chunks, version 3 when written, 2 or 3 when read."""

from __future__ import annotations

import base64
import contextlib
import functools
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from xarray.core import indexing

from respectra.cubes.formats._axes import UNNAMED, Axes, choose_variable
from respectra.cubes.formats._cf import decoded
from respectra.cubes.formats._dataset import low_rank_dataset, peek_dataset
from respectra.cubes.formats.base import (
    DEFLATE_RATIO,
    CubeFormat,
    CubeWriter,
    Region,
    Stored,
    encode_attrs,
)
from respectra.cubes.lowrank import LowRankCube
from respectra.cubes.model import DIMS, LazyArray
from respectra.errors import FormatError
from respectra.guards.zarr import Holding, ZarrArray, ZarrStore, check_store

#: A chunk holds whole spectra of a square of at most so many pixels a side, and bytes.
CHUNK_SIDE = 192
_CHUNK_BYTES = 8 * 2**20


def is_zarr(folder: Path) -> bool:
    """Whether a folder holds a Zarr group or array."""
    return any((folder / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray"))


def peek_store(
    path: Path, key: str | None, axes: Axes | None, holding: Holding | None = None
) -> Stored:
    """What a store says of its cube; see ``CubeFormat.peek`` and ``check_store``."""
    if not path.is_dir():
        raise FormatError(f"{path} is not a folder; a Zarr store is one")
    if not is_zarr(path):
        raise FormatError(f"{path} is a folder without zarr.json; it is no Zarr store")
    store = check_store(path, holding)
    if key is not None and key.strip("/") in store.refused:
        raise FormatError(store.refused[key.strip("/")])
    if not store.arrays and store.refused:
        raise FormatError(next(iter(store.refused.values())))
    # What is not let through, and groups besides that of the cube, are not opened.
    group = _group(store, key, path)
    name = None if key is None else key.strip("/").removeprefix(f"{group}/")
    opener = functools.partial(_open, store=store, group=group)
    inside = [a.stored_bytes for n, a in store.arrays.items() if n.rpartition("/")[0] == group]
    return peek_dataset(path, name, axes, opener, sum(inside), DEFLATE_RATIO)


def _group(store: ZarrStore, key: str | None, path: Path) -> str:
    """The group of the cube: that of the key, the store's own, or the only one with a cube."""
    if key is not None:
        return key.strip("/").rpartition("/")[0]
    groups = {name.rpartition("/")[0] for name in store.arrays}
    if "" in groups:
        return ""
    solid = {name: array.shape for name, array in store.arrays.items() if len(array.shape) == 3}
    if len({name.rpartition("/")[0] for name in solid}) > 1:
        choose_variable(solid, None, path)
    return next(iter(solid or groups)).rpartition("/")[0] if solid else sorted(groups)[0]


@contextlib.contextmanager
def _open(path: Path, *, store: ZarrStore, group: str) -> Iterator[xr.Dataset]:
    yield decoded(
        {
            name.rpartition("/")[2] or "cube": _variable(path / name, array)
            for name, array in store.arrays.items()
            if name.rpartition("/")[0] == group
        }
    )


def _variable(folder: Path, facts: ZarrArray) -> xr.Variable:
    """An array whose chunks are looked at before the library sees them."""
    import zarr

    array = zarr.open_array(folder, mode="r")
    attrs = dict(array.attrs)
    names = attrs.pop("_ARRAY_DIMENSIONS", getattr(array.metadata, "dimension_names", None))
    if isinstance(names, list | tuple) and len(names) == array.ndim and all(names):
        dims = [str(name) for name in names]
    else:  # axes of one length have one name: that of a list of wavelengths is the band's
        sides = list(array.shape)
        dims = [
            f"{UNNAMED}{n}" + (f"_{sides[:axis].count(n)}" if n in sides[:axis] else "")
            for axis, n in enumerate(sides)
        ]
    if len(set(dims)) != len(dims):
        raise FormatError(f"{folder} gives one name to several dimensions: {dims}")
    # What version 2 fills gaps with is a missing value, unless it is 0 and nothing says so.
    fill = array.fill_value if facts.version == 2 else None
    if fill is not None and (fill != 0 or facts.has_fill_attribute):
        attrs["_FillValue"] = fill
    elif "_FillValue" in attrs:
        attrs["_FillValue"] = _fill_value(attrs["_FillValue"], array.dtype)

    def read(key: tuple[Any, ...]) -> npt.NDArray[Any]:
        with facts.held(key):
            return np.asarray(array[key])

    lazy = indexing.LazilyIndexedArray(LazyArray(array.shape, array.dtype, read))
    return xr.Variable(dims, lazy, attrs, {"chunks": array.shards or array.chunks})


def _fill_value(stated: Any, dtype: np.dtype[Any]) -> Any:
    """A missing value; of real numbers xarray writes the eight bytes of a double in base 64."""
    if dtype.kind == "f" and isinstance(stated, str):
        with contextlib.suppress(ValueError, struct.error):
            return struct.unpack("<d", base64.b64decode(stated, validate=True))[0]
    return stated


# --- writing -------------------------------------------------------------------------------------


def chunk_side(bands: int, itemsize: int, side: int | None = None) -> int:
    """Side of square chunks, pixels; it divides that of pieces, where no chunk may cross them."""
    most = int((_CHUNK_BYTES / (bands * itemsize)) ** 0.5)
    most = max(16, min(CHUNK_SIDE, most // 16 * 16))
    if side is None:
        return most
    parts = -(-side // most)
    best = next((side // n for n in range(parts, 2 * parts + 1) if side % n == 0), side)
    return max(1, best)


def add_array(
    group: Any,
    name: str,
    dims: tuple[str, ...],
    values: npt.NDArray[Any],
    attrs: Mapping[str, Any] | None = None,
    chunks: tuple[int, ...] | None = None,
) -> None:
    """Put an array into a group, as one chunk by default; one of that name is replaced."""
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=chunks or "auto",
        dtype=values.dtype,
        dimension_names=dims,
        attributes=dict(attrs or {}),
        overwrite=True,
    )
    array[...] = values


def cube_attributes(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Those that anybody reads, and all of them as JSON."""
    plain = {
        name: attrs[name]
        for name in ("quantity", "units", "source")
        if isinstance(attrs.get(name), str)
    }
    return {**plain, "attributes": encode_attrs(attrs)}


def remove_partial(store: Path) -> None:
    """Delete the chunks of a local store that a killed process left half written."""
    for part in store.rglob("*.partial"):
        part.unlink(missing_ok=True)


class ZarrWriter(CubeWriter):
    """A Zarr store; with ``pieces``, no two of them share a chunk."""

    @classmethod
    def load_library(cls) -> None:
        """Import Zarr."""
        import zarr  # noqa: F401

    @property
    def chunks(self) -> tuple[int, int, int]:
        """Rows, columns and bands of a chunk."""
        bands = self.shape[2]
        sides = (
            min(size, chunk_side(bands, self.dtype.itemsize, piece))
            for size, piece in zip(self.shape, self.pieces or (None, None), strict=False)
        )
        return (*sides, bands)  # type: ignore[return-value]

    @property
    def height(self) -> int:
        """Whole chunks at a time."""
        return max(1, super().height // self.chunks[0]) * self.chunks[0]

    def create(self) -> None:
        """Begin an empty store."""
        import zarr

        group = zarr.create_group(self.paths[0], zarr_format=3, overwrite=True)
        group.create_array(
            "cube",
            shape=self.shape,
            chunks=self.chunks,
            dtype=self.dtype,
            dimension_names=DIMS,
        )
        add_array(group, "wavelength", ("wavelength",), self.wavelengths_nm, {"units": "nm"})

    def write(self, region: Region, spectra: npt.NDArray[Any]) -> None:
        """Write one piece."""
        import zarr

        group = zarr.open_group(self.paths[0], mode="r+")
        group["cube"][region] = spectra.astype(self.dtype, copy=False)  # type: ignore[index]

    def finish(self, attrs: Mapping[Any, Any]) -> None:
        """Write down what is known of the cube."""
        import zarr

        remove_partial(self.paths[0])
        array = zarr.open_array(self.paths[0], path="cube", mode="r+")
        array.update_attributes(cube_attributes(attrs))


def _write(cube: xr.DataArray | LowRankCube, path: Path) -> None:
    if isinstance(cube, LowRankCube):
        _write_low_rank(cube, path)
    else:
        ZarrWriter.write_cube(cube, path)


def _write_low_rank(cube: LowRankCube, path: Path) -> None:
    import zarr

    group = zarr.create_group(path, zarr_format=3)
    for name, variable in low_rank_dataset(cube).variables.items():
        chunks = None
        if variable.ndim == 3:
            side = chunk_side(variable.shape[2], variable.dtype.itemsize)
            chunks = (*(min(side, n) for n in variable.shape[:2]), variable.shape[2])
        dims = tuple(map(str, variable.dims))
        add_array(group, str(name), dims, variable.values, variable.attrs, chunks)


ZARR = CubeFormat(
    name="zarr",
    title="Zarr store",
    suffix=".zarr",
    suffixes=(".zarr",),
    preserves="values bit for bit, wavelengths, and attributes (also as JSON)",
    peek=peek_store,
    write=_write,
    writer=ZarrWriter,
    recognises=None,
    compresses=True,
    keeps_factors=True,
)
FORMATS = (ZARR,)
