"""The process that runs the HDF5 library: says what a file holds and where its bytes lie.

It is run as a script and imports nothing of the package. The library crashes and hangs over
damaged files, follows files into other files, and gives out memory that a short chunk did not
fill; so it never runs in the process that asks, and never reads values other than small texts.
Requests are paths, one JSON text a line; each answer is a line of JSON and so many bytes of chunk
tables as it says.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from typing import Any

import h5py
import numpy as np

#: Seconds of processor time for one file, and for each GiB of it; the library does its work in
#: thousandths of one.
_SECONDS, _SECONDS_A_GIB = 1.0, 4.0
#: Bytes that this process may take beyond what it takes at its start.
_MEMORY = 256 * 2**20
_MOST_OBJECTS = 20_000
_MOST_CHUNKS = 5_000_000
_DEEPEST = 32
_MOST_TEXTS = 4096
_MOST_ATTRIBUTE = 2**20
_COMPACT = 65536


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _bound_memory()
    for line in sys.stdin:
        request = json.loads(line)
        _start_clock(_SECONDS + _SECONDS_A_GIB * _size(request["path"]) / 2**30)
        blob: list[bytes] = []
        try:
            answer = _index(request["path"], blob)
            text = json.dumps({**answer, "bytes": sum(map(len, blob))})
        except Exception as error:  # a damaged file makes the library raise anything
            blob = []
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            if isinstance(error, MemoryError):
                reason = "its index needs too much memory"
            text = json.dumps({"error": reason, "bytes": 0})
        _start_clock(0.0)
        answers.write(text.encode() + b"\n" + b"".join(blob))
        answers.flush()


def _start_clock(seconds: float) -> None:
    """Let the system end this process when it computes for longer, in whatever loop it is."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return 0


def _bound_memory() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource
        from pathlib import Path

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + _MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class _Index:
    def __init__(self, file: Any, path: str, blob: list[bytes]) -> None:
        self.file, self.path, self.blob = file, path, blob
        self.sent = 0
        self.groups: dict[str, Any] = {}
        self.datasets: dict[str, Any] = {}
        self.skipped: dict[str, str] = {}
        self.seen: set[int] = set()

    def walk(self, group: Any, name: str, depth: int) -> None:
        if len(self.datasets) + len(self.groups) + len(self.skipped) > _MOST_OBJECTS:
            raise ValueError(f"it holds more than {_MOST_OBJECTS} objects")
        key = h5py.h5o.get_info(group.id).addr
        if key in self.seen or depth > _DEEPEST:
            return
        self.seen.add(key)
        self.groups[name] = _attributes(group)
        for child in group:
            path = f"{name}/{child}" if name else child
            try:
                link = group.get(child, getlink=True)
                if not isinstance(link, h5py.HardLink):
                    self.skipped[path] = "a link, which is not followed"
                    continue
                item = group[child]
                if isinstance(item, h5py.Group):
                    self.walk(item, path, depth + 1)
                elif isinstance(item, h5py.Dataset):
                    self.datasets[path] = self.describe(item)
            except (KeyError, OSError, RuntimeError, TypeError, UnicodeError) as error:
                self.skipped[path] = " ".join(str(error).split())[:200]

    def describe(self, data: Any) -> dict[str, Any]:
        plist = data.id.get_create_plist()
        facts: dict[str, Any] = {
            "shape": None if data.shape is None else [int(n) for n in data.shape],
            "attrs": _attributes(data),
            "dims": _dimensions(data, self.file),
        }
        if data.is_virtual or data.external:
            return {**facts, "kind": "outside"}
        if data.shape is None:
            return {**facts, "kind": "empty"}
        try:
            dtype = data.dtype
        except TypeError:
            return {**facts, "kind": "other"}
        if h5py.check_string_dtype(dtype) is not None and dtype.kind == "O":
            return {**facts, "kind": "text", "texts": _texts(data)}
        if h5py.check_ref_dtype(dtype) is not None:
            return {**facts, "kind": "references", "targets": _targets(data, self.file)}
        if dtype.kind not in "fiubcS" or dtype.itemsize == 0:
            return {**facts, "kind": "other"}
        facts |= {"kind": "numbers", "dtype": dtype.str, "fill": _fill(data)}
        layout = plist.get_layout()
        if layout == h5py.h5d.COMPACT:
            if data.nbytes > _COMPACT:
                raise OSError("a compact array that is not compact")
            values = np.ascontiguousarray(data[()]).tobytes()
            return {**facts, "layout": "compact", **self.send(values)}
        if layout == h5py.h5d.CONTIGUOUS:
            return {**facts, "layout": "contiguous", "offset": data.id.get_offset()}
        if layout != h5py.h5d.CHUNKED:
            return {**facts, "kind": "other"}
        filters = [plist.get_filter(k) for k in range(plist.get_nfilters())]
        facts["filters"] = [[int(f[0]), [int(v) for v in f[2]]] for f in filters]
        facts |= {"layout": "chunked", "chunks": [int(n) for n in data.chunks]}
        return {**facts, **self.send(self.chunks(data))}

    def chunks(self, data: Any) -> bytes:
        """Rows of (coordinates, mask of filters, place in the file, bytes), as int64."""
        rows: list[tuple[int, ...]] = []

        def note(info: Any) -> None:
            rows.append((*info.chunk_offset, info.filter_mask, info.byte_offset, info.size))
            if len(rows) > _MOST_CHUNKS:
                raise ValueError(f"it holds more than {_MOST_CHUNKS} chunks")

        data.id.chunk_iter(note)
        table = np.array(rows, np.int64).reshape(len(rows), data.ndim + 3)
        block = self.file.id.get_create_plist().get_userblock()
        if block and rows:
            # Some versions of the library count from the user block, others from the beginning.
            stored = data.id.read_direct_chunk(rows[0][: data.ndim])[1]
            with open(self.path, "rb") as raw:  # noqa: PTH123 - the fewest imports
                raw.seek(rows[0][-2])
                if raw.read(len(stored)) != bytes(stored):
                    table[:, -2] += block
        return table.tobytes()

    def send(self, data: bytes) -> dict[str, list[int]]:
        self.blob.append(data)
        place = self.sent
        self.sent += len(data)
        return {"place": [place, len(data)]}


