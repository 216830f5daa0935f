"""Places by URL, such as ``s3://bucket/flight/*.tif``: whatever fsspec reaches.

Files are worked on here, as everywhere: an input is fetched before it is read, an output is put
where it belongs when it is whole. Nothing half written opens as whole:

- one file is put in one step: object stores show an object when all of it is there, and other
  places get it under a hidden name first;
- of several files, the one that is opened goes last;
- of a Zarr store, its metadata go last, and of these the root's: before, nothing is there to be
  opened. What is replaced loses its root first.

Credentials and endpoints are those of fsspec and its file systems: their environment variables
and configuration files. So are retries.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from respectra.cache import cache_folder
from respectra.errors import (
    ConfigError,
    FormatError,
    MissingExtraError,
    OutputError,
    RespectraError,
)
from respectra.locks import file_lock

__all__ = [
    "Url",
    "delete",
    "digest",
    "ensure_absent",
    "exists",
    "fetch",
    "fetch_folder",
    "find",
    "fingerprint",
    "is_url",
    "kept_copy",
    "local_copy",
    "named",
    "place",
    "put",
    "put_outputs",
    "reaching",
    "uploading",
    "write_once",
]

#: How long to wait for another process that copies the same.
_PATIENCE_S = 3600.0
_URL = re.compile(r"^((?:[a-z][a-z0-9+.-]+::)*)([a-z][a-z0-9+.-]+)://(.*?)(::.*)?$", re.IGNORECASE)
_FILE = re.compile(r"^(?:file|local)://", re.IGNORECASE)
#: Where an object appears whole; elsewhere it is moved into its place.
_OBJECT_STORES = frozenset(
    {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "memory"}
)
#: Of a Zarr store, or of an array or a group within.
_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")


@dataclass(frozen=True)
class Url:
    """A place that fsspec reaches, to be taken apart as a path is.

    Attributes:
        before: file systems that it goes through first, such as ``simplecache::``.
        scheme: ``s3``, ``https``, ``zip``, ...
        path: bucket and key; host and path; path within an archive.
        after: where an archive lies, such as ``::s3://bucket/flight.zip``.
    """

    before: str
    scheme: str
    path: str
    after: str = ""

    @classmethod
    def parse(cls, text: str) -> Url:
        """A URL from its text.

        Raises:
            ConfigError: it is none.
        """
        found = _URL.match(text)
        if found is None:
            raise ConfigError(f"{text!r} is no URL, such as s3://bucket/folder/name.png")
        before, scheme, path, after = found.groups()
        return cls(before or "", scheme.lower(), path, after or "")

    def __str__(self) -> str:
        return f"{self.before}{self.scheme}://{self.path}{self.after}"

    def __truediv__(self, name: str | PurePosixPath) -> Url:
        folder = re.split(r"[?#]", self.path)[0] if self.is_web else self.path
        return self._at(f"{folder.rstrip('/')}/{name}" if folder else str(name))

    def _at(self, path: str) -> Url:
        return Url(self.before, self.scheme, path, self.after)

    @property
    def is_web(self) -> bool:
        """Whether it is a page of the web: its question mark begins a query."""
        return self.scheme in ("http", "https")

    @property
    def _plain(self) -> PurePosixPath:
        path = re.split(r"[?#]", self.path)[0] if self.is_web else self.path
        return PurePosixPath(path.rstrip("/"))

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self._plain.name

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self._plain.stem

    @property
    def suffix(self) -> str:
        """The ending of the name; a bucket alone has none."""
        alone = len(self._plain.parts) < 2 and self.scheme not in ("zip", "tar", "memory")
        return "" if alone else self._plain.suffix

    def with_name(self, name: str) -> Url:
        """Another name beside this one."""
        return self._at(str(self._plain.with_name(name)))

    def is_dir(self) -> bool:
        """Whether names are known to lie below it."""
        with reaching(self):
            system, path = self.open()
            return bool(system.isdir(path))

    @property
    def is_pattern(self) -> bool:
        """Whether it stands for several files."""
        magic = "*[" if self.is_web else "*?["
        return any(sign in self.path for sign in magic)

    def open(self) -> tuple[Any, str]:
        """The file system, and the path within it.

        Raises:
            MissingExtraError: fsspec, or what it needs for this scheme, is not installed.
            ConfigError: a scheme that fsspec does not know.
        """
        try:
            import fsspec
        except ImportError:
            raise MissingExtraError("fsspec", "cluster", f"a URL such as {self}") from None
        try:
            system, path = fsspec.url_to_fs(str(self))
        except ImportError as error:
            raise ConfigError(
                f"{self}: {error}; fsspec says what a scheme needs: pip install 'fsspec[...]'"
            ) from None
        except ValueError as error:
            raise ConfigError(f"{self} cannot be reached: {error}") from None
        system.invalidate_cache()  # others write as well
        return system, str(path)


Place = Path | Url


def is_url(text: object) -> bool:
    """Whether something is a URL; a path of this machine is none, nor is ``file://…``."""
    if isinstance(text, Url):
        return True
    return isinstance(text, str) and bool(_URL.match(text)) and not _FILE.match(text)


