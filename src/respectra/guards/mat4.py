"""MATLAB files of version 4, which hold matrices and nothing else.

The layout is that of MathWorks' "MAT-File Format", chapter 2 (level 4).
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from respectra.errors import FormatError
from respectra.guards.mat5 import MatlabArray, collect, read_part

#: Type of the values of a matrix, by the third digit of its type.
_TYPES = {0: "f8", 1: "f4", 2: "i4", 3: "i2", 4: "u2", 5: "u1"}
_KINDS = ("numbers", "text", "a sparse matrix")
_LONGEST_NAME = 4096
_HEADER_BYTES = 20


class _Header(NamedTuple):
    """What stands before a matrix."""

    dtype: np.dtype[Any]
    kind: str
    shape: tuple[int, int]
    is_complex: bool
    name_bytes: int


@dataclass(frozen=True)
class _Mat4Array(MatlabArray):
    _path: Path = Path()
    _start: int = 0
    _stored: np.dtype[Any] = np.dtype("f8")  # noqa: RUF009 - types do not change

    def _numbers(self) -> npt.NDArray[Any]:
        parts = 2 if self.dtype.kind == "c" else 1
        stop = self._start + self.size * self._stored.itemsize * parts
        values = np.frombuffer(read_part(self._path, self._start, stop), self._stored)
        if parts == 2:
            values = values[: self.size] + 1j * values[self.size :].astype(np.float64)
        return np.asarray(values)

    def _characters(self) -> list[str]:
        with np.errstate(invalid="ignore"):
            codes = np.nan_to_num(self._numbers().real.astype(np.float64))
        return [chr(int(code)) for code in codes.clip(0, 0x10FFFF)]


def open_mat4(path: str | os.PathLike[str]) -> dict[str, MatlabArray]:
    """All variables of a MATLAB file of version 4."""
    file = Path(path)
    try:
        return collect(_walk(file), file)
    except (struct.error, OverflowError) as error:
        raise FormatError(f"{file} is damaged: {error}") from None


def looks_like_mat4(head: bytes) -> bool:
    """Whether first bytes can be those of a file of version 4, which has no signature."""
    return _header(head) is not None


def _header(data: bytes) -> _Header | None:
    if len(data) < _HEADER_BYTES:
        return None
    for order in "<>":
        number, rows, columns, imaginary, length = struct.unpack(f"{order}5i", data[:_HEADER_BYTES])
        # Its digits: the byte order, a zero, the type, and what the matrix is.
        machine, zero, precision, kind = number // 1000, number // 100 % 10, number // 10 % 10, number % 10  # fmt: skip # noqa: E501
        if (
            0 <= number < 2000
            and machine == (order == ">")
            and zero == 0
            and precision in _TYPES
            and kind < len(_KINDS)
            and rows >= 0
            and columns >= 0
            and imaginary in (0, 1)
            and 1 < length <= _LONGEST_NAME
        ):
            dtype = np.dtype(_TYPES[precision]).newbyteorder(order)  # type: ignore[arg-type]
            return _Header(dtype, _KINDS[kind], (rows, columns), bool(imaginary), length)
    return None


def _walk(path: Path) -> Iterator[MatlabArray]:
    size, stop = path.stat().st_size, 0
    while stop < size:
        start = stop + _HEADER_BYTES
        header = _header(read_part(path, stop, start))
        if header is None:
            raise FormatError(f"{path} is damaged or no MATLAB file")
        dtype, kind, shape, is_complex, name_bytes = header
        name = read_part(path, start, start + name_bytes).split(b"\0")[0].decode("latin-1")
        start += name_bytes
        count = math.prod(shape) * dtype.itemsize
        stop = start + count * (1 + is_complex)
        if stop > size:
            raise FormatError(f"{path} is truncated: {name!r} reaches beyond its end")
        shown = np.dtype(np.complex128) if is_complex else dtype
        yield _Mat4Array(name, shape, kind, shown, count, _path=path, _start=start, _stored=dtype)
