"""HDF5 files, read without letting the HDF5 library near this process.

Another process says where the values lie (:mod:`hdf5_reader`); here they are read from the file
itself and unpacked with zlib and NumPy, every chunk checked to be exactly as long as it promises.
So a short chunk never shows memory that it did not fill, values never come from another file, and
several threads read at once.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from respectra.errors import FormatError
from respectra.guards.limits import refuse_bomb
from respectra.guards.processes import ask_hdf5

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_DEFLATE, _SHUFFLE, _FLETCHER32, _LZF, _ZSTD = 1, 2, 3, 32000, 32015
_KNOWN = (_DEFLATE, _SHUFFLE, _FLETCHER32, _LZF, _ZSTD)
_NAMES = {4: "szip", 5: "nbit", 6: "scaleoffset", 32001: "blosc", 32004: "lz4", 32008: "bitshuffle"}


def is_hdf5(path: str | os.PathLike[str]) -> bool:
    """Whether a file has the signature of HDF5 at one of the places where it may be."""
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            at = 0
            while at + len(SIGNATURE) <= size:
                file.seek(at)
                if file.read(len(SIGNATURE)) == SIGNATURE:
                    return True
                at = at * 2 or 512
    except OSError:
        pass
    return False


@dataclass(frozen=True)
class Hdf5Array:
    """An array of an HDF5 file, known before its values are read.

    Attributes:
        path: the file.
        name: groups and name, with slashes between: ``group/cube``.
        kind: ``numbers``, ``text``, ``references``, ``empty``, ``outside`` (values that lie in
            another file) or ``other``; values of numbers and texts alone can be read.
        shape: as stored.
        dtype: of numbers as stored.
        attrs: text, numbers, and arrays of numbers.
        dims: names of the dimensions, with groups, where the file gives them.
        texts: values of an array of texts.
        targets: names of the arrays that references lead to.
    """

    path: Path
    name: str
    kind: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    attrs: Mapping[str, Any]
    dims: tuple[str | None, ...] | None = None
    texts: tuple[str, ...] = ()
    targets: tuple[str | None, ...] = ()
    _layout: Mapping[str, Any] = field(default_factory=dict, repr=False)
    _table: bytes = field(default=b"", repr=False)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the values in memory."""
        return self.size * self.dtype.itemsize

    @property
    def compressed(self) -> bool:
        """Whether values may take less room in the file than in memory."""
        return self._layout.get("layout") == "chunked" or self._layout.get("offset", 0) is None

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """What is kept together along each axis; None where any part can be read."""
        if self._layout.get("layout") != "chunked":
            return None
        return tuple(int(n) for n in self._layout["chunks"])

    @property
    def stored_bytes(self) -> int:
        """Bytes of the values in the file; where they lie elsewhere, what they would take."""
        if self._layout.get("layout") != "chunked":
            return self.nbytes
        return int(self._chunks()[:, -1].sum())

    def read(self, selection: tuple[slice | int, ...] = ()) -> npt.NDArray[Any]:
        """Values, or a part of them.

        Args:
            selection: slices of positive step and indices; missing ones take everything.
        """
        whole = tuple(selection) + (slice(None),) * (len(self.shape) - len(selection))
        bounds = [_bounds(part, n) for part, n in zip(whole, self.shape, strict=True)]
        self._refuse(math.prod(stop - start for start, stop in bounds) * self.dtype.itemsize)
        layout = self._layout["layout"]
        if layout == "chunked":
            values = self._read_chunks(bounds)
        elif layout == "compact":
            values = self._compact()[tuple(slice(*b) for b in bounds)]
        else:
            values = self._contiguous(bounds)
        return values[
            tuple(slice(None, None, p.step) if isinstance(p, slice) else 0 for p in whole)
        ]

    def _refuse(self, needed_bytes: int) -> None:
        where = f"{self.name!r} of {self.path}"
        if self.kind == "outside":
            raise FormatError(
                f"{where} keeps its values in other files, which are not followed; make the file "
                "self-contained (h5repack)"
            )
        if self.kind != "numbers":
            raise FormatError(f"{where} holds no numbers ({self.kind})")
        unknown = [n for n, _ in self._layout.get("filters", ()) if n not in _KNOWN]
        if unknown:
            named = _NAMES.get(unknown[0], f"number {unknown[0]}")
            raise FormatError(
                f"{where} is packed with the filter {named}, which is not read; "
                "repack the file: h5repack -f GZIP=4 IN OUT"
            )
        refuse_bomb(
            where,
            needed_bytes=needed_bytes,
            stored_bytes=min(self.stored_bytes, self.path.stat().st_size),
            compressed=self.compressed,
        )

    def _compact(self) -> npt.NDArray[Any]:
        start, count = self._layout["place"]
        data = self._table[start : start + count]
        if len(data) != self.nbytes:
            raise FormatError(f"{self.name!r} of {self.path} is damaged")
        return np.frombuffer(data, self.dtype).reshape(self.shape)

    def _contiguous(self, bounds: Sequence[tuple[int, int]]) -> npt.NDArray[Any]:
        shape = tuple(stop - start for start, stop in bounds)
        offset = self._layout["offset"]
        if offset is None:  # never written
            return np.full(shape, self._layout["fill"] or 0, self.dtype)
        if offset < 0 or offset + self.nbytes > self.path.stat().st_size:
            raise FormatError(f"{self.path} is truncated: {self.name!r} reaches beyond its end")
        if shape == self.shape or not self.shape:
            with self.path.open("rb") as file:
                file.seek(offset)
                values = np.fromfile(file, self.dtype, self.size)
            return values.reshape(self.shape)
        mapped = np.memmap(self.path, self.dtype, "r", offset, self.shape)
        return np.array(mapped[tuple(slice(*b) for b in bounds)])

    def _chunks(self) -> npt.NDArray[np.int64]:
        start, count = self._layout["place"]
        table = np.frombuffer(self._table[start : start + count], np.int64)
        return table.reshape(-1, len(self.shape) + 3)

    def _read_chunks(self, bounds: Sequence[tuple[int, int]]) -> npt.NDArray[Any]:
        chunks, table = self._layout["chunks"], self._chunks()
        chunk_bytes = math.prod(chunks) * self.dtype.itemsize
        where = f"{self.name!r} of {self.path}"
        biggest = int(table[:, -1].max(initial=0))
        refuse_bomb(f"a chunk of {where}", needed_bytes=chunk_bytes, stored_bytes=biggest)
        places, sides = table[:, : len(chunks)], np.array(chunks, np.int64)
        if (places < 0).any() or (places % sides).any():
            raise FormatError(f"{self.path} is damaged: a chunk of {self.name!r} has no place")
        starts, stops = np.array(bounds, np.int64).T
        touched = table[((places < stops) & (places + sides > starts)).all(axis=1)]
        values = np.full(stops - starts, self._layout["fill"] or 0, self.dtype)
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            for *place, mask, offset, stored in touched.tolist():
                if offset < 0 or stored < 0 or offset + stored > size:
                    raise FormatError(f"{self.path} is truncated: a chunk of {where} is missing")
                file.seek(offset)
                data = _unpack(file.read(stored), self._layout["filters"], mask, chunk_bytes, where)
                block = np.frombuffer(data, self.dtype).reshape(chunks)
                low, high = np.maximum(place, starts), np.minimum(place + sides, stops)
                values[_spans(low - starts, high - starts)] = block[
                    _spans(low - place, high - place)
                ]
        return values