def place(text: str) -> Place:
    """A path of this machine or a URL, as it is written."""
    if is_url(text):
        return Url.parse(text)
    return Path(_FILE.sub("", text))


@contextlib.contextmanager
def reaching(url: Url, *, writing: bool = False) -> Iterator[None]:
    """Turn whatever a file system raises over a place into one line.

    Raises:
        FormatError: it cannot be read.
        OutputError: with ``writing``: it cannot be written.
    """
    try:
        yield
    except RespectraError:
        raise
    except Exception as error:  # every file system has a family of its own
        text = _reason(error)
        if writing:
            raise OutputError(f"cannot write {url}: {text}") from error
        raise FormatError(f"{url} cannot be read: {text}") from error


def _reason(error: BaseException) -> str:
    kind, said = type(error).__name__, " ".join(str(error).split())
    if "Credential" in kind or "Credential" in said:
        return f"no credentials ({said}); set them as its provider says, such as AWS_PROFILE"
    if isinstance(error, FileNotFoundError):
        bucket = "bucket" in said.lower()
        return said if bucket else "there is no such file, folder or bucket"
    if isinstance(error, PermissionError):
        return f"access denied ({said})" if said else "access denied"
    return f"{kind}: {said}" if said else kind


# --- looking -------------------------------------------------------------------------------------


def fingerprint(url: Url) -> str:
    """What changes when the content does, without reading it: the place's own tag.

    Raises:
        FormatError: it is not there or cannot be reached.
    """
    with reaching(url):
        system, path = url.open()
        facts = system.info(path)
        for name in ("ETag", "etag", "md5Hash", "content_md5", "crc32c", "CRC"):
            if facts.get(name):
                return f"{name} {facts[name]} of {facts.get('size')} bytes"
        return f"{url} {system.ukey(path)}"


def exists(url: Url) -> bool:
    """Whether a file is there, or a Zarr store that is whole.

    Raises:
        FormatError: the place cannot be reached.
    """
    with reaching(url):
        system, path = url.open()
        names = _METADATA[:3] if url.suffix.lower() == ".zarr" else ()
        if any(system.exists(f"{path.rstrip('/')}/{name}") for name in names):
            return True
        return bool(system.isfile(path))


def ensure_absent(url: Url, *, overwrite: bool = False) -> None:
    """Refuse an output that exists already.

    Raises:
        OutputError: it does, and ``overwrite`` is false.
    """
    if not overwrite and exists(url):
        raise OutputError(f"{url} exists already; choose another name or pass --overwrite")


def find(url: Url) -> list[tuple[Url, PurePosixPath]]:
    """The files of a folder, or those that a pattern stands for; see ``inference.find_inputs``.

    Returns:
        Each with its path relative to the folder, or to the first part that is no pattern, sorted.

    Raises:
        FormatError: there is no such place, or it cannot be reached.
    """
    parts = url.path.split("/")
    plain = next((i for i, p in enumerate(parts) if Url("", "s3", p).is_pattern), len(parts))
    root = url._at("/".join(parts[:plain]))
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
        name = str(facts["name"])
        if facts["type"] == "file":
            relative.append(PurePosixPath(name[len(base) :].lstrip("/") if base else name))
    return [(root / name, name) for name in sorted(relative)]


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
        names = system.find(path)
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
    with reaching(url):
        system, path = url.open()
        found = system.find(path, detail=True)
        facts = [(str(n), f.get("size"), str(f.get("ETag", ""))) for n, f in sorted(found.items())]
    if not facts:
        raise FormatError(f"{url} cannot be read: there is no such folder or bucket")
    folder = cache_folder() / "copies" / digest(f"{url} {facts}")
    copy = folder / url.name
    with file_lock(folder, wait_s=_PATIENCE_S):
        if not copy.is_dir():
            part = folder / ".part"
            shutil.rmtree(part, ignore_errors=True)
            fetch_folder(url, part)
            part.rename(copy)
    return copy


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
        where = place(where)
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
    folder = url._at(url.path.rpartition("/")[0])
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


