"""Writing files so that a killed run leaves either the whole result or none."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from respectra.errors import OutputError


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary name beside ``path``; move it to ``path`` when the block succeeds.

    The block may write a file or a folder at the name it gets (the suffix is kept, for libraries
    that look at it). When it raises, what it wrote is removed and ``path`` is untouched.

    Raises:
        OutputError: ``path`` exists and ``overwrite`` is false, its folder cannot be made or
            written, or the disk is full.
    """
    target = Path(path)
    ensure_absent(target, overwrite=overwrite)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {target.parent}: {error.strerror}") from error
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.part{target.suffix}")
    try:
        yield temporary
        if not temporary.exists():
            raise OutputError(f"nothing was written for {target}")
        _replace(temporary, target)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            f"cannot write {target}: {error.strerror or error}; "
            "check the free space and the permissions of its folder"
        ) from error
    finally:
        remove(temporary)


def ensure_absent(path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Refuse an output that exists already.

    Raises:
        OutputError: ``path`` exists and ``overwrite`` is false.
    """
    if not overwrite and os.path.lexists(path):
        raise OutputError(f"{path} exists already; choose another name or pass --overwrite")


def remove(path: Path) -> None:
    """Delete a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _replace(temporary: Path, target: Path) -> None:
    """Move into place; a folder cannot replace another in one step, so the old one steps aside."""
    if target.is_dir() and not target.is_symlink():
        old = target.with_name(f".{target.name}.{secrets.token_hex(4)}.old")
        target.rename(old)
        try:
            temporary.rename(target)
        except OSError:
            old.rename(target)
            raise
        remove(old)
    elif temporary.is_dir():
        target.unlink(missing_ok=True)
        temporary.rename(target)
    else:
        temporary.replace(target)
