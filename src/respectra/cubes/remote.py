"""Zarr stores by URL, of which is read what is asked for.

A store elsewhere has a copy here: its metadata, and in place of each chunk a file of the same size
that takes no room. The chunks of what is read are fetched first and given up afterwards, so that
they pass the same checks as those of a store on this disk.
"""

from __future__ import annotations

import contextlib
import functools
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from respectra.cubes.formats import FORMATS, CubeFormat, Stored
from respectra.cubes.formats._axes import parse_axes
from respectra.cubes.formats.base import guard, reading
from respectra.cubes.formats.zarr import peek_store
from respectra.errors import FormatError
from respectra.guards.zarr import METADATA, MOST_METADATA
from respectra.storage import fingerprint, named
from respectra.urls import Url, reaching

#: Stores of which a copy is kept for whoever asks for them next.
_KEPT = 16


class Copy:
    """The copy of a store.

    Attributes:
        path: where it lies; deleted with the last that uses it.
    """

    def __init__(self, url: Url) -> None:
        self._url = url
        self._folder = tempfile.TemporaryDirectory(prefix="respectra-")
        self.path = Path(self._folder.name) / url.name
        self._lock = threading.Lock()
        self._held: Counter[Path] = Counter()
        self._sizes: dict[Path, int] = {}
        with reaching(url):
            system, base = url.open()
            self._base = base.rstrip("/")
            found = system.find(self._base, detail=True)
        metadata = []
        for key, facts in found.items():
            file = self.path / str(key)[len(self._base) :].lstrip("/")
            if ".." in file.parts:
                raise FormatError(f"{url} leads outside its folder: {key}")
            size = int(facts.get("size") or 0)
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.name in METADATA:
                if size > MOST_METADATA:
                    raise FormatError(f"{url}: {file.name} of {size:,} bytes is no description")
                metadata.append(file)
            else:
                self._sizes[file] = size
                self._empty(file)
        self._fetch(metadata)

    def _empty(self, file: Path) -> None:
        with file.open("wb") as stream:
            stream.truncate(self._sizes[file])

    def _fetch(self, files: Sequence[Path]) -> None:
        if not files:
            return
        with reaching(self._url):
            system, _ = self._url.open()
            names = [f"{self._base}/{file.relative_to(self.path).as_posix()}" for file in files]
            system.get(names, [str(file) for file in files])

    @contextlib.contextmanager
    def holding(self, files: Sequence[Path]) -> Iterator[None]:
        """Have chunks here for as long as they are read."""
        wanted = [file for file in files if file in self._sizes]
        with self._lock:
            self._fetch([file for file in wanted if not self._held[file]])
            self._held.update(wanted)
        try:
            yield
        finally:
            with self._lock:
                self._held.subtract(wanted)
                for file in wanted:
                    if not self._held[file]:
                        del self._held[file]
                        self._empty(file)


def copy_of(url: str) -> Copy:
    """The copy of a store as it is now.

    Raises:
        FormatError: there is no store, or it is not whole.
    """
    where = Url.parse(url)
    for name in METADATA[:3]:
        with contextlib.suppress(FormatError):
            return _copy(url, fingerprint(where / name))
    with reaching(where):
        system, path = where.open()
        system.ls(path)
    raise FormatError(f"{url} holds no zarr.json; it is no Zarr store, or not all of it is there")


@functools.lru_cache(_KEPT)
def _copy(url: str, tag: str) -> Copy:
    return Copy(Url.parse(url))


def peek_url(
    url: str, key: str | None = None, axes: str | None = None
) -> tuple[CubeFormat, Stored]:
    """As ``peek_cube``, for a Zarr store elsewhere."""
    order = None if axes is None else parse_axes(axes)
    copy = copy_of(url)
    entry = FORMATS.get("zarr")
    with named(copy.path, Url.parse(url)):
        with reading(copy.path, entry.title):
            stored = peek_store(copy.path, key, order, copy.holding)
        guard(stored, copy.path)
    return entry, stored
