"""NumPy files: one array (NPY), or named arrays in an archive (NPZ). Pickles are never loaded.

An NPZ keeps ``cube`` as real values, or ``cube_u8`` / ``cube_u16`` as codes whose product with
``scale`` is the value, and ``wavelengths`` in nm. An NPY knows no wavelengths.
"""

from __future__ import annotations

import functools
import zipfile
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes.formats._axes import WAVELENGTH_NAMES, Vector, arrange, find_grid
from respectra.cubes.formats.base import (
    DEFLATE_RATIO,
    Axes,
    CubeFormat,
    Stored,
    choose_variable,
    contiguous,
    decode_attrs,
    encode_attrs,
)
from respectra.cubes.model import wavelengths_of
from respectra.errors import FormatError

_SMALL = 2**20  # an auxiliary array has no business being larger


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version != (1, 0):  # later versions exist for records, whose headers can be gigabytes
        raise FormatError(f"NPY version {version} only serves records; a cube holds real numbers")
    return np.lib.format.read_array_header_1_0(file)


# --- NPY ---------------------------------------------------------------------------------------


def _peek_npy(path: Path, key: str | None, axes: Axes | None) -> Stored:
    with path.open("rb") as file:
        shape, fortran, dtype = _read_header(file)
        offset = file.tell()
    places = arrange([""] * len(shape), shape, (), axes)

    def window(*spans: slice) -> npt.NDArray[np.float32]:
        return contiguous(_mapped(path, shape, dtype, offset, fortran).transpose(places)[spans])

    return Stored(
        shape=tuple(shape[place] for place in places),
        dtype=dtype,
        stored_bytes=path.stat().st_size - offset,
        load=lambda: contiguous(np.load(path, allow_pickle=False).transpose(places)),
        window=None if dtype.hasobject else window,
    )


def _mapped(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int, fortran: bool
) -> npt.NDArray[Any]:
    """An array as it lies in a file; what is taken of it is read."""
    order: Literal["F", "C"] = "F" if fortran else "C"
    return np.asarray(np.memmap(path, dtype, "r", offset=offset, shape=shape, order=order))


def _write_npy(cube: xr.DataArray, path: Path) -> None:
    np.save(path, cube.values, allow_pickle=False)


# --- NPZ ---------------------------------------------------------------------------------------


def _peek_npz(path: Path, key: str | None, axes: Axes | None) -> Stored:
    with zipfile.ZipFile(path) as archive:
        members = {
            info.filename.removesuffix(".npy"): info
            for info in archive.infolist()
            if info.filename.endswith(".npy")
        }
        headers = {}
        for name, info in members.items():
            with archive.open(info) as file:
                headers[name] = _read_header(file)
        name = _choose(headers, key, path)
        shape, _, dtype = headers[name]
        info = members[name]
        small = {
            other: _read_small(archive, members[other])
            for other in (*WAVELENGTH_NAMES, "wavelength_units", "scale", "attributes", "note")
            if other in members and members[other].file_size <= _SMALL
        }
    unit = {"units": str(small["wavelength_units"])} if "wavelength_units" in small else {}
    vectors = [
        Vector(n, "", small[n].size, functools.partial(small.get, n), unit)
        for n in WAVELENGTH_NAMES
        if n in small and small[n].dtype.kind in "fiu"
    ]
    places = arrange([""] * len(shape), shape, vectors, axes)
    shape = tuple(shape[place] for place in places)
    grid = find_grid(vectors, "", shape[-1] if shape else 0, str(path))
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
        load=lambda: _load_npz(path, info.filename, scale, places),
        wavelengths_nm=grid.nm,
        wavelength_problem=grid.problem,
        attrs=attrs,
        ratio=1.0 if stored else DEFLATE_RATIO,
        details={"variable": name} | ({} if scale is None else {"scale": float(scale)}),
    )


def _choose(
    headers: dict[str, tuple[tuple[int, ...], bool, np.dtype[Any]]], key: str | None, path: Path
) -> str:
    for name in ("cube", "cube_u16", "cube_u8"):
        if key is None and name in headers:
            return name
    return choose_variable({name: shape for name, (shape, _, _) in headers.items()}, key, path)


def _read_small(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> npt.NDArray[Any]:
    with archive.open(info) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _scale(values: npt.NDArray[Any], path: Path) -> np.float32:
    if values.size != 1 or values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise FormatError(f"{path}: scale is one finite number; got {values.dtype} {values.shape}")
    return np.float32(values.item())


def _load_npz(
    path: Path, member: str, scale: np.float32 | None, places: tuple[int, ...]
) -> npt.NDArray[np.float32]:
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        values = np.lib.format.read_array(file, allow_pickle=False)
    return contiguous(values.transpose(places), scale)


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
