"""One writer an output: a lock beside it, and the name of the process that holds it.

The lock is the operating system's, through ``filelock``: it ends with the process that holds it,
however that process ends. The lock file holds the process's number and machine for the others to
read; it is deleted when the lock is given back, and a killed process's is taken over.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from respectra.errors import OutputError
from respectra.guards.text import read_object
from respectra.urls import require_here

__all__ = ["LOCK", "file_lock", "hidden_name", "holder", "lock_path"]

#: Longest file name that every common file system takes, bytes.
_LONGEST_NAME = 255
#: Name of the lock file of a folder that is written in place.
LOCK = ".lock"
_ATTEMPTS = 20


@dataclass
class _Held:
    """A lock of this process."""

    lock: Any
    process: int
    thread: int


_held: dict[str, _Held] = {}
_guard = threading.Lock()


def hidden_name(name: str, ending: str) -> str:
    """``.NAMEending``: a hidden name beside a file, shortened where the system's names end."""
    whole = f".{name}{ending}"
    if len(os.fsencode(whole)) <= _LONGEST_NAME:
        return whole
    digest = hashlib.blake2b(os.fsencode(name), digest_size=16).hexdigest()
    return f".{digest}{ending}"


def lock_path(path: str | os.PathLike[str], *, inside: bool = False) -> Path:
    """The lock file of an output, which lies in a folder that is written in place."""
    target = Path(path)
    return target / LOCK if inside else target.with_name(hidden_name(target.name, ".lock"))


@contextlib.contextmanager
def file_lock(
    path: str | os.PathLike[str],
    *,
    inside: bool = False,
    again: bool = False,
    wait_s: float = 0.0,
) -> Iterator[None]:
    """Be the only one who writes an output, across processes and threads.

    Args:
        path: a file or folder to write; the folder of the lock is made where it is missing.
        inside: ``path`` is a folder that is written in place: the lock lies in it.
        again: pass if this thread holds the lock already.
        wait_s: how long to wait for another process to give it back.

    Raises:
        OutputError: another process or thread holds the lock, whose name is given, the folder
            cannot be written, or it is a URL.
    """
    require_here(path)
    file = lock_path(path, inside=inside)
    key = os.path.realpath(file)
    with _guard:
        mine = _held.get(key)
        if mine is not None and mine.process == os.getpid():
            if again and mine.thread == threading.get_ident():
                mine = None
            else:
                raise OutputError(_refusal(path, "this process"))
        else:
            mine = _held[key] = _take(file, path, wait_s)
    if mine is None:
        yield
        return
    try:
        if inside:
            _free_within(Path(path))
        yield
    finally:
        with _guard:
            _held.pop(key, None)
            _give_back(file, mine)


def _give_back(file: Path, held: _Held) -> None:
    """Release a lock, whatever comes between: nobody else makes a new file while it is held."""
    try:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
    finally:
        with contextlib.suppress(OSError):
            held.lock.release()


def _free_within(folder: Path) -> None:
    """Delete the locks of killed processes on files of a folder whose own lock is held."""
    for file in folder.glob(".*.lock"):
        with contextlib.suppress(OSError):
            _give_back(file, _take(file, file, 0.0))


def _take(file: Path, path: str | os.PathLike[str], wait_s: float) -> _Held:
    import filelock

    for _ in range(_ATTEMPTS):
        lock = filelock.FileLock(str(file), timeout=wait_s, thread_local=False)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except (TimeoutError, filelock.Timeout):
            raise OutputError(_refusal(path, holder(file))) from None
        except NotImplementedError:  # a file system without locks
            return _Held(_NoLock(), os.getpid(), threading.get_ident())
        except OSError as error:
            raise OutputError(
                f"cannot write {path}: {error.strerror or error}; "
                "check the permissions and the free space of its folder"
            ) from error
        if _is_at(lock, file):
            with contextlib.suppress(OSError):  # without a name it is a lock all the same
                file.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
            return _Held(lock, os.getpid(), threading.get_ident())
        lock.release()  # its file was deleted when the one before gave it back
    raise OutputError(_refusal(path, "another process"))


class _NoLock:
    def release(self) -> None:
        """Nothing is held."""


def _is_at(lock: Any, file: Path) -> bool:
    """Whether the locked file is still the one of this name."""
    fd = getattr(getattr(lock, "_context", None), "lock_file_fd", None)
    if not isinstance(fd, int):
        return True
    try:
        return os.path.samestat(os.fstat(fd), file.stat())
    except OSError:
        return False


def holder(file: Path) -> str:
    """Who holds a lock file, as far as it says."""
    try:
        found = read_object(file)
        return f"process {int(found['pid'])} on {str(found['host'])[:64]}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _refusal(path: str | os.PathLike[str], who: str) -> str:
    return f"{path} is being written by {who}; wait for it to end, or choose another place"
