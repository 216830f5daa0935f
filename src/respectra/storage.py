"""What lies beyond this machine (see ``respectra.urls``): looked at, and fetched.

Files are worked on here, as everywhere: an input is fetched before it is read, an output is put
where it belongs when it is whole (``respectra.uploads``).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from respectra import files
from respectra.cache import cache_folder
from respectra.errors import FormatError, OutputError, RespectraError
from respectra.locks import file_lock
from respectra.urls import Place, Url, parse_place, reaching

__all__ = [
    "METADATA",
    "OBJECT_STORES",
    "PART",
    "Copied",
    "copies_of",
    "digest",
    "ensure_absent",
    "exists",
    "fetch",
    "fetch_folder",
    "find",
    "fingerprint",
    "kept_copy",
    "listing",
    "local_copy",
    "local_folder",
    "named",
    "names_in",
    "require_bucket",
    "tag",
]

#: How long to wait for another process that copies the same.
_PATIENCE_S = 3600.0
#: Beside a kept copy: what it is a copy of.
_ORIGIN = ".origin"
#: Where an object appears whole; elsewhere it is moved into its place.
OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "memory"})
#: Ending of the hidden name under which a file is put where it does not appear whole.
PART = ".part"
#: Of a Zarr store, or of an array or a group within.
METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")


# --- looking -------------------------------------------------------------------------------------


def fingerprint(url: Url) -> str:
    """What changes when the content does, without reading it: the place's own tag.

    Raises:
        FormatError: it is not there or cannot be reached.
    """
    with reaching(url):
        system, path = url.open()
        return _tag(system.info(path))


def tag(url: Url) -> str | None:
    """As :func:`fingerprint`; None where there is no such file.

    Raises:
        FormatError: the place cannot be reached.
    """
    with reaching(url):
        system, path = url.open()
        try:
            facts = system.info(path)
        except FileNotFoundError:
            return None
        return _tag(facts) if facts.get("type") == "file" else None


def _tag(facts: Mapping[str, Any]) -> str:
    """What a place says of a file's content; of one without tags, when it was written."""
    for name in ("ETag", "etag", "md5Hash", "content_md5", "crc32c", "CRC"):
        if facts.get(name):
            return f"{name} {facts[name]} of {facts.get('size')} bytes"
    written = [str(facts[name]) for name in ("LastModified", "mtime", "created") if name in facts]
    return f"{facts.get('name')} of {facts.get('size')} bytes, {' '.join(written)}"


def exists(url: Place) -> bool:
    """Whether a file is there, or a Zarr store that is whole; here, whatever has the name.

    Raises:
        FormatError: the place cannot be reached.
    """
    if isinstance(url, Path):
        return os.path.lexists(url)
    with reaching(url):
        system, path = url.open()
        names = METADATA[:3] if url.suffix.lower() == ".zarr" else ()
        if any(system.exists(f"{path.rstrip('/')}/{name}") for name in names):
            return True
        return bool(system.isfile(path))


def ensure_absent(url: Place, *, overwrite: bool = False) -> None:
    """Refuse an output that exists already.

    Raises:
        OutputError: it does, and ``overwrite`` is false.
    """
    if isinstance(url, Path):
        files.ensure_absent(url, overwrite=overwrite)
    elif not overwrite and exists(url):
        raise OutputError(f"{url} exists already; choose another name or pass --overwrite")


def require_bucket(url: Url) -> None:
    """Refuse an output of which nothing could be put, before it is computed.

    Raises:
        OutputError: its bucket is not there, or the place cannot be reached.
    """
    with reaching(url, writing=True):
        system, path = url.open()
        bucket = path.lstrip("/").partition("/")[0]
        # What may be written to may not be listed.
        with contextlib.suppress(PermissionError):
            if url.scheme in OBJECT_STORES - {"memory"} and not system.exists(bucket):
                system.ls(bucket)  # which says why
                raise FileNotFoundError(f"the bucket {bucket} does not exist")


def find(url: Url, *, stores: bool = False) -> list[tuple[Url, PurePosixPath]]:
    """The files of a folder, or those that a pattern stands for; see ``inference.find_inputs``.

    Args:
        url: of the folder, or the pattern.
        stores: Zarr stores as well, by their names.

    Returns:
        Each with its path relative to the folder, or to the first part that is no pattern, sorted.

    Raises:
        FormatError: there is no such place, or it cannot be reached.
    """
    parts = url.path.split("/")
    plain = next((i for i, p in enumerate(parts) if Url("", "s3", p).is_pattern), len(parts))
    root = url.at("/".join(parts[:plain]))
    with reaching(url):
        system, path = url.open()
        if url.is_pattern:
            found = system.glob(path, detail=True)
            if not found:
                root_system, root_path = root.open()
                root_system.ls(root_path)  # which says why there is none
            listed = list(found.values())
        else:
            listed = system.ls(path, detail=True)
        base = root.open()[1].rstrip("/")
    relative = []
    for facts in listed:
        name = str(facts["name"]).rstrip("/")
        if _is_part(name):
            continue
        store = stores and name.lower().endswith(".zarr")
        if facts["type"] == "file" or store:
            relative.append(PurePosixPath(name[len(base) :].lstrip("/") if base else name))
    return [(root / name, name) for name in sorted(relative)]


def listing(url: Url) -> dict[str, str]:
    """All that lies below a place: relative name and what changes when the content does.

    Raises:
        FormatError: it cannot be reached. A place where nothing is has nothing below it.
    """
    with reaching(url):
        system, path = url.open()
        try:
            found = system.find(path, detail=True)
        except FileNotFoundError:
            return {}
        base = path.rstrip("/")
        return {
            str(name)[len(base) :].lstrip("/"): _tag(facts)
            for name, facts in found.items()
            if not _is_part(str(name))
        }


