"""Addresses of places beyond this machine, such as ``s3://bucket/flight/*.tif``, and reaching them.

Credentials and endpoints are those of fsspec and its file systems: their environment variables
and configuration files. So are retries.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from respectra.errors import (
    ConfigError,
    FormatError,
    MissingExtraError,
    OutputError,
    RespectraError,
    url_in,
)

__all__ = ["Place", "Url", "is_url", "parse_place", "reaching", "require_here"]

_URL = re.compile(r"^((?:[a-z][a-z0-9+.-]+::)*)([a-z][a-z0-9+.-]+)://(.*?)(::.*)?$", re.IGNORECASE)
_FILE = re.compile(r"^(?:file|local)://", re.IGNORECASE)


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
        return self.at(f"{folder.rstrip('/')}/{name}" if folder else str(name))

    def at(self, path: str) -> Url:
        """Another path of the same file systems."""
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

    @property
    def after_name(self) -> str:
        """The name of the archive that it lies in, without its suffix; empty without one."""
        return PurePosixPath(self.after).stem

    def with_name(self, name: str) -> Url:
        """Another name beside this one."""
        return self.at(str(self._plain.with_name(name)))

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
            if self.scheme in ("s3", "s3a"):
                raise MissingExtraError("s3fs", "cluster", f"a URL such as {self}") from None
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


def parse_place(where: str | os.PathLike[str] | Url) -> Place:
    """A path of this machine or a URL, as it is written; or as ``Path`` writes one."""
    if isinstance(where, Url):
        return where
    text = url_in(where) or os.fspath(where)
    if is_url(text):
        return Url.parse(text)
    return Path(_FILE.sub("", text))


def require_here(path: str | os.PathLike[str]) -> None:
    """Refuse a URL where a path of this machine is written: it would become folders named so.

    Raises:
        OutputError: it is one, and there is no folder of this name.
    """
    text = url_in(Path(path))
    if text and not os.path.isdir(text.partition("//")[0]):  # noqa: PTH112 - whatever its name
        raise OutputError(
            f"cannot write {text}: this is written to a path of this machine, not to a URL; write "
            "it here and copy it there"
        )


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