# --- writing -------------------------------------------------------------------------------------


@contextlib.contextmanager
def uploading(url: Url, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a name here for an output; put it, and what lies beside it, where it belongs.

    When the block raises, nothing is put.

    Raises:
        OutputError: it exists and ``overwrite`` is false, or it cannot be put there.
    """
    ensure_absent(url, overwrite=overwrite)
    with tempfile.TemporaryDirectory(prefix="respectra-") as folder:
        path = Path(folder) / url.name
        with named(path, url):
            yield path
        put_outputs(Path(folder), url, first=path)


def put_outputs(folder: Path, url: Url, *, first: Path) -> None:
    """Put the files of an output; hidden ones are left out.

    Args:
        folder: where they lie, and nothing else.
        url: of the one that is named; the others go beside it.
        first: the file that is opened first. It is put last.
    """
    files = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    for file in sorted(files, key=lambda p: p == first):
        put(file, url.with_name(file.name))


def put(source: Path, url: Url) -> None:
    """Put a file or a Zarr store; what is there is replaced.

    Raises:
        OutputError: it cannot be, and then nothing that opens as whole is there.
    """
    with reaching(url, writing=True):
        system, path = url.open()
        if source.is_dir():
            _put_folder(system, source, path.rstrip("/"), url)
        else:
            _put_files(system, [source], [path], url)


def _put_folder(system: Any, source: Path, path: str, url: Url) -> None:
    files = [p for p in source.rglob("*") if p.is_file()]
    roots = [p for p in files if p.parent == source and p.name in _METADATA]
    if not roots:
        raise OutputError(f"{url}: a folder of files cannot be put there; choose zarr or npz")
    for name in _METADATA:
        if system.exists(f"{path}/{name}"):
            system.rm_file(f"{path}/{name}")
    old = system.find(path) if system.exists(path) else []
    if old:
        system.rm(old)
    inner = [p for p in files if p.name in _METADATA and p not in roots]
    chunks = [p for p in files if p.name not in _METADATA]
    for group in (chunks, inner, roots):
        targets = [f"{path}/{p.relative_to(source).as_posix()}" for p in group]
        _put_files(system, group, targets, url)


def _put_files(system: Any, sources: Sequence[Path], targets: Sequence[str], url: Url) -> None:
    if not sources:
        return
    if url.scheme in _OBJECT_STORES:
        system.put([str(p) for p in sources], list(targets))
        return
    for source, target in zip(sources, targets, strict=True):
        parent, _, name = target.rpartition("/")
        system.makedirs(parent, exist_ok=True)
        hidden = f"{parent}/.{name}.part"
        system.put_file(str(source), hidden)
        system.mv(hidden, target)


def write_once(url: Url, data: bytes) -> None:
    """Write a small file where none is.

    Raises:
        OutputError: there is one, by another process; or it cannot be written.
    """
    with reaching(url, writing=True):
        system, path = url.open()
        try:
            system.pipe_file(path, data, mode="create")
        except FileExistsError:
            raise OutputError(
                f"{url} is being written by another run; wait for it to end"
            ) from None
        except (TypeError, NotImplementedError):  # a file system that cannot ask for that
            system.pipe_file(path, data)


def delete(urls: Sequence[Url]) -> None:
    """Delete files, as far as they are there and that is allowed."""
    for url in urls:
        with contextlib.suppress(Exception):
            system, path = url.open()
            system.rm_file(path)


def digest(text: str) -> str:
    """A short name for a text."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