def names_in(folder: Place) -> set[str]:
    """The files right below a folder, and its Zarr stores that are whole; none of no folder.

    Raises:
        FormatError: the place cannot be reached.
    """
    if isinstance(folder, Path):
        return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    found = set()
    for name in listing(folder):
        first, _, rest = name.partition("/")
        if not rest or (first.lower().endswith(".zarr") and rest in METADATA[:3]):
            found.add(first)
    return found


def _is_part(name: str) -> bool:
    """Whether it is a file that was not put to its end."""
    last = name.rpartition("/")[2]
    return last.startswith(".") and last.endswith(PART)


def digest(text: str) -> str:
    """A short name for a text."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


# --- reading -------------------------------------------------------------------------------------


def fetch(url: Url, target: Path) -> None:
    """Copy a file here.

    Raises:
        FormatError: it is not there, or only a part of it came.
    """
    with reaching(url):
        system, path = url.open()
        system.get_file(path, str(target))
        promised = system.info(path).get("size")
    if not target.is_file():
        raise FormatError(f"{url} is no file")
    if promised is not None and target.stat().st_size != promised:
        raise FormatError(f"{url} has {promised} bytes and {target.stat().st_size} came")


def fetch_folder(url: Url, target: Path) -> None:
    """Copy a folder here, with all that is below it.

    Raises:
        FormatError: there is nothing, or it cannot be reached.
    """
    with reaching(url):
        system, path = url.open()
        names = [name for name in system.find(path) if not _is_part(str(name))]
        if not names:
            raise FileNotFoundError(path)
        base = path.rstrip("/")
        targets = [target / str(name)[len(base) :].lstrip("/") for name in names]
        for file in targets:
            if not file.resolve().is_relative_to(target.resolve()):
                raise FormatError(f"{url} leads outside its folder: {file.name}")
            file.parent.mkdir(parents=True, exist_ok=True)
        system.get(names, [str(file) for file in targets])


def kept_copy(url: Url) -> Path:
    """A copy of a folder in the cache folder; made anew when what is there has changed.

    Raises:
        FormatError: it cannot be fetched.
    """
    facts = listing(url)
    if not facts:
        raise FormatError(f"{url} cannot be read: there is no such folder or bucket")
    folder = cache_folder() / "copies" / digest(f"{url} {sorted(facts.items())}")
    copy = folder / (url.name or url.after_name or url.scheme)
    with file_lock(folder, wait_s=_PATIENCE_S):
        if not copy.is_dir():
            part = folder / ".part"
            shutil.rmtree(part, ignore_errors=True)
            fetch_folder(url, part)
            (folder / _ORIGIN).write_text(str(url), "utf-8")
            part.rename(copy)
    return copy


def local_folder(where: str | os.PathLike[str]) -> Path:
    """A folder that is read here: itself, or the kept copy of what a URL names.

    Raises:
        FormatError: it cannot be fetched.
    """
    place = parse_place(where)
    return kept_copy(place) if isinstance(place, Url) else place


@dataclass(frozen=True)
class Copied:
    """A kept copy, as other machines are told of it: they make their own.

    Attributes:
        root: where it lies on the machine that tells.
        url: what it is a copy of.
    """

    root: Path
    url: str

    def here(self) -> Path:
        """The same copy on this machine.

        Raises:
            FormatError: it cannot be fetched, or what is there has changed.
        """
        if self.root.is_dir():
            return self.root
        copy = kept_copy(Url.parse(self.url))
        if copy.parent.name != self.root.parent.name:
            raise FormatError(f"{self.url} has changed meanwhile; run the same command again")
        return copy


def copies_of(paths: Iterable[Path]) -> tuple[Copied, ...]:
    """The kept copies that files lie in."""
    base, found = cache_folder() / "copies", {}
    for path in paths:
        if path.is_relative_to(base) and len(parts := path.relative_to(base).parts) > 1:
            origin = base / parts[0] / _ORIGIN
            if origin.is_file():
                found[base / parts[0] / parts[1]] = origin.read_text("utf-8")
    return tuple(Copied(root, url) for root, url in found.items())


@contextlib.contextmanager
def local_copy(where: Place | str, *, others: bool = False) -> Iterator[Path]:
    """A file that is read here: itself, or a copy of what a URL names, for as long as the block.

    Args:
        where: a path, a URL, or either as text.
        others: copy the files beside it that are named alike as well, such as the data of a header.

    Raises:
        FormatError: it cannot be fetched.
    """
    if isinstance(where, str):
        where = parse_place(where)
    if isinstance(where, Path):
        yield where
        return
    with tempfile.TemporaryDirectory(prefix="respectra-") as folder:
        copy = Path(folder) / (where.name or "file")
        with named(copy, where):
            if where.suffix.lower() == ".zarr":
                fetch_folder(where, copy)
            else:
                fetch(where, copy)
            for url in _beside(where) if others else ():
                fetch(url, copy.with_name(url.name))
            yield copy


def _beside(url: Url) -> list[Url]:
    folder = url.at(url.path.rpartition("/")[0])
    alike = (other for other, _ in find(folder))
    return [other for other in alike if other.stem == url.stem and other.name != url.name]


@contextlib.contextmanager
def named(path: Path, url: Url) -> Iterator[None]:
    """Errors over a copy speak of the place that it is a copy of."""
    try:
        yield
    except RespectraError as error:
        if str(path) in str(error):
            error.args = (str(error).replace(str(path), str(url)),)
        raise
