"""MATLAB files of versions 5 to 7, read with zlib and NumPy alone.

Every size and type in a file is checked against what is there before anything is made of it. The
layout is that of MathWorks' "MAT-File Format", chapter 1 (level 5).
"""

from __future__ import annotations

import functools
import math
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from respectra.errors import FormatError
from respectra.guards.limits import refuse_bomb

Order = Literal["<", ">"]
_ORDERS: dict[bytes, Order] = {b"IM": "<", b"MI": ">"}
_MATRIX, _COMPRESSED = 14, 15
#: NumPy's type of a data element, by its number.
_ELEMENTS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8", 16: "u1", 17: "u2", 18: "u4"}  # fmt: skip # noqa: E501
_UTF8 = 16
_INT8, _INT32, _UINT32 = 1, 5, 6
_CELL, _STRUCT, _CHAR, _OPAQUE = 1, 2, 4, 17
#: Classes of arrays of numbers.
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}  # fmt: skip # noqa: E501
_OTHERS = {1: "a cell array", 2: "a structure", 3: "an object", 5: "a sparse matrix", 16: "a function"}  # fmt: skip # noqa: E501
_COMPLEX_FLAG = 0x0800
_HEADER_BYTES = 4096  # flags, dimensions and name take far less
_MOST_DIMENSIONS = 32
_MOST_VARIABLES = 20_000
_DEEPEST = 16


