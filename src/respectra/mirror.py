"""A folder here that stands for a place beyond this machine, while a run works in it.

What is there is fetched when the run begins. What is new or has changed is put whenever the run
says so, and when it ends. A bucket knows no locks: a file that somebody else wrote meanwhile is
noticed when it would be replaced, and the run ends.

A file to which lines are added, such as a manifest, is kept there in two parts: itself, and pieces
of it in a folder beside it (``.manifest/`` of ``manifest.jsonl``) that each begin where what is
before them ends, because an object store appends to nothing. The pieces are put together when a run
ends, and by the next one. A second run into the same place ends when it would write a piece that is
there.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from respectra import storage, uploads
from respectra.errors import FormatError, OutputError, RespectraError
from respectra.urls import Place, Url

__all__ = ["GrowingFile", "Mirror", "Rules", "mirrored"]

#: So many pieces are put together.
_MOST_PIECES = 500


@dataclass(frozen=True)
class Rules:
    """How the files of a folder are kept in step with those of a place.

    Attributes:
        folders: folders within, in the order in which their files are put, before all others.
        shared: of these folders, those whose files any run may write; the content of one name is
            always the same.
        late: of these folders, the one whose files are fetched at the end alone.
        last: files that are put after all others, in this order.
        at_end: the beginning of the names of files that are put at the end alone.
    """

    folders: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    late: str | None = None
    last: tuple[str, ...] = ()
    at_end: str | None = None

    def order(self, name: str) -> tuple[int, str]:
        """The place of a file among those that are put."""
        folder = name.partition("/")[0]
        if folder in self.folders:
            return self.folders.index(folder), name
        return len(self.folders) + (self.last.index(name) + 1 if name in self.last else 0), name


class Mirror:
    """A folder that stands for a place; made by :func:`mirrored`.

    Attributes:
        folder: where a run works.
        url: where it belongs; None where the folder itself is the place.
    """

    def __init__(self, folder: Path, url: Url | None, rules: Rules | None = None) -> None:
        self.folder, self.url, self._rules = folder, url, rules or Rules()
        self._there: dict[str, str] = {}
        self._put: dict[str, tuple[int, int]] = {}

    def begin(self) -> None:
        """Fetch what is there, but what is fetched at the end.

        Raises:
            FormatError: the place cannot be reached.
        """
        if self.url is None:
            return
        self._there = storage.listing(self.url)
        for name in self._there:
            if not self._is_late(name):
                self._fetch(name)

    def sync(self) -> None:
        """Put what is new or has changed, but what is put at the end.

        Raises:
            OutputError: the place cannot be reached, or another run writes there.
        """
        if self.url is not None:
            for name in self._changed():
                if self._rules.at_end is None or not name.startswith(self._rules.at_end):
                    self._replace(name)

    def end(self) -> None:
        """Put the rest, and fetch what others put; may raise as ``begin`` and ``sync``."""
        if self.url is None:
            return
        for name in self._changed():
            self._replace(name)
        for name in storage.listing(self.url):
            if self._is_late(name) and not (self.folder / name).exists():
                self._fetch(name)

    def _is_late(self, name: str) -> bool:
        late = self._rules.late
        return late is not None and name.startswith(f"{late}/")

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
        return sorted(found, key=self._rules.order)

    def _replace(self, name: str) -> None:
        assert self.url is not None
        place, path = self.url / name, self.folder / name
        guarded = name.partition("/")[0] not in self._rules.shared
        if guarded and storage.tag(place) != self._there.get(name):
            raise OutputError(
                f"{place} was written by another run meanwhile; wait for it to end, and run the "
                "same command again"
            )
        state = _state(path)
        uploads.put(path, place)
        self._put[name] = state
        if guarded and (tag := storage.tag(place)) is not None:
            self._there[name] = tag


class GrowingFile:
    """A file here to which lines are added, and what stands for it at a place."""

    def __init__(self, path: Path, url: Url) -> None:
        self.path, self.url = path, url
        self._size = 0
        self._pieces: list[Url] = []

    @property
    def pieces(self) -> Url:
        """The folder of its pieces."""
        return self.url.with_name(f".{PurePosixPath(self.url.name).stem}")

    @contextlib.contextmanager
    def growing(self) -> Iterator[None]:
        """Fetch it; put what is new of it when the block ends, however it ends."""
        self.begin()
        try:
            yield
        except BaseException:
            with contextlib.suppress(RespectraError):
                self.end()
            raise
        self.end()

    def begin(self) -> None:
        """Fetch it and its pieces."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = b""
        if storage.tag(self.url) is not None:
            storage.fetch(self.url, self.path)
            text = self.path.read_bytes()
        pieces = dict(_pieces(self.pieces))
        while (piece := pieces.get(len(text))) is not None:
            with storage.local_copy(piece) as path:
                more = path.read_bytes()
            if not more:
                break
            text += more
        whole = text[: text.rfind(b"\n") + 1]  # a last line that was cut short does not count
        self._size, self._pieces = len(whole), list(pieces.values())
        if text:
            self.path.write_bytes(whole)
            self._put_together(anyhow=whole != text)

    def sync(self) -> None:
        """Put the lines that are new.

        Raises:
            OutputError: the place cannot be reached, or another run writes there.
        """
        if not self.path.exists():
            return
        with self.path.open("rb") as stream:
            stream.seek(self._size)
            text = stream.read()
        if not text:
            return
        piece = self.pieces / f"{self._size:015d}.jsonl"
        uploads.write_once(piece, text)
        self._size += len(text)
        self._pieces.append(piece)
        if len(self._pieces) >= _MOST_PIECES:
            self._put_together()

    def end(self) -> None:
        """Put all of it in place of its pieces."""
        self.sync()
        self._put_together()
        uploads.delete_folder(self.pieces)

    def _put_together(self, *, anyhow: bool = False) -> None:
        if self._pieces or anyhow:
            uploads.put(self.path, self.url)
            uploads.delete(self._pieces)
            self._pieces = []


def _pieces(folder: Url) -> Iterator[tuple[int, Url]]:
    with contextlib.suppress(FormatError):
        for url, _ in storage.find(folder):
            if url.stem.isascii() and url.stem.isdigit():
                yield int(url.stem), url


def _state(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_mtime_ns, facts.st_size


@contextlib.contextmanager
def mirrored(where: Place, rules: Rules | None = None) -> Iterator[Mirror]:
    """A mirror for as long as a run takes, begun; of a path, the folder itself.

    Raises:
        FormatError: the place cannot be reached.
    """
    if isinstance(where, Path):
        yield Mirror(where, None)
        return
    with tempfile.TemporaryDirectory(prefix="respectra-") as folder:
        mirror = Mirror(Path(folder), where, rules)
        mirror.begin()
        with storage.named(mirror.folder, where):
            yield mirror
