"""Zarr stores, looked through before the library and its codecs see them.

A store is a folder of JSON and chunks. Only codecs that neither execute anything nor make more of
a chunk than its array promises are let through (``pickle`` is a codec of old versions); every chunk
is asked what it unpacks to; nothing outside the folder is followed.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from respectra.errors import FormatError
from respectra.guards.limits import refuse_bomb
from respectra.guards.text import parse_object, read_bytes

MOST_METADATA = 2**24
_MOST_FILES = 5_000_000
_DEEPEST = 32
METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
_COMPRESSORS = ("blosc", "zstd", "gzip", "zlib", "lz4")
#: Those of which only unpacking tells how much there is.
_DEFLATED = ("gzip", "zlib")
#: Filters that keep or widen values one by one.
_FILTERS = ("shuffle", "delta", "fixedscaleoffset", "bitround", "quantize", "transpose", "bytes")
_CHECKSUMS = {"crc32c": 4, "crc32": 4}
_NUMBERS = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
            "float16", "float32", "float64")  # fmt: skip
_NOTHING = 2**64 - 1
_ZSTD_MAGIC = 0xFD2FB528

#: Keeps files here while they are read.
Holding = Callable[[Sequence[Path]], contextlib.AbstractContextManager[None]]


@dataclass(frozen=True)
class _Chunks:
    """How the chunks of an array are packed."""

    nbytes: int
    compressor: str | None
    checksum: int
    inner: _Chunks | None = None
    count: int = 1
    index_first: bool = False


@dataclass(frozen=True)
class ZarrArray:
    """An array of a store.

    Attributes:
        name: groups and name, with slashes between; empty for a store that is one array.
        version: of Zarr, 2 or 3.
        shape: of the array.
        stored_bytes: of its chunks.
        has_fill_attribute: whether its attributes, not only its storage, name a missing value.
    """

    name: str
    version: int
    shape: tuple[int, ...]
    stored_bytes: int
    has_fill_attribute: bool
    _folder: Path
    _sides: tuple[int, ...]
    _chunks: _Chunks
    _prefix: str
    _separator: str
    _holding: Holding | None = None

    @contextlib.contextmanager
    def held(self, selection: Sequence[slice | int]) -> Iterator[None]:
        """Chunks that are there for as long as a part is read, each asked what it unpacks to."""
        where = f"the array {self.name!r} of {self._folder}"
        files = self._files(selection)
        with self._holding(files) if self._holding else contextlib.nullcontext():
            for file in files:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    _check_chunk(file, self._chunks, where)
            yield

    def _files(self, selection: Sequence[slice | int]) -> list[Path]:
        """The files of the chunks that a part lies in, whether they are there or not."""
        touched = []
        for part, n, side in zip(selection, self.shape, self._sides, strict=True):
            places = range(n)[part] if isinstance(part, slice) else (range(n)[part],)
            if len(places) == 0:
                return []
            ends = sorted((places[0] // side, places[-1] // side))
            near = not isinstance(part, slice) or abs(part.step or 1) < side
            touched.append(
                range(ends[0], ends[1] + 1) if near else sorted({at // side for at in places})
            )
        return [
            self._folder / (self._prefix + self._separator.join(map(str, index)) or "0")
            for index in itertools.product(*touched)
        ]


@dataclass(frozen=True)
class ZarrStore:
    """What a store holds.

    Attributes:
        arrays: by name, those that may be read.
        refused: others by name, and why they are not.
    """

    arrays: Mapping[str, ZarrArray]
    refused: Mapping[str, str]


def check_store(folder: str | os.PathLike[str], holding: Holding | None = None) -> ZarrStore:
    """Look through a store; its chunks are looked at when they are read (``ZarrArray.held``).

    Args:
        folder: the store.
        holding: of a copy whose chunks lie elsewhere: keeps those here that are being read.
    """
    root = Path(folder)
    arrays: dict[str, ZarrArray] = {}
    refused: dict[str, str] = {}
    for found in _walk(root):
        name = found.folder.relative_to(root).as_posix().removeprefix(".")
        version, facts, attributes = found.metadata
        try:
            shape, sides, chunks = _describe(version, facts)
            naming = _naming(version, facts)
        except (KeyError, TypeError, ValueError, OverflowError, LookupError) as error:
            refused[name] = f"the array {name!r} of {root}: {error}"
            continue
        refuse_bomb(
            f"a chunk of the array {name!r} of {root}",
            needed_bytes=chunks.nbytes,
            stored_bytes=found.largest,
        )
        arrays[name] = ZarrArray(
            name, version, shape, found.size, "_FillValue" in attributes,
            found.folder, sides, chunks, *naming, holding,
        )  # fmt: skip
    return ZarrStore(arrays, refused)


@dataclass
class _Found:
    """The folder of an array, and what lies in it besides its metadata."""

    folder: Path
    metadata: tuple[int, dict[str, Any], Mapping[str, Any]]
    size: int = 0
    largest: int = 0


def _walk(root: Path) -> list[_Found]:
    """The arrays of a store, each file looked at once and none opened but the metadata."""
    arrays: list[_Found] = []
    count = 0
    pending: list[tuple[str, int, _Found | None]] = [(str(root), 0, None)]
    while pending:
        place, depth, owner = pending.pop()
        if depth > _DEEPEST:
            raise FormatError(f"{root} is nested too deeply")
        with os.scandir(place) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        count += len(entries)
        if count > _MOST_FILES:
            raise FormatError(f"{root} holds more than {_MOST_FILES:,} files")
        for entry in entries:
            if entry.is_symlink():
                raise FormatError(
                    f"{entry.path} is a link; a store is read without following links, copy it"
                )
        if owner is None and any(entry.name in METADATA for entry in entries):
            metadata = _metadata(Path(place))
            if metadata is not None:
                owner = _Found(Path(place), metadata)
                arrays.append(owner)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                pending.append((entry.path, depth + 1, owner))
            elif owner is not None and entry.name not in METADATA:
                size = entry.stat(follow_symlinks=False).st_size
                owner.size += size
                owner.largest = max(owner.largest, size)
    return sorted(arrays, key=lambda found: found.folder)


def _naming(version: int, facts: Mapping[str, Any]) -> tuple[str, str]:
    """What the names of chunks begin with, and what stands between their numbers."""
    if version == 2:
        prefix, separator = "", facts.get("dimension_separator", ".")
    else:
        encoding = facts.get("chunk_key_encoding") or {"name": "default"}
        usual = {"default": ("c/", "/"), "v2": ("", ".")}
        if encoding["name"] not in usual:
            raise FormatError(f"its chunks are named by {encoding['name']!r}, which is not read")
        prefix, separator = usual[encoding["name"]]
        separator = (encoding.get("configuration") or {}).get("separator", separator)
        prefix = "c" + separator if prefix else prefix
    if separator not in (".", "/"):
        raise FormatError(f"the names of its chunks hold {separator!r}, which is not read")
    return prefix, separator


def _metadata(place: Path) -> tuple[int, dict[str, Any], Mapping[str, Any]] | None:
    """(version, metadata, attributes) of an array; None for a group and what is no node."""
    if (place / "zarr.json").is_file():
        facts = _read(place / "zarr.json")
        attributes = facts.get("attributes")
        found = attributes if isinstance(attributes, dict) else {}
        return (3, facts, found) if facts.get("node_type") == "array" else None
    if (place / ".zarray").is_file():
        attributes = _read(place / ".zattrs") if (place / ".zattrs").is_file() else {}
        return 2, _read(place / ".zarray"), attributes
    for name in (".zgroup", ".zattrs"):
        if (place / name).is_file():
            _read(place / name)
    return None


def _read(file: Path) -> dict[str, Any]:
    return parse_object(read_bytes(file, MOST_METADATA), file)


def _describe(
    version: int, facts: Mapping[str, Any]
) -> tuple[tuple[int, ...], tuple[int, ...], _Chunks]:
    """(shape, sides of chunks, how these are packed); raises where the array may not be read."""
    shape = _sizes(facts["shape"], 0)
    if version == 3:
        grid = facts["chunk_grid"]
        if grid["name"] != "regular":
            raise FormatError(f"its chunks form a grid of kind {grid['name']!r}")
        sides = _sizes(grid["configuration"]["chunk_shape"], 1)
        if facts["data_type"] not in _NUMBERS:
            raise FormatError(f"its values are of type {facts['data_type']!r}, which is not read")
        itemsize = np.dtype(facts["data_type"]).itemsize
        if facts.get("storage_transformers"):
            raise FormatError("its storage is transformed, which is not read")
        chunks = _codecs(facts["codecs"], sides, itemsize)
    else:
        sides = _sizes(facts["chunks"], 1)
        dtype = np.dtype(facts["dtype"])
        if dtype.kind not in "fiub":
            raise FormatError(f"its values are of type {facts['dtype']!r}, which is not read")
        chunks = _version_2(facts, math.prod(sides) * dtype.itemsize)
    if len(sides) != len(shape):
        raise FormatError("its chunks have another number of dimensions")
    return shape, sides, chunks


def _sizes(values: Any, least: int) -> tuple[int, ...]:
    sizes = tuple(values)
    if any(not isinstance(n, int) or n < least for n in sizes):
        raise FormatError(f"it has sizes that cannot be: {sizes[:8]}")
    return sizes


def _version_2(facts: Mapping[str, Any], nbytes: int) -> _Chunks:
    compressor = facts["compressor"]
    name = None if compressor is None else str(compressor["id"])
    if name is not None and name not in _COMPRESSORS:
        raise FormatError(f"its codec {name!r} is not read")
    largest = nbytes
    for step in facts.get("filters") or ():
        if step["id"] not in _FILTERS:
            raise FormatError(f"its codec {step['id']!r} is not read")
        # A filter may keep values in a wider type than the array's.
        kept = step.get("astype") or step.get("dtype")
        if kept is not None:
            width = np.dtype(facts["dtype"]).itemsize
            largest = max(largest, nbytes // width * np.dtype(kept).itemsize)
    return _Chunks(largest, name, 0)


def _codecs(steps: Sequence[Mapping[str, Any]], sides: Sequence[int], itemsize: int) -> _Chunks:
    nbytes = math.prod(sides) * itemsize
    compressor, checksum = None, 0
    for step in steps:
        name = str(step["name"]).removeprefix("numcodecs.")
        if name == "sharding_indexed":
            options = step["configuration"]
            inner = _sizes(options["chunk_shape"], 1)
            if len(inner) != len(sides) or any(a % b for a, b in zip(sides, inner, strict=True)):
                raise FormatError("its shards are not made of whole chunks")
            index = [str(codec["name"]) for codec in options["index_codecs"]]
            if index not in (["bytes", "crc32c"], ["bytes"]):
                raise FormatError("the index of its shards is packed, which is not read")
            parts = _codecs(options["codecs"], inner, itemsize)
            if parts.inner is not None:
                raise FormatError("it has shards in shards, which are not read")
            return _Chunks(
                nbytes,
                None,
                _CHECKSUMS["crc32c"] * (len(index) - 1),
                inner=parts,
                count=math.prod(a // b for a, b in zip(sides, inner, strict=True)),
                index_first=options.get("index_location", "end") == "start",
            )
        if name in _CHECKSUMS:
            checksum += _CHECKSUMS[name]
        elif name in _COMPRESSORS and compressor is None:
            compressor = name
        elif name not in _FILTERS:
            raise FormatError(f"its codec {name!r} is not read")
    return _Chunks(nbytes, compressor, checksum)


def _check_chunk(file: Path, chunks: _Chunks, where: str) -> None:
    """Ask a chunk, or each of a shard, what it unpacks to."""
    packed = chunks.inner or chunks
    if packed is chunks and packed.compressor is None:
        return  # the library takes exactly what it needs, or refuses
    size = file.stat().st_size
    with file.open("rb") as stream:
        places = [(0, size)] if packed is chunks else _places(stream, size, chunks, where)
        for offset, count in places if packed.compressor is not None else ():
            stream.seek(offset)
            data = stream.read(count if packed.compressor in _DEFLATED else min(count, 32))
            told = _unpacked_size(data, count - packed.checksum, packed)
            if told is None or told > packed.nbytes:
                grown = f"unpacks to {told:,} bytes or more" if told else "cannot be unpacked"
                raise FormatError(
                    f"a chunk of {where} {grown} where {packed.nbytes:,} are promised"
                )


def _places(stream: IO[bytes], size: int, chunks: _Chunks, where: str) -> list[tuple[int, int]]:
    """Where the chunks of a shard begin, and how long they are."""
    length = 16 * chunks.count
    if length + chunks.checksum > size:
        raise FormatError(f"a shard of {where} has no index")
    stream.seek(0 if chunks.index_first else size - length - chunks.checksum)
    index = np.frombuffer(stream.read(length), "<u8").reshape(-1, 2)
    places = [(a, n) for a, n in index.tolist() if (a, n) != (_NOTHING, _NOTHING)]
    if any(offset + count > size for offset, count in places):
        raise FormatError(f"a shard of {where} points beyond its end")
    return places


def _unpacked_size(data: bytes, size: int, chunks: _Chunks) -> int | None:
    """What a chunk of a size says that it unpacks to, by its first bytes; None if it is damaged."""
    if chunks.compressor == "blosc":
        if len(data) < 16 or struct.unpack("<I", data[12:16])[0] != size:
            return None
        return int(struct.unpack("<I", data[4:8])[0])
    if chunks.compressor == "lz4":
        return int(struct.unpack("<I", data[:4])[0]) if len(data) >= 4 else None
    if chunks.compressor == "zstd":
        return _zstd_size(data)
    return _deflated_size(data[:size], chunks.nbytes)


def _zstd_size(data: bytes) -> int | None:
    """What a frame says of its content (RFC 8878, 3.1.1.1)."""
    if len(data) < 6 or struct.unpack("<I", data[:4])[0] != _ZSTD_MAGIC:
        return None
    flags = data[4]
    single = flags >> 5 & 1
    width = (single, 2, 4, 8)[flags >> 6]
    at = 5 + (0 if single else 1) + (0, 1, 2, 4)[flags & 3]
    if width == 0 or len(data) < at + width:
        return None
    return int.from_bytes(data[at : at + width], "little") + (256 if width == 2 else 0)


def _deflated_size(data: bytes, most: int) -> int | None:
    try:
        unpacker = zlib.decompressobj(wbits=47)
        count = len(unpacker.decompress(data, most + 1))
    except zlib.error:
        return None
    if unpacker.unused_data or (count <= most and not unpacker.eof):
        return None
    return count