@dataclass(frozen=True)
class MatlabArray:
    """A variable of a MATLAB file of any version, known before its values are read.

    Attributes:
        name: of fields and cells with slashes between: ``scene/cube``, ``scenes/2``.
        shape: as MATLAB shows it; of an HDF5 array that MATLAB did not mark, as HDF5 does.
        kind: ``numbers``, ``text``, or what else it is.
        dtype: of numbers, as MATLAB shows them; complex where they are.
        stored_bytes: what the file gives for the values.
        compressed: whether they may take less room there than in memory.
        inflation: how many bytes of a value each stored one becomes.
        by_columns: whether the file says that MATLAB's order of axes is meant: always, unless
            another program wrote the HDF5 file.
        unit: what an attribute of an HDF5 array says of it; MATLAB itself writes none.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    dtype: np.dtype[Any] = np.dtype("V0")  # noqa: RUF009 - types do not change
    stored_bytes: int = 0
    compressed: bool = False
    inflation: float = 1.0
    by_columns: bool = True
    unit: str | None = None

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """What is kept together along each axis; None where any part can be read."""
        return self.shape

    def read(self, selection: tuple[slice, ...] = ()) -> npt.NDArray[Any]:
        """The values of an array of numbers, or a part of them, in the shape it has.

        Args:
            selection: slices without a step, one an axis; everything by default.
        """
        if self.kind != "numbers":
            raise FormatError(f"{self.name!r} holds no numbers ({self.kind})")
        return self._numbers().reshape(self.shape, order="F")[selection]

    def text(self) -> str:
        """The first row of a text; empty where there is none."""
        if self.kind != "text":
            raise FormatError(f"{self.name!r} holds no text ({self.kind})")
        return "".join(self._characters()[: self.size : self.shape[0]]) if self.size else ""

    def _numbers(self) -> npt.NDArray[Any]:
        """All values by columns."""
        raise NotImplementedError

    def _characters(self) -> list[str]:
        """All characters by columns."""
        raise NotImplementedError


@dataclass(frozen=True)
class _Mat5Array(MatlabArray):
    _load: Callable[[], memoryview] = lambda: memoryview(b"")
    _at: int = 0
    _order: Order = "<"

    def _numbers(self) -> npt.NDArray[Any]:
        data = self._load()
        kind, content, end = _element(data, self._at, self._order)
        values = self._values(kind, content)
        if self.dtype.kind == "c":
            kind, content, _ = _element(data, end, self._order)
            values = values + 1j * self._values(kind, content).astype(np.float64)
        return values.astype(self.dtype, copy=False)

    def _values(self, kind: int, content: memoryview) -> npt.NDArray[Any]:
        if kind not in _ELEMENTS:
            raise FormatError(f"the values of {self.name!r} have type {kind}, which is none")
        stored = np.dtype(_ELEMENTS[kind]).newbyteorder(self._order)
        if len(content) != self.size * stored.itemsize:
            raise FormatError(
                f"{self.name!r} promises {self.shape} values and holds "
                f"{len(content) // stored.itemsize}"
            )
        return np.frombuffer(content, stored)

    def _characters(self) -> list[str]:
        kind, content, _ = _element(self._load(), self._at, self._order)
        if kind == _UTF8:
            characters = list(str(content, "utf-8", "replace"))
        else:
            codes = np.frombuffer(content, np.dtype(_ELEMENTS[kind]).newbyteorder(self._order))
            characters = [chr(code) if code < 0x110000 else "\ufffd" for code in codes.tolist()]
        if len(characters) < self.size:
            raise FormatError(f"{self.name!r} promises {self.size} characters")
        return characters


class _Bytes(NamedTuple):
    """The bytes that a variable lies in."""

    head: memoryview
    """At least those before the values."""
    load: Callable[[], memoryview]
    """Gives all of them."""
    order: Order
    packed: int | None = None
    """How many the file gives for them, where they are deflated."""


def open_mat5(path: str | os.PathLike[str]) -> dict[str, MatlabArray]:
    """All variables of a MATLAB file of version 5 to 7, fields and cells included."""
    file = Path(path)
    try:
        return collect(_walk(file), file)
    except (struct.error, zlib.error, OverflowError, UnicodeDecodeError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{file} is damaged: {error}") from None


def collect(variables: Iterator[MatlabArray], path: Path) -> dict[str, MatlabArray]:
    """Variables by name, the first of each; not without end."""
    found: dict[str, MatlabArray] = {}
    for variable in variables:
        if len(found) >= _MOST_VARIABLES:
            raise FormatError(f"{path} holds more than {_MOST_VARIABLES} variables")
        found.setdefault(variable.name, variable)
    return found


def read_part(path: Path, start: int, stop: int) -> bytes:
    """Bytes of a file; fewer where it ends before."""
    with path.open("rb") as file:
        file.seek(start)
        return file.read(max(0, stop - start))


def _walk(path: Path) -> Iterator[MatlabArray]:
    size = path.stat().st_size
    order = _ORDERS.get(read_part(path, 126, 128))
    if order is None:
        raise FormatError(f"{path} is damaged: its byte order is unknown")
    stop = 128
    while stop < size:
        tag, start = read_part(path, stop, stop + 8), stop + 8
        if len(tag) < 8:
            raise FormatError(f"{path} is truncated")
        kind, length = struct.unpack(f"{order}II", tag)
        stop = start + length
        if stop > size:
            raise FormatError(f"{path} is truncated: a variable reaches beyond its end")
        head = read_part(path, start, min(stop, start + _HEADER_BYTES))
        at, packed, promised = 0, None, None
        if kind == _COMPRESSED:
            head, packed = _inflate(head, _HEADER_BYTES), length
            if len(head) < 8:
                raise FormatError(f"{path} is damaged: a variable without a tag")
            kind, length = struct.unpack(f"{order}II", head[:8])
            at, promised = 8, 8 + length
        if kind != _MATRIX:
            raise FormatError(f"{path} is damaged: an element of type {kind} is no variable")
        load = functools.partial(_whole, path, start, stop, promised)
        yield from _variable(_Bytes(memoryview(head), load, order, packed), at, length, None, 0)


def _whole(path: Path, start: int, stop: int, promised: int | None) -> memoryview:
    """All bytes of a variable; what is packed must unpack to exactly what it promises."""
    data = read_part(path, start, stop)
    if promised is not None:
        refuse_bomb(path, needed_bytes=promised, stored_bytes=len(data))
        data = _inflate(data, promised)
        if len(data) != promised:
            raise FormatError(f"{path} is truncated: a variable is shorter than it promises")
    return memoryview(data)


def _variable(
    source: _Bytes, at: int, length: int, called: str | None, depth: int
) -> Iterator[MatlabArray]:
    """A variable whose content begins at ``at`` of its bytes; its parts when it has any."""
    if depth > _DEEPEST:
        raise FormatError("structures are nested too deeply")
    head, order, stop = source.head, source.order, at + length
    kind, flags, at = _element(head, at, order)
    if kind != _UINT32 or len(flags) != 8:
        raise FormatError("a variable has no flags")
    (bits,) = struct.unpack(f"{order}I", flags[:4])
    matlab_class = bits & 0xFF
    if matlab_class == _OPAQUE:  # an object of a class; has neither dimensions nor a name here
        return
    kind, dims, at = _element(head, at, order)
    if kind != _INT32 or len(dims) % 4 or not 2 <= len(dims) // 4 <= _MOST_DIMENSIONS:
        raise FormatError("a variable has no dimensions")
    shape = struct.unpack(f"{order}{len(dims) // 4}i", dims)
    kind, name_bytes, at = _element(head, at, order)
    if kind != _INT8 or min(shape) < 0:
        raise FormatError("a variable has no name or a negative size")
    name = str(name_bytes, "latin-1") if called is None else called
    if matlab_class not in _CLASSES and matlab_class != _CHAR:
        yield _Mat5Array(name, shape, _OTHERS.get(matlab_class, "other"))
        if matlab_class in (_CELL, _STRUCT):
            data = source.load()
            parts = _Bytes(data, lambda: data, order)
            yield from _parts(parts, at, stop, name, shape, matlab_class, depth)
        return
    kind, count, _ = _tag(head, at, order)
    if kind not in _ELEMENTS or at + count > stop:
        raise FormatError(f"the values of {name!r} have type {kind} and {count:,} bytes")
    stored = np.dtype(_ELEMENTS[kind])
    if matlab_class != _CHAR and count != math.prod(shape) * stored.itemsize:
        raise FormatError(f"{name!r} promises {shape} values and holds {count:,} bytes")
    dtype = np.dtype(_CLASSES.get(matlab_class, "u2"))
    yield _Mat5Array(
        name, shape, "text" if matlab_class == _CHAR else "numbers",
        np.dtype(np.complex128) if bits & _COMPLEX_FLAG else dtype,
        stored_bytes=count if source.packed is None else source.packed,
        compressed=source.packed is not None, inflation=dtype.itemsize / stored.itemsize,
        _load=source.load, _at=at, _order=order,
    )  # fmt: skip


def _parts(
    source: _Bytes,
    at: int,
    stop: int,
    name: str,
    shape: tuple[int, ...],
    matlab_class: int,
    depth: int,
) -> Iterator[MatlabArray]:
    """The fields of a structure, the cells of a cell array; numbered from 1 where several are."""
    data, order, fields = source.head, source.order, [""]
    if matlab_class == _STRUCT:
        _, width_bytes, at = _element(data, at, order)
        _, names, at = _element(data, at, order)
        width = struct.unpack(f"{order}i", width_bytes)[0] if len(width_bytes) == 4 else 0
        if width < 1 or len(names) % width:
            raise FormatError(f"the structure {name!r} has no field names")
        fields = [
            bytes(names[i : i + width]).split(b"\0")[0].decode("latin-1")
            for i in range(0, len(names), width)
        ]
    count = math.prod(shape)
    if count * len(fields) > min(_MOST_VARIABLES, len(data)):
        raise FormatError(f"{name!r} claims {count * len(fields):,} parts")
    for number in range(count):
        for label in fields:
            kind, length, begin = _tag(data, at, order)
            if kind != _MATRIX or begin + length > min(stop, len(data)):
                raise FormatError(f"a part of {name!r} is no variable")
            parts = [name, *([str(number + 1)] if count > 1 or not label else []), label]
            called = "/".join(part for part in parts if part)
            if length:
                yield from _variable(source, begin, length, called, depth + 1)
            at = begin + -(-length // 8) * 8


def _element(data: memoryview, at: int, order: Order) -> tuple[int, memoryview, int]:
    """(type, content, where the next one begins) of the element at ``at``."""
    kind, length, begin = _tag(data, at, order)
    content = data[begin : begin + length]
    if len(content) < length:
        raise FormatError("it is truncated or damaged")
    end = at + 8 if begin == at + 4 else begin + -(-length // 8) * 8
    return kind, content, end


def _tag(data: memoryview, at: int, order: Order) -> tuple[int, int, int]:
    """(type, bytes of content, where it begins); up to four bytes share the tag's own eight."""
    if at + 8 > len(data):
        raise FormatError("it is truncated or damaged")
    first, second = struct.unpack(f"{order}II", data[at : at + 8])
    if first >> 16:
        if first >> 16 > 4:
            raise FormatError(f"a small element claims {first >> 16} bytes")
        return first & 0xFFFF, first >> 16, at + 4
    return first, second, at + 8


def _inflate(data: bytes, most: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, max(1, most))
    except zlib.error as error:
        raise FormatError(f"a variable cannot be unpacked ({error})") from None
