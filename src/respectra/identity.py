"""What a file is: the hash of its content, not its name, size or time."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from respectra.errors import FormatError, no_file
from respectra.locks import LOCK

__all__ = ["content_hash"]

_Stamp = tuple[str, int, int, int, int]
#: Path, size, times of change and inode -> hash, of files that this process has read.
_known: dict[_Stamp, str] = {}
_MOST_KNOWN = 100_000


def content_hash(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes; of a folder, that of the names and hashes of its files.

    A file is read once by a process, and again when its size, times of change or inode differ.

    Args:
        path: a file; or a folder, such as a Zarr store, with all that is below it.

    Returns:
        64 hexadecimal digits; for a file those that ``sha256sum`` gives.

    Raises:
        FormatError: there is no such file, or it cannot be read.
    """
    path = Path(path)
    try:
        return _hash_of_folder(path) if path.is_dir() else _hash_of_file(path)
    except FileNotFoundError as error:
        raise no_file(error.filename or path) from None
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror or error}") from error


def _hash_of_folder(folder: Path) -> str:
    whole = hashlib.sha256()
    for file in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != LOCK):
        name = file.relative_to(folder).as_posix()
        whole.update(f"{name}\0{_hash_of_file(file)}\n".encode())
    return whole.hexdigest()


def _hash_of_file(path: Path) -> str:
    with path.open("rb") as file:
        before = _stamp(path, file.fileno())
        if before in _known:
            return _known[before]
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if _stamp(path, file.fileno()) == before:
            if len(_known) >= _MOST_KNOWN:
                _known.clear()
            _known[before] = digest
        return digest


def _stamp(path: Path, fd: int) -> _Stamp:
    facts = os.fstat(fd)
    # The last one cannot be set to what it was, as the one before it can.
    times = facts.st_mtime_ns, facts.st_ctime_ns
    return (os.path.realpath(path), facts.st_size, facts.st_ino, *times)