@dataclass(frozen=True)
class Hdf5File:
    """What an HDF5 file holds.

    Attributes:
        path: the file.
        arrays: by groups and name.
        groups: attributes by name; the file's own under the empty name.
        skipped: what is not followed or cannot be read, and why.
    """

    path: Path
    arrays: Mapping[str, Hdf5Array]
    groups: Mapping[str, Mapping[str, Any]]
    skipped: Mapping[str, str]


def open_hdf5(path: str | os.PathLike[str]) -> Hdf5File:
    """What an HDF5 file holds; nothing of its values is read."""
    file = Path(path).absolute()
    if not is_hdf5(file):
        raise FormatError(f"{path} is not an HDF5 file")
    facts = file.stat()
    return _indexed(Path(path), file, (facts.st_mtime_ns, facts.st_size, facts.st_ino))


@functools.lru_cache(maxsize=8)
def _indexed(file: Path, absolute: Path, version: tuple[int, ...]) -> Hdf5File:
    """What a file holds; asked once while the file stays as it is."""
    answer, table = ask_hdf5(file)
    try:
        arrays = {
            name: _array(file, name, facts, table) for name, facts in answer["datasets"].items()
        }
        groups = {name: _attributes(attrs) for name, attrs in answer["groups"].items()}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"{file} is damaged: {error}") from None
    return Hdf5File(file, arrays, groups, answer["skipped"])


