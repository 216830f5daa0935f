"""Zarr stores, looked through before the library and its codecs see them.

A store is a folder of JSON and chunks. Only codecs that neither execute anything nor make more of
a chunk than its array promises are let through (``pickle`` is a codec of old versions); every chunk
is asked what it unpacks to; nothing outside the folder is followed.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from respectra.errors import FormatError
from respectra.guards.limits import refuse_bomb
from respectra.guards.text import parse_object, read_bytes

_MOST_METADATA = 2**24
_MOST_FILES = 5_000_000
_DEEPEST = 32
_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
#: Compressors by name, and what of a chunk tells its unpacked size.
_COMPRESSORS = ("blosc", "zstd", "gzip", "zlib", "lz4")
#: Filters that keep or widen values one by one.
_FILTERS = ("shuffle", "delta", "fixedscaleoffset", "bitround", "quantize", "transpose", "bytes")
_CHECKSUMS = {"crc32c": 4, "crc32": 4}
_NUMBERS = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
            "float16", "float32", "float64")  # fmt: skip
_NOTHING = 2**64 - 1
_ZSTD_MAGIC = 0xFD2FB528


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


@dataclass(frozen=True)
class ZarrStore:
    """What a store holds.

    Attributes:
        arrays: by name, those that may be read.
        refused: others by name, and why they are not.
    """

    arrays: Mapping[str, ZarrArray] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Chunks:
    """How the chunks of an array are packed."""

    nbytes: int
    compressor: str | None
    checksum: int
    inner: _Chunks | None = None
    count: int = 1
    index_first: bool = False


def check_store(folder: str | os.PathLike[str]) -> ZarrStore:
    """Look through a store.

    Raises:
        FormatError: it leads outside its folder, its metadata are damaged, or it claims far more
            than it holds.
    """
    root = Path(folder)
    arrays: dict[str, ZarrArray] = {}
    refused: dict[str, str] = {}
    for place, files in _walk(root):
        name = place.relative_to(root).as_posix().removeprefix(".")
        metadata = _metadata(place)
        if metadata is None:
            continue
        version, facts, attributes = metadata
        try:
            shape, chunks = _describe(version, facts)
        except (KeyError, TypeError, ValueError, OverflowError, LookupError) as error:
            refused[name] = f"the array {name!r} of {root}: {error}"
            continue
        stored = [file for file in files() if file.name not in _METADATA]
        size = sum(file.stat().st_size for file in stored)
        biggest = max((file.stat().st_size for file in stored), default=0)
        where = f"the array {name!r} of {root}"
        refuse_bomb(f"a chunk of {where}", needed_bytes=chunks.nbytes, stored_bytes=biggest)
        for file in stored:
            _check_chunk(file, chunks, where)
        arrays[name] = ZarrArray(name, version, shape, size, "_FillValue" in attributes)
    return ZarrStore(arrays, refused)


def _walk(root: Path) -> Iterator[tuple[Path, Any]]:
    """Every folder of a store, and a function that gives the files in it and below it."""
    count = 0
    for place, folders, files in os.walk(root, followlinks=False):
        here = Path(place)
        if len(here.relative_to(root).parts) > _DEEPEST:
            raise FormatError(f"{root} is nested too deeply")
        count += len(files)
        if count > _MOST_FILES:
            raise FormatError(f"{root} holds more than {_MOST_FILES:,} files")
        for name in (*folders, *files):
            if (here / name).is_symlink():
                raise FormatError(
                    f"{here / name} is a link; a store is read without following links, copy it"
                )
        yield here, lambda here=here: [file for file in here.rglob("*") if file.is_file()]


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
    return parse_object(read_bytes(file, _MOST_METADATA), file)


def _describe(version: int, facts: Mapping[str, Any]) -> tuple[tuple[int, ...], _Chunks]:
    """(shape, how chunks are packed) of an array.

    Raises:
        FormatError, KeyError, TypeError, ValueError: it may not be read.
    """
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
    return shape, chunks


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
            return _Chunks(
                nbytes,
                None,
                _CHECKSUMS["crc32c"] * (len(index) - 1),
                inner=_codecs(options["codecs"], inner, itemsize),
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
    if chunks.inner is not None:
        _check_shard(file, chunks, where)
        return
    if chunks.compressor is None:
        return  # the library takes exactly what it needs, or refuses
    whole = chunks.compressor in ("gzip", "zlib")
    with file.open("rb") as stream:
        data = stream.read() if whole else stream.read(32)
    _check_packed(data, file.stat().st_size - chunks.checksum, chunks, where)


def _check_shard(file: Path, chunks: _Chunks, where: str) -> None:
    assert chunks.inner is not None
    size = file.stat().st_size
    length = 16 * chunks.count
    if length + chunks.checksum > size:
        raise FormatError(f"a shard of {where} has no index")
    with file.open("rb") as stream:
        stream.seek(0 if chunks.index_first else size - length - chunks.checksum)
        index = np.frombuffer(stream.read(length), "<u8").reshape(-1, 2)
        for offset, count in index.tolist():
            if offset == _NOTHING and count == _NOTHING:
                continue
            if offset + count > size:
                raise FormatError(f"a shard of {where} points beyond its end")
            if chunks.inner.inner is not None:
                raise FormatError(f"{where} has shards in shards, which are not read")
            if chunks.inner.compressor is None:
                continue
            stream.seek(offset)
            whole = chunks.inner.compressor in ("gzip", "zlib")
            data = stream.read(count if whole else min(count, 32))
            _check_packed(data, count - chunks.inner.checksum, chunks.inner, where)


def _check_packed(data: bytes, size: int, chunks: _Chunks, where: str) -> None:
    """Ask a packed chunk what it unpacks to.

    Args:
        data: its first bytes; all of them where only unpacking tells.
        size: bytes that it has.
        chunks: what the array promises.
        where: for messages.
    """
    name = chunks.compressor
    told: int | None
    if name == "blosc":
        told = struct.unpack("<I", data[4:8])[0] if len(data) >= 16 else None
        if told is not None and struct.unpack("<I", data[12:16])[0] != size:
            told = None
    elif name == "lz4":
        told = struct.unpack("<I", data[:4])[0] if len(data) >= 4 else None
    elif name == "zstd":
        told = _zstd_size(data)
    else:
        told = _deflated_size(data[:size], chunks.nbytes)
    if told is None or told > chunks.nbytes:
        grown = "cannot be unpacked" if told is None else f"unpacks to {told:,} bytes or more"
        raise FormatError(f"a chunk of {where} {grown} where {chunks.nbytes:,} are promised")


def _zstd_size(data: bytes) -> int | None:
    """What a frame says of its content (RFC 8878, 3.1.1.1)."""
    if len(data) < 6 or struct.unpack("<I", data[:4])[0] != _ZSTD_MAGIC:
        return None
    flags = data[4]
    single = flags >> 5 & 1
    width = (int(bool(single)), 2, 4, 8)[flags >> 6]
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
