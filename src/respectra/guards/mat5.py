"""MATLAB files of versions 4 and 5 to 7, read with zlib and NumPy alone.

Every size and type in a file is checked against what is there before anything is made of it. The
layouts are those of MathWorks' "MAT-File Format", chapter 1 (level 5) and chapter 2 (level 4).
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

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
_OTHERS = {3: "an object", 5: "a sparse matrix", 16: "a function", _OPAQUE: "an object"}
_COMPLEX_FLAG = 0x0800
_HEADER_BYTES = 4096  # flags, dimensions and name take far less
_MOST_DIMENSIONS = 32
_MOST_VARIABLES = 20_000
_DEEPEST = 16
#: Type of the values of a level 4 matrix, by the third digit of its type.
_LEVEL_4 = {0: "f8", 1: "f4", 2: "i4", 3: "i2", 4: "u2", 5: "u1"}
_LONGEST_NAME = 4096


@dataclass(frozen=True)
class Mat5Array:
    """A variable, known before its values are read.

    Attributes:
        name: of fields and cells with slashes between: ``scene/cube``, ``scenes/2``.
        shape: as MATLAB shows it.
        kind: ``numbers``, ``text``, or what else it is.
        dtype: of numbers, as MATLAB shows them; complex where they are.
        stored_bytes: what the file gives for the values.
        compressed: whether they are deflated.
        inflation: how many bytes of a value each stored one becomes.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    dtype: np.dtype[Any]
    stored_bytes: int
    compressed: bool = False
    inflation: float = 1.0
    _source: _Source | None = field(default=None, repr=False)
    _at: int = 0
    _order: Order = "<"

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def read(self) -> npt.NDArray[Any]:
        """The values of an array of numbers, in MATLAB's shape and order of memory.

        Raises:
            FormatError: it holds no numbers, or the file holds fewer than it promises.
        """
        if self.kind != "numbers" or self._source is None:
            raise FormatError(f"{self.name!r} holds no numbers ({self.kind})")
        kind, data, end = self._source.element(self._at, self._order)
        values = self._values(kind, data)
        if self.dtype.kind == "c":
            kind, data, _ = self._source.element(end, self._order)
            values = values + 1j * self._values(kind, data).astype(np.float64)
        return values.astype(self.dtype, copy=False).reshape(self.shape, order="F")

    def text(self) -> tuple[str, ...]:
        """The rows of a character array.

        Raises:
            FormatError: it is none.
        """
        if self.kind != "text" or self._source is None:
            raise FormatError(f"{self.name!r} holds no text ({self.kind})")
        kind, data, _ = self._source.element(self._at, self._order)
        if kind == _UTF8:
            characters = list(data.decode("utf-8", "replace"))
        else:
            codes = np.frombuffer(data, np.dtype(_ELEMENTS[kind]).newbyteorder(self._order))
            characters = [chr(code) if code < 0x110000 else "\ufffd" for code in codes.tolist()]
        if len(characters) < self.size:
            raise FormatError(f"{self.name!r} promises {self.size} characters")
        rows = self.shape[0] if self.size else 0
        return tuple("".join(characters[row : self.size : rows]) for row in range(rows))

    def _values(self, kind: int, data: bytes) -> npt.NDArray[Any]:
        if kind not in _ELEMENTS:
            raise FormatError(f"the values of {self.name!r} have type {kind}, which is none")
        stored = np.dtype(_ELEMENTS[kind]).newbyteorder(self._order)
        if len(data) != self.size * stored.itemsize:
            raise FormatError(
                f"{self.name!r} promises {self.shape} values and holds "
                f"{len(data) // stored.itemsize}"
            )
        return np.frombuffer(data, stored)