def _array(path: Path, name: str, facts: Mapping[str, Any], table: bytes) -> Hdf5Array:
    return Hdf5Array(
        path=path,
        name=name,
        kind=facts["kind"],
        shape=tuple(facts["shape"] or ()),
        # Values that lie elsewhere have no type here; whoever reads them is told why.
        dtype=np.dtype(facts.get("dtype", "f4" if facts["kind"] == "outside" else "V0")),
        attrs=_attributes(facts["attrs"]),
        dims=None if facts["dims"] is None else tuple(facts["dims"]),
        texts=tuple(facts.get("texts") or ()),
        targets=tuple(facts.get("targets") or ()),
        _layout=facts,
        _table=table,
    )


def _attributes(attrs: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in attrs.items():
        if isinstance(value, dict):
            array = np.array(value["values"], np.dtype(value["dtype"]))
            found[name] = array[()] if array.ndim == 0 else array
        else:
            found[name] = value
    return found


def _bounds(part: slice | int, n: int) -> tuple[int, int]:
    if not isinstance(part, slice):
        at = range(n)[part]
        return at, at + 1
    start, stop, step = part.indices(n)
    if step < 1:
        raise IndexError("steps are positive")
    return start, max(start, stop)


def _spans(low: npt.NDArray[np.int64], high: npt.NDArray[np.int64]) -> tuple[slice, ...]:
    return tuple(map(slice, low.tolist(), high.tolist()))


def _unpack(
    data: bytes, filters: Sequence[tuple[int, Sequence[int]]], mask: int, expected: int, where: str
) -> bytes:
    """The bytes of a chunk, exactly as many as expected."""
    # What a filter gets at most: each checksum before it adds four bytes.
    sums = [int(number == _FLETCHER32) for number, _ in filters]
    largest = [expected + 4 * total for total in itertools.accumulate(sums, initial=0)]
    for step in reversed(range(len(filters))):
        number, options = filters[step]
        if mask >> step & 1:
            continue
        try:
            data = _undo(number, options, data, largest[step])
        except FormatError as error:
            raise FormatError(f"a chunk of {where} {error}") from None
        except Exception as error:
            raise FormatError(f"a chunk of {where} is damaged: {str(error)[:200]}") from None
    if len(data) != expected:
        raise FormatError(
            f"a chunk of {where} unpacks to {len(data):,} bytes where {expected:,} are promised; "
            "the file is damaged or made to read memory"
        )
    return data


def _undo(number: int, options: Sequence[int], data: bytes, largest: int) -> bytes:
    if number == _DEFLATE:
        unpacker = zlib.decompressobj()
        out = unpacker.decompress(data, largest + 1)
        if not unpacker.eof:
            raise FormatError("is cut short or longer than it promises")
        return out
    if number == _SHUFFLE:
        width = options[0] if options else 1
        whole = len(data) // max(1, width) * width
        if width < 2 or not whole:
            return data
        planes = np.frombuffer(data, np.uint8, whole).reshape(width, -1)
        return planes.T.tobytes() + data[whole:]
    import imagecodecs

    if number == _FLETCHER32:
        if len(data) < 4:
            raise FormatError("is shorter than its checksum")
        found = int.from_bytes(data[-4:], "little")
        if imagecodecs.h5checksum_fletcher32(data[:-4]) != found:
            raise FormatError("does not fit its checksum")
        return data[:-4]
    decode = imagecodecs.lzf_decode if number == _LZF else imagecodecs.zstd_decode
    return bytes(decode(data, out=bytearray(largest)))