def _index(path: str, blob: list[bytes]) -> dict[str, Any]:
    with h5py.File(path, "r") as file:
        index = _Index(file, path, blob)
        index.walk(file, "", 0)
        return {"groups": index.groups, "datasets": index.datasets, "skipped": index.skipped}


def _fill(data: Any) -> Any:
    value = np.asarray(data.fillvalue)
    return value.item() if value.dtype.kind in "fiub" and not value.ndim else None


def _attributes(item: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    try:
        names = list(item.attrs)[:1000]
    except (OSError, RuntimeError, KeyError):
        return found
    for name in names:
        with contextlib.suppress(OSError, RuntimeError, TypeError, KeyError, ValueError):
            kind = item.attrs.get_id(name)
            count = int(np.prod(kind.shape)) if kind.shape else 1
            if count * max(1, kind.dtype.itemsize) > _MOST_ATTRIBUTE:
                continue
            if h5py.check_ref_dtype(kind.dtype) or name in ("DIMENSION_LIST", "REFERENCE_LIST"):
                continue
            value = _plain(item.attrs[name])
            if value is not None:
                found[name] = value
    return found


def _plain(value: Any) -> Any:
    """Text, or numbers with their type."""
    if isinstance(value, bytes | np.bytes_):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if not isinstance(value, np.ndarray | np.generic):
        return None
    if value.dtype.kind in "SO":
        return [_plain(v) for v in np.ravel(value).tolist() if isinstance(v, bytes | str)]
    if value.dtype.kind not in "fiub":
        return None
    return {"dtype": value.dtype.str, "values": value.tolist()}


def _dimensions(data: Any, file: Any) -> list[str | None] | None:
    """Names of the dimensions, as NetCDF keeps them: by references to others' arrays."""
    if data.shape is None or "DIMENSION_LIST" not in data.attrs:
        return None
    names: list[str | None] = []
    with contextlib.suppress(OSError, RuntimeError, TypeError, KeyError, ValueError):
        for axis in data.attrs["DIMENSION_LIST"]:
            names.append(_name_of(axis[0] if len(axis) else None, file))
    return names if len(names) == len(data.shape) else None


def _texts(data: Any) -> list[Any] | None:
    if data.size > _MOST_TEXTS:
        return None
    return [_plain(v) for v in np.ravel(data[()]).tolist()]


def _targets(data: Any, file: Any) -> list[str | None] | None:
    if data.size > _MOST_TEXTS:
        return None
    return [_name_of(reference, file) for reference in np.ravel(data[()])]


def _name_of(reference: Any, file: Any) -> str | None:
    found = file[reference].name if reference else None
    return found.lstrip("/") if found else None


if __name__ == "__main__":
    main()