class _Source:
    """The bytes of a variable: in the file, or unpacked when they are first needed."""

    def __init__(self, path: Path, start: int, stop: int, packed: int | None = None) -> None:
        self._path, self._start, self._stop = path, start, stop
        self._packed = packed
        """Bytes of the variable when it is unpacked; None when it lies open in the file."""

    def head(self) -> bytes:
        """The first few thousand bytes."""
        with self._path.open("rb") as file:
            file.seek(self._start)
            data = file.read(min(_HEADER_BYTES, self._stop - self._start))
        return data if self._packed is None else _inflate(data, _HEADER_BYTES)

    def whole(self) -> bytes:
        """All bytes; what is packed must unpack to exactly what it promises."""
        with self._path.open("rb") as file:
            file.seek(self._start)
            data = file.read(self._stop - self._start)
        if self._packed is None:
            return data
        refuse_bomb(self._path, needed_bytes=self._packed, stored_bytes=len(data))
        out = _inflate(data, self._packed)
        if len(out) != self._packed:
            raise FormatError(f"{self._path} is truncated: a variable is shorter than it promises")
        return out

    def element(self, at: int, order: Order) -> tuple[int, bytes, int]:
        """(type, content, where the next begins) of the element at ``at``."""
        if self._packed is not None:
            return _element(self.whole(), at, order)
        with self._path.open("rb") as file:
            file.seek(self._start + at)
            kind, length, begin = _tag(file.read(8), 0, order)
            if self._start + at + begin + length > self._stop:
                raise FormatError(f"{self._path} is truncated")
            file.seek(self._start + at + begin)
            content = file.read(length)
        if len(content) != length:
            raise FormatError(f"{self._path} is truncated")
        end = at + (8 if begin == 4 else 8 + -(-length // 8) * 8)
        return kind, content, end


class _Memory(_Source):
    """A part of a variable that has been read already."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def element(self, at: int, order: Order) -> tuple[int, bytes, int]:
        return _element(self._data, at, order)


def open_mat5(path: str | os.PathLike[str]) -> dict[str, Mat5Array]:
    """All variables of a MATLAB file of version 5 to 7, fields and cells included.

    Raises:
        FormatError: it is damaged, or a size or a type in it cannot be.
    """
    file = Path(path)
    try:
        return _collect(_walk(file), file)
    except (struct.error, zlib.error, OverflowError, UnicodeDecodeError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{file} is damaged: {error}") from None


def open_mat4(path: str | os.PathLike[str]) -> dict[str, Mat5Array]:
    """All variables of a MATLAB file of version 4, which holds matrices and nothing else.

    Raises:
        FormatError: it is damaged or something else.
    """
    file = Path(path)
    try:
        return _collect(_walk_level_4(file), file)
    except (struct.error, OverflowError) as error:
        raise FormatError(f"{file} is damaged: {error}") from None


def looks_like_mat4(head: bytes) -> bool:
    """Whether first bytes can be those of a level 4 file, which has no signature."""
    return _level_4_header(head) is not None


def _collect(variables: Iterator[Mat5Array], path: Path) -> dict[str, Mat5Array]:
    found: dict[str, Mat5Array] = {}
    for variable in variables:
        if len(found) >= _MOST_VARIABLES:
            raise FormatError(f"{path} holds more than {_MOST_VARIABLES} variables")
        found.setdefault(variable.name, variable)
    return found


def _walk(path: Path) -> Iterator[Mat5Array]:
    size = path.stat().st_size
    with path.open("rb") as file:
        order = _ORDERS.get(file.read(128)[126:128])
        if order is None:
            raise FormatError(f"{path} is damaged: its byte order is unknown")
        position = 128
        while tag := file.read(8):
            if len(tag) < 8:
                raise FormatError(f"{path} is truncated")
            kind, count = struct.unpack(f"{order}II", tag)
            start, stop = position + 8, position + 8 + count
            if stop > size:
                raise FormatError(f"{path} is truncated: a variable reaches beyond its end")
            packed = None
            if kind == _COMPRESSED:
                file.seek(start)
                head = _inflate(file.read(min(count, _HEADER_BYTES)), 8)
                if len(head) < 8:
                    raise FormatError(f"{path} is damaged: a variable without a tag")
                kind, inner = struct.unpack(f"{order}II", head)
                packed = inner + 8
            if kind != _MATRIX:
                raise FormatError(f"{path} is damaged: an element of type {kind} is no variable")
            source = _Source(path, start, stop, packed)
            at = 0 if packed is None else 8
            length = (count if packed is None else packed) - at
            yield from _variable(source, source.head(), at, length, order, None, 0)
            position = stop
            file.seek(position)


def _variable(
    source: _Source, head: bytes, at: int, length: int, order: Order, called: str | None, depth: int
) -> Iterator[Mat5Array]:
    """A variable whose content begins at ``at`` of a source; its parts when it has any."""
    if depth > _DEEPEST:
        raise FormatError("structures are nested too deeply")
    begin = at
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
    name = name_bytes.decode("latin-1") if called is None else called
    if matlab_class in (_CELL, _STRUCT):
        yield Mat5Array(
            name, shape, "a cell array" if matlab_class == _CELL else "a structure",
            np.dtype("V0"), 0,
        )  # fmt: skip
        data = head if isinstance(source, _Memory) else source.whole()
        yield from _parts(data, at, begin + length, order, name, shape, matlab_class, depth)
        return
    if matlab_class not in _CLASSES and matlab_class != _CHAR:
        yield Mat5Array(name, shape, _OTHERS.get(matlab_class, "other"), np.dtype("V0"), 0)
        return
    kind, count, _ = _tag(head, at, order)
    if kind not in _ELEMENTS or at + count > begin + length:
        raise FormatError(f"the values of {name!r} have type {kind} and {count:,} bytes")
    compressed = source is not None and getattr(source, "_packed", None) is not None
    dtype = np.dtype(_CLASSES.get(matlab_class, "u2"))
    inflation = dtype.itemsize / np.dtype(_ELEMENTS[kind]).itemsize
    if bits & _COMPLEX_FLAG:
        dtype = np.dtype(np.complex128)
    if matlab_class != _CHAR and count != math.prod(shape) * np.dtype(_ELEMENTS[kind]).itemsize:
        raise FormatError(f"{name!r} promises {shape} values and holds {count:,} bytes")
    yield Mat5Array(
        name, shape, "text" if matlab_class == _CHAR else "numbers", dtype,
        stored_bytes=source._stop - source._start if compressed else count,
        compressed=compressed, inflation=inflation,
        _source=source, _at=at, _order=order,
    )  # fmt: skip


def _parts(
    data: bytes, at: int, stop: int, order: Order, name: str, shape: tuple[int, ...],
    matlab_class: int, depth: int,
) -> Iterator[Mat5Array]:  # fmt: skip
    """The fields of a structure, the cells of a cell array; numbered from 1 where several are."""
    fields = [""]
    if matlab_class == _STRUCT:
        _, width_bytes, at = _element(data, at, order)
        _, names, at = _element(data, at, order)
        if len(width_bytes) != 4:
            raise FormatError(f"the structure {name!r} has no field names")
        (width,) = struct.unpack(f"{order}i", width_bytes)
        if width < 1 or len(names) % width:
            raise FormatError(f"the structure {name!r} has no field names")
        fields = [
            names[i : i + width].split(b"\0")[0].decode("latin-1")
            for i in range(0, len(names), width)
        ]
    count = math.prod(shape)
    if count * len(fields) > min(_MOST_VARIABLES, len(data)):
        raise FormatError(f"{name!r} claims {count * len(fields):,} parts")
    memory = _Memory(data)
    for number in range(count):
        for label in fields:
            kind, length, begin = _tag(data, at, order)
            if kind != _MATRIX or begin + length > min(stop, len(data)):
                raise FormatError(f"a part of {name!r} is no variable")
            parts = [name, *([str(number + 1)] if count > 1 or not label else []), label]
            called = "/".join(part for part in parts if part)
            if length:
                yield from _variable(memory, data, begin, length, order, called, depth + 1)
            at = begin + -(-length // 8) * 8


def _element(data: bytes, at: int, order: Order) -> tuple[int, bytes, int]:
    """(type, content, where the next one begins) of the element at ``at``."""
    kind, length, begin = _tag(data, at, order)
    content = data[begin : begin + length]
    if len(content) < length:
        raise FormatError("it is truncated or damaged")
    end = at + 8 if begin == at + 4 else begin + -(-length // 8) * 8
    return kind, content, end


def _tag(data: bytes, at: int, order: Order) -> tuple[int, int, int]:
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


# --- level 4 -----------------------------------------------------------------------------------


def _level_4_header(
    data: bytes,
) -> tuple[Order, np.dtype[Any], int, tuple[int, int], bool, int] | None:
    """(byte order, type, kind, shape, whether complex, bytes of the name) of a matrix."""
    if len(data) < 20:
        return None
    for order in _ORDERS.values():
        number, rows, columns, imaginary, length = struct.unpack(f"{order}5i", data[:20])
        machine, zero, precision, kind = number // 1000, number // 100 % 10, number // 10 % 10, number % 10  # fmt: skip # noqa: E501
        if (
            0 <= number < 2000
            and machine == (order == ">")
            and zero == 0
            and precision in _LEVEL_4
            and kind in (0, 1, 2)
            and rows >= 0
            and columns >= 0
            and imaginary in (0, 1)
            and 1 < length <= _LONGEST_NAME
        ):
            dtype = np.dtype(_LEVEL_4[precision]).newbyteorder(order)
            return order, dtype, kind, (rows, columns), bool(imaginary), length
    return None


def _walk_level_4(path: Path) -> Iterator[Mat5Array]:
    size = path.stat().st_size
    position = 0
    with path.open("rb") as file:
        while header := file.read(20):
            found = _level_4_header(header)
            if found is None:
                raise FormatError(f"{path} is damaged or no MATLAB file")
            _, dtype, kind, shape, is_complex, length = found
            name = file.read(length).split(b"\0")[0].decode("latin-1")
            start = position + 20 + length
            count = math.prod(shape) * dtype.itemsize
            stop = start + count * (1 + is_complex)
            if stop > size:
                raise FormatError(f"{path} is truncated: {name!r} reaches beyond its end")
            title = ("numbers", "text", "a sparse matrix")[kind]
            yield _Level4Array(
                name, shape, title, np.dtype(np.complex128) if is_complex else dtype, count,
                _source=_Source(path, start, stop), _stored=dtype,
            )  # fmt: skip
            position = stop
            file.seek(position)


@dataclass(frozen=True)
class _Level4Array(Mat5Array):
    """A matrix of level 4: its values lie in the file without tags."""

    _stored: np.dtype[Any] | None = None

    def read(self) -> npt.NDArray[Any]:
        if self.kind != "numbers":
            raise FormatError(f"{self.name!r} holds no numbers ({self.kind})")
        values = self._all()
        if self.dtype.kind == "c":
            values = values[: self.size] + 1j * values[self.size :].astype(np.float64)
        return values.reshape(self.shape, order="F")

    def text(self) -> tuple[str, ...]:
        if self.kind != "text":
            raise FormatError(f"{self.name!r} holds no text ({self.kind})")
        codes = self._all().reshape(self.shape, order="F")
        with np.errstate(invalid="ignore"):
            codes = np.nan_to_num(codes.astype(np.float64)).clip(0, 0x10FFFF).astype(np.uint32)
        return tuple("".join(map(chr, row)) for row in codes.tolist())

    def _all(self) -> npt.NDArray[Any]:
        assert self._source is not None
        return np.frombuffer(self._source.whole(), self._stored)
