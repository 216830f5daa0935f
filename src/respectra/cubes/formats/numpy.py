"""NumPy files: one array (NPY), or named arrays in an archive (NPZ). Pickles are never loaded.

An NPZ keeps ``cube`` as real values, or ``cube_u8`` / ``cube_u16`` as codes whose product with
``scale`` is the value, and ``wavelengths`` in nm. An NPY knows no wavelengths.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes.formats._axes import Axes, band_by_size, order_by_axes
from respectra.cubes.formats.base import (
    DEFLATE_RATIO,
    WAVELENGTH_NAMES,
    CubeFormat,
    Grid,
    Stored,
    choose_variable,
    contiguous,
    decode_attrs,
    encode_attrs,
    plausible_wavelengths,
    stated_grid,
)
from respectra.cubes.model import wavelengths_of
from respectra.errors import FormatError
from respectra.guards.npy import (
    npz_members,
    read_member,
    read_member_header,
    read_npy,
    read_npy_header,
)
from respectra.wavelengths import UNIT_NAMES, unit_of_array

_SMALL = 2**20  # an auxiliary array has no business being larger


# --- NPY ---------------------------------------------------------------------------------------


def _peek_npy(path: Path, key: str | None, axes: Axes | None) -> Stored:
    with path.open("rb") as file:
        shape, dtype, fortran = read_npy_header(file, path)
        offset = file.tell()
    order = _order(shape, [], axes)

    def window(*spans: slice) -> npt.NDArray[np.float32]:
        layout: Literal["F", "C"] = "F" if fortran else "C"
        mapped = np.memmap(path, dtype, "r", offset=offset, shape=shape, order=layout)
        return contiguous(np.asarray(mapped).transpose(order)[spans])

    return Stored(
        shape=tuple(shape[axis] for axis in order),
        dtype=dtype,
        stored_bytes=path.stat().st_size - offset,
        load=lambda: contiguous(read_npy(path).transpose(order)),
        window=window,
    )


def _write_npy(cube: xr.DataArray, path: Path) -> None:
    np.save(path, cube.values, allow_pickle=False)


# --- NPZ ---------------------------------------------------------------------------------------


def _peek_npz(path: Path, key: str | None, axes: Axes | None) -> Stored:
    members = npz_members(path)
    headers = {name: read_member_header(path, info) for name, info in members.items()}
    name = _choose(headers, key, path)
    shape, dtype = headers[name]
    info = members[name]
    beside = {other.lower(): members[other] for other in members if other != name}
    small = {
        other: read_member(path, beside[other])
        for other in (*WAVELENGTH_NAMES, *UNIT_NAMES, "scale", "attributes", "note")
        if other in beside and beside[other].file_size <= _SMALL
    }
    lists = [small[n] for n in WAVELENGTH_NAMES if n in small and small[n].dtype.kind in "fiu"]
    order = _order(shape, [values.size for values in lists], axes)
    shape = tuple(shape[axis] for axis in order)
    scale = _scale(small["scale"], path) if "scale" in small and dtype.kind in "iu" else None
    if "attributes" in small:
        attrs = decode_attrs(str(small["attributes"]))
    else:
        attrs = {"note": str(small["note"])} if "note" in small else {}
    stored = info.compress_type == zipfile.ZIP_STORED
    return Stored(
        shape=shape,
        dtype=dtype,
        stored_bytes=min(info.compress_size, path.stat().st_size),
        load=lambda: contiguous(read_member(path, info).transpose(order), scale),
        **_grid(small, shape[-1] if shape else 0, path),
        attrs=attrs,
        ratio=1.0 if stored else DEFLATE_RATIO,
        details={"variable": name} | ({} if scale is None else {"scale": float(scale)}),
    )


def _choose(
    headers: dict[str, tuple[tuple[int, ...], np.dtype[Any]]], key: str | None, path: Path
) -> str:
    for name in ("cube", "cube_u16", "cube_u8"):
        if key is None and name in headers:
            return name
    return choose_variable({name: shape for name, (shape, _) in headers.items()}, key, path)


def _order(shape: tuple[int, ...], sizes: list[int], axes: Axes | None) -> tuple[int, ...]:
    """Axes in the order y, x, band: the band's fits the wavelengths, or is the last."""
    if axes is not None:
        return order_by_axes(axes, len(shape))
    if len(shape) != 3:
        return tuple(range(len(shape)))
    band = band_by_size(shape, sizes)
    return (*(axis for axis in range(3) if axis != band), band)


def _grid(small: dict[str, npt.NDArray[Any]], bands: int, path: Path) -> Grid:
    texts = {n: str(small[n].item()) for n in UNIT_NAMES if n in small and small[n].size == 1}
    for name in WAVELENGTH_NAMES:
        if name in small and plausible_wavelengths(small[name], bands) is not None:
            return stated_grid(small[name], unit_of_array(name, texts), bands, path)
    return {}


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
    write=_write_npy,
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
