"""MATLAB files, version 5: what ``save`` and ``scipy.io.savemat`` write unless told otherwise.

scipy reads the arrays. It trusts the file's type numbers, and a wrong one ends the process, so
every element's tag is checked here first; the checked listing also gives shapes and types. The
layout is that of MathWorks' "MAT-File Format", chapter 1.
"""

from __future__ import annotations

import functools
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from respectra.errors import FormatError, OutputError

SIGNATURE_V5 = b"MATLAB 5.0"

_MATRIX, _COMPRESSED = 14, 15
#: Bytes of one value, by type of a data element.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
_INT8, _INT32, _UINT32 = 1, 5, 6
_TEXT_SIZES = {**_SIZES, 16: 1, 17: 2, 18: 4}
_CHAR, _OPAQUE = 4, 17
#: Classes of arrays of numbers.
_TYPES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}  # fmt: skip # noqa: E501
_COMPLEX_FLAG = 0x0800
_HEADER_BYTES = 4096  # flags, dimensions and name take far less
_MOST_DIMENSIONS = 32
_SMALL = 2**20  # an auxiliary variable has no business being larger


@dataclass(frozen=True)
class _Variable:
    """``dtype`` is None for text, cells, structures and whatever else is not numbers."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    is_text: bool = False

    @property
    def is_real(self) -> bool:
        return self.dtype is not None and self.dtype.kind in "fiu"


def peek_v5(path: Path, key: str | None, axes: Axes | None) -> Stored:
    """What a version 5 file says of its cube; see ``CubeFormat.peek``."""
    from scipy.io import loadmat

    listing = _list_variables(path)
    name = choose_variable({n: variable.shape for n, variable in listing.items()}, key, path)
    cube = listing[name]
    if cube.dtype is None:
        raise FormatError(f"the variable {name!r} of {path} is not an array of numbers")
    # Complex ones have a second element, whose tag is not checked: they are never read.
    wanted = [
        n
        for n in (*WAVELENGTH_NAMES, "norm_factor", "attributes")
        if n in listing
        and n != name
        and math.prod(listing[n].shape) <= _SMALL
        and (listing[n].is_text if n == "attributes" else listing[n].is_real)
    ]
    others = loadmat(path, variable_names=wanted, appendmat=False) if wanted else {}
    vectors = [
        Vector(n, "", others[n].size, functools.partial(others.get, n))
        for n in WAVELENGTH_NAMES
        if n in others
    ]
    places = arrange([""] * len(cube.shape), cube.shape, vectors, axes)
    shape = tuple(cube.shape[place] for place in places)
    grid = find_grid(vectors, "", shape[-1] if shape else 0, str(path))
    attrs = {}
    if "attributes" in others:
        attrs = decode_attrs("".join(others["attributes"].ravel().tolist()))
    elif "norm_factor" in others and others["norm_factor"].size == 1:
        attrs = {"norm_factor": float(others["norm_factor"].item())}
    return Stored(
        shape=shape,
        dtype=cube.dtype,
        stored_bytes=path.stat().st_size,
        load=lambda: _load(path, name, places),
        wavelengths_nm=grid.nm,
        wavelength_problem=grid.problem,
        attrs=attrs,
        ratio=8 * DEFLATE_RATIO,  # MATLAB also keeps doubles that are whole numbers as bytes
        details={"variable": name, "version": "5"},
    )


def _load(path: Path, name: str, places: tuple[int, ...]) -> npt.NDArray[np.float32]:
    from scipy.io import loadmat

    values = loadmat(path, variable_names=[name], appendmat=False)[name]
    return contiguous(values.transpose(places))


def _list_variables(path: Path) -> dict[str, _Variable]:
    """All variables by name, every tag checked.

    Raises:
        FormatError: a tag or a size cannot be.
    """
    size = path.stat().st_size
    found: dict[str, _Variable] = {}
    with path.open("rb") as file:
        order = {b"IM": "<", b"MI": ">"}.get(file.read(128)[126:128])
        if order is None:
            raise FormatError(f"{path} is damaged: its byte order is unknown")
        while tag := file.read(8):
            if len(tag) < 8:
                raise FormatError(f"{path} is truncated")
            kind, count = struct.unpack(f"{order}II", tag)
            position = file.tell()
            if position + count > size:
                raise FormatError(f"{path} is truncated: a variable reaches beyond its end")
            start = file.read(min(count, _HEADER_BYTES))
            if kind == _COMPRESSED:
                start = zlib.decompressobj().decompress(start, _HEADER_BYTES)
                kind, count = struct.unpack(f"{order}II", start[:8])
                start = start[8:]
            if kind != _MATRIX:
                raise FormatError(f"{path} is damaged: an element of type {kind} is no variable")
            variable = _read_header(start, count, order, path)
            found.setdefault(variable.name, variable)
            file.seek(position + struct.unpack(f"{order}I", tag[4:])[0])
    return found


def _read_header(start: bytes, count: int, order: str, path: Path) -> _Variable:
    """A variable from the first bytes of its element, of ``count`` bytes in all."""
    kind, flags, at = _element(start, 0, order, path)
    if kind != _UINT32 or len(flags) != 8:
        raise FormatError(f"{path} is damaged: a variable without flags")
    (bits,) = struct.unpack(f"{order}I", flags[:4])
    matlab_class = bits & 0xFF
    if matlab_class == _OPAQUE:  # an object of a class; has neither dimensions nor a name here
        return _Variable("", (), None)
    kind, dims, at = _element(start, at, order, path)
    if kind != _INT32 or len(dims) % 4 or not 2 <= len(dims) // 4 <= _MOST_DIMENSIONS:
        raise FormatError(f"{path} is damaged: a variable without dimensions")
    shape = struct.unpack(f"{order}{len(dims) // 4}i", dims)
    kind, name_bytes, at = _element(start, at, order, path)
    if kind != _INT8 or min(shape) < 0:
        raise FormatError(f"{path} is damaged: a variable without name or of negative size")
    name = name_bytes.decode("latin-1")
    sizes = _TEXT_SIZES if matlab_class == _CHAR else _SIZES
    if matlab_class not in _TYPES and matlab_class != _CHAR:
        return _Variable(name, shape, None)
    kind, length, at = _tag(start, at, order, path)
    if kind not in sizes or at + length > count:
        raise FormatError(f"{path} is damaged: the values of {name!r} have type {kind}")
    if matlab_class == _CHAR:
        return _Variable(name, shape, None, is_text=True)
    if length != math.prod(shape) * sizes[kind]:
        raise FormatError(
            f"{path} promises {shape} values of {name!r} and holds {length // sizes[kind]}"
        )
    dtype = np.dtype(np.complex128 if bits & _COMPLEX_FLAG else _TYPES[matlab_class])
    return _Variable(name, shape, dtype)


def _element(data: bytes, at: int, order: str, path: Path) -> tuple[int, bytes, int]:
    """(type, content, where the next one begins) of a small element at ``at``."""
    kind, length, begin = _tag(data, at, order, path)
    content = data[begin : begin + length]
    if len(content) < length:
        raise FormatError(f"{path} is truncated or damaged")
    end = at + 8 if begin == at + 4 else begin + -(-length // 8) * 8
    return kind, content, end


def _tag(data: bytes, at: int, order: str, path: Path) -> tuple[int, int, int]:
    """(type, bytes of content, where it begins); up to four bytes share the tag's own eight."""
    if at + 8 > len(data):
        raise FormatError(f"{path} is truncated or damaged")
    first, second = struct.unpack(f"{order}II", data[at : at + 8])
    if first >> 16:
        if first >> 16 > 4:
            raise FormatError(f"{path} is damaged: a small element of {first >> 16} bytes")
        return first & 0xFFFF, first >> 16, at + 4
    return first, second, at + 8


def _write(cube: xr.DataArray, path: Path) -> None:
    from scipy.io import savemat

    if cube.nbytes >= 2**31:
        raise OutputError("a MATLAB 5 file holds at most 2 GiB; write version 7.3 (matlab)")
    variables: dict[str, Any] = {
        "cube": cube.values,
        "bands": wavelengths_of(cube),
        "attributes": encode_attrs(cube.attrs),
    }
    if "norm_factor" in cube.attrs:
        variables["norm_factor"] = float(cube.attrs["norm_factor"])
    savemat(path, variables, appendmat=False)


#: Reading goes through the format ``matlab``, which the suffix names.
MATLAB_V5 = CubeFormat(
    name="matlab-v5",
    title="MATLAB 5 file",
    suffix=".mat",
    suffixes=(),
    preserves="values bit for bit, wavelengths, attributes as JSON in the variable `attributes`",
    peek=peek_v5,
    write=_write,
    recognises=lambda head: head.startswith(SIGNATURE_V5),
)
FORMATS = (MATLAB_V5,)
