"""NumPy files: one array (NPY), or named arrays in an archive (NPZ). Pickles are never loaded.

An NPZ keeps ``cube`` as real values, or ``cube_u8`` / ``cube_u16`` as codes whose product with
``scale`` is the value, and ``wavelengths`` in nm. An NPY knows no wavelengths.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes.formats._axes import Axes, choose_variable, order_by_size
from respectra.cubes.formats._grids import WAVELENGTH_NAMES, grid_beside
from respectra.cubes.formats.base import (
    DEFLATE_RATIO,
    CubeFormat,
    Stored,
    contiguous,
    decode_attrs,
    encode_attrs,
)
from respectra.cubes.model import wavelengths_of
from respectra.errors import FormatError
from respectra.guards.npy import open_npy, open_npz
from respectra.wavelengths import UNIT_NAMES

#: What is read of what lies beside a cube, and how many bytes it has at most.
_BESIDE = frozenset((*WAVELENGTH_NAMES, *UNIT_NAMES, "scale", "attributes", "note"))
_SMALL = 2**20


def _peek_npy(path: Path, key: str | None, axes: Axes | None) -> Stored:
    array = open_npy(path)
    order = order_by_size(array.shape, [], axes)

    def window(*spans: slice) -> npt.NDArray[np.float32]:
        mapped = np.memmap(
            path, array.dtype, "r", offset=array.offset, shape=array.shape, order=array.order
        )
        return contiguous(np.asarray(mapped).transpose(order)[spans])

    return Stored(
        shape=tuple(array.shape[axis] for axis in order),
        dtype=array.dtype,
        stored_bytes=array.stored_bytes,
        load=lambda: contiguous(array.read().transpose(order)),
        window=window,
    )


def _peek_npz(path: Path, key: str | None, axes: Axes | None) -> Stored:
    arrays = open_npz(path)
    name = choose_variable({other: found.shape for other, found in arrays.items()}, key, path)
    array = arrays[name]
    beside = {
        other.lower(): found.read()
        for other, found in arrays.items()
        if other != name and other.lower() in _BESIDE and found.nbytes <= _SMALL
    }
    lists = [beside[n] for n in WAVELENGTH_NAMES if n in beside and beside[n].dtype.kind in "fiu"]
    order = order_by_size(array.shape, [values.size for values in lists], axes)
    shape = tuple(array.shape[axis] for axis in order)
    texts = {n: str(beside[n].item()) for n in UNIT_NAMES if n in beside and beside[n].size == 1}
    coded = "scale" in beside and array.dtype.kind in "iu"
    scale = _scale(beside["scale"], path) if coded else None
    if "attributes" in beside:
        attrs = decode_attrs(str(beside["attributes"]))
    else:
        attrs = {"note": str(beside["note"])} if "note" in beside else {}
    return Stored(
        shape=shape,
        dtype=array.dtype,
        stored_bytes=array.stored_bytes,
        load=lambda: contiguous(array.read().transpose(order), scale),
        **grid_beside(beside, texts, shape[-1] if shape else 0, path),
        attrs=attrs,
        ratio=DEFLATE_RATIO if array.compressed else 1.0,
        details={"variable": name} | ({} if scale is None else {"scale": float(scale)}),
    )


def _scale(values: npt.NDArray[Any], path: Path) -> np.float32:
    number = values.size == 1 and values.dtype.kind in "fiu" and np.isfinite(values).all()
    if not number or not values.any():
        raise FormatError(
            f"{path}: scale is one finite number and not 0; got {values.dtype} {values.shape}"
        )
    return np.float32(values.item())


def _write_npz(cube: xr.DataArray, path: Path) -> None:
    with path.open("wb") as file:
        np.savez(
            file,
            cube=cube.values,
            wavelengths=wavelengths_of(cube),
            attributes=np.array(encode_attrs(cube.attrs)),
        )


NPY = CubeFormat(
    name="npy",
    title="NPY file",
    suffix=".npy",
    suffixes=(".npy",),
    preserves="values bit for bit; neither wavelengths nor attributes",
    peek=_peek_npy,
    write=lambda cube, path: np.save(path, cube.values, allow_pickle=False),
    recognises=lambda head: head.startswith(b"\x93NUMPY"),
)
NPZ = CubeFormat(
    name="npz",
    title="NPZ archive",
    suffix=".npz",
    suffixes=(".npz",),
    preserves="values bit for bit, wavelengths, and attributes as JSON",
    peek=_peek_npz,
    write=_write_npz,
    recognises=lambda head: head.startswith(b"PK\x03\x04"),
)
FORMATS = (NPY, NPZ)
