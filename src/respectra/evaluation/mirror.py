"""An evaluation that lies elsewhere, worked on as a folder here.

What is there is fetched when a run begins; what is new is put after each scene: first the details,
then the journal that speaks of them, at the end the tables, ``results.csv`` last. A run that is
killed has lost the scene it was at, and the same command goes on with it.

A bucket knows no locks. A journal or a table that somebody else wrote meanwhile is noticed when it
would be replaced, and the run ends.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from respectra import storage
from respectra.errors import FormatError, OutputError
from respectra.storage import named
from respectra.urls import Place, Url

__all__ = ["Mirror", "mirrored"]

#: Left where it is until a report needs it.
_DETAILS = "details"
#: What is put last, in this order; before it, folders in the order of their names.
_LAST = ("protocol.json", "methods.json", "costs.json", "results.parquet", "results.csv")
_FOLDERS = (_DETAILS, "clusters", "journal")


class Mirror:
    """A folder that stands for a place; made by :func:`mirrored`.

    Attributes:
        folder: where the evaluation is worked on.
        url: where it belongs; None where the folder itself is the place.
    """

    def __init__(self, folder: Path, url: Url | None) -> None:
        self.folder, self.url = folder, url
        self._there: dict[str, str] = {}
        self._put: dict[str, tuple[int, int]] = {}

    def begin(self) -> None:
        """Fetch what is there, without its details.

        Raises:
            FormatError: the place cannot be reached.
        """
        if self.url is None:
            return
        self._there = storage.listing(self.url)
        for name in self._there:
            if not name.startswith(f"{_DETAILS}/"):
                self._fetch(name)

    def sync(self) -> None:
        """Put what is new or has changed; ``results.csv`` and the page of results by ``end``.

        Raises:
            OutputError: the place cannot be reached, or another run writes there.
        """
        if self.url is not None:
            for name in self._changed():
                if not name.startswith("results."):
                    self._replace(name)

    def end(self) -> None:
        """Put the rest, and fetch the details that others put.

        Raises:
            OutputError: as for ``sync``.
            FormatError: the place cannot be reached.
        """
        if self.url is None:
            return
        for name in self._changed():
            self._replace(name)
        for name in storage.listing(self.url):
            if name.startswith(f"{_DETAILS}/") and not (self.folder / name).exists():
                self._fetch(name)

    def _fetch(self, name: str) -> None:
        assert self.url is not None
        target = self.folder / name
        if not target.resolve().is_relative_to(self.folder.resolve()):
            raise FormatError(f"{self.url} leads outside its folder: {name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        storage.fetch(self.url / name, target)
        self._put[name] = _state(target)

    def _changed(self) -> list[str]:
        """Names of the files that are not there as they are here, in the order to put them."""
        found = []
        for path in self.folder.rglob("*"):
            name = path.relative_to(self.folder).as_posix()
            hidden = any(part.startswith(".") for part in name.split("/"))
            if not hidden and path.is_file() and self._put.get(name) != _state(path):
                found.append(name)
        return sorted(found, key=_order)

    def _replace(self, name: str) -> None:
        assert self.url is not None
        place, path = self.url / name, self.folder / name
        if not name.startswith(_FOLDERS[:2]) and self._tag(name) != self._there.get(name):
            raise OutputError(
                f"{place} was written by another run meanwhile; wait for it to end, and run the "
                "same command again"
            )
        state = _state(path)
        storage.put(path, place)
        self._put[name] = state
        if (tag := self._tag(name)) is not None:
            self._there[name] = tag

    def _tag(self, name: str) -> str | None:
        assert self.url is not None
        place = self.url / name
        return storage.fingerprint(place) if storage.exists(place) else None


def _order(name: str) -> tuple[int, str]:
    folder = name.partition("/")[0]
    if folder in _FOLDERS:
        return _FOLDERS.index(folder), name
    return len(_FOLDERS) + (_LAST.index(name) if name in _LAST else 0), name


def _state(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_mtime_ns, facts.st_size


@contextlib.contextmanager
def mirrored(where: Place) -> Iterator[Mirror]:
    """A mirror for as long as a run takes, begun; of a path, the folder itself.

    Raises:
        FormatError: the place cannot be reached.
    """
    if isinstance(where, Path):
        yield Mirror(where, None)
        return
    with tempfile.TemporaryDirectory(prefix="respectra-") as folder:
        mirror = Mirror(Path(folder), where)
        mirror.begin()
        with named(mirror.folder, where):
            yield mirror
