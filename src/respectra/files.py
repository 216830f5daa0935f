"""Writing files so that a killed run leaves either the whole result or none.

An output is written under a hidden name beside its place and moved there in one step:

    .NAME.lock          held while the output is written; see ``respectra.locks``
    .NAME.part.SUFFIX   the output while it is written
    .STEM.commit        what is being moved where, when an output has several files
    .NAME.old           the old folder, on systems that cannot exchange two folders

At every moment NAME is the old output or the new one, whole. A process that is killed leaves
some of these files. Whoever writes to the same place next deletes them, and ends a move that had
begun (``recover``); so does whoever opens a cube there.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import glob
import hashlib
import json
import os
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from respectra.errors import OutputError
from respectra.guards.text import read_json
from respectra.locks import file_lock, hidden_name
from respectra.urls import require_here

__all__ = [
    "atomic_group",
    "atomic_path",
    "atomic_paths",
    "ensure_absent",
    "ensure_all_absent",
    "ensure_present",
    "file_lock",
    "make_folder",
    "move_into_place",
    "recover",
    "remove",
    "writing_to",
]

PathLike = str | os.PathLike[str]
#: Source and target of a move.
Move = tuple[Path, Path]
#: Leftovers of writers on other machines are deleted at this age.
_STALE_S = 3600.0
#: Longer suffixes mean nothing to a library.
_LONGEST_SUFFIX = 24
#: How long to wait for one who ends the moves of a killed process.
_PATIENCE_S = 5.0
#: How long to wait for chunks that are written while a store is deleted.
_ZARR_S = 60.0
_NO_REPLACE, _EXCHANGE = 1, 2


@contextlib.contextmanager
def atomic_path(path: PathLike, *, overwrite: bool = False, shared: bool = False) -> Iterator[Path]:
    """Give a temporary name beside ``path``; move it to ``path`` when the block succeeds.

    The block may write a file or a folder at the name it gets (the suffix is kept, for libraries
    that look at it). When it raises, what it wrote is removed and ``path`` is untouched.

    Args:
        path: where the output will be.
        overwrite: replace what is there.
        shared: several processes may write it at once and the last one stays, as in a cache.

    Raises:
        OutputError: ``path`` exists and ``overwrite`` is false, another process writes it, its
            folder cannot be made or written, or the disk is full.
    """
    with atomic_paths((path,), overwrite=overwrite, shared=shared) as (temporary,):
        yield temporary


@contextlib.contextmanager
def atomic_paths(
    paths: Sequence[PathLike], *, overwrite: bool = False, shared: bool = False
) -> Iterator[list[Path]]:
    """As ``atomic_path``, for an output of several files: all of them are replaced, or none.

    They are all in one folder. The first is the one that makes the output visible: it is moved
    last, and gives the lock its name.
    """
    targets = [Path(path) for path in paths]
    ensure_all_absent(targets, overwrite=overwrite)
    make_folder(targets[0].parent)
    temporaries = [_temporary(target, shared=shared) for target in targets]
    held = contextlib.nullcontext() if shared else file_lock(targets[0], again=True)
    with held, writing_to(targets[0]):
        try:
            recover(targets[0], others=_names(targets))
            for temporary, target in zip(temporaries, targets, strict=True):
                ensure_absent(target, overwrite=overwrite)
                for leftover in (temporary, _old(target)):
                    remove(leftover)
            if shared:
                _remove_stale(targets)
            yield temporaries
            for temporary, target in zip(temporaries, targets, strict=True):
                if not os.path.lexists(temporary):
                    raise OutputError(f"nothing was written for {target}")
            move_into_place(list(zip(temporaries, targets, strict=True)), overwrite=overwrite)
        finally:
            for temporary in temporaries:
                remove(temporary)


@contextlib.contextmanager
def atomic_group(paths: Sequence[PathLike], *, overwrite: bool = False) -> Iterator[list[Path]]:
    """As ``atomic_paths``, for outputs of one command that may lie in several folders.

    All are written before the first is moved. Those of one folder are replaced together.
    """
    targets = [Path(path) for path in paths]
    given: dict[Path, Path] = {}
    with contextlib.ExitStack() as stack:
        for folder in dict.fromkeys(target.absolute().parent for target in targets):
            together = [target for target in targets if target.absolute().parent == folder]
            names = stack.enter_context(atomic_paths(together, overwrite=overwrite))
            given.update(zip(together, names, strict=True))
        yield [given[target] for target in targets]


@contextlib.contextmanager
def writing_to(path: PathLike, hint: str = "") -> Iterator[None]:
    """Turn what the system says of a place that cannot be written into an error of ours.

    ``hint`` says what to do about it.

    Raises:
        OutputError: the disk is full, the folder is gone, something is forbidden.
    """
    advice = hint or "check the free space and the permissions of its folder"
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        if error.errno is None and "requested and" in str(error):  # NumPy's words for a full disk
            error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        reason = error.strerror or error
        raise OutputError(f"cannot write {path}: {reason}; {advice}") from error


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are missing.

    Raises:
        OutputError: it cannot be made, or is a URL.
    """
    require_here(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"cannot make the folder {folder}: {reason}") from error


def ensure_absent(path: PathLike, *, overwrite: bool = False) -> None:
    """Refuse an output that exists already.

    Raises:
        OutputError: ``path`` exists and ``overwrite`` is false, or is a URL.
    """
    require_here(path)
    if not overwrite and os.path.lexists(path):
        raise OutputError(f"{path} exists already; choose another name or pass --overwrite")


def ensure_all_absent(paths: Sequence[PathLike], *, overwrite: bool = False) -> None:
    """As ``ensure_absent``, of an output of several files; ends a move to them that was begun."""
    recover(paths[0], others=_names(paths))
    for path in paths:
        ensure_absent(path, overwrite=overwrite)


def ensure_present(paths: Sequence[PathLike]) -> None:
    """See at the end that all outputs of a work are there.

    Raises:
        OutputError: some are not: their folder vanished meanwhile.
    """
    lost = [path for path in paths if not os.path.lexists(path)]
    if lost:
        raise OutputError(
            f"{len(lost)} of {len(paths)} outputs are gone again, such as {lost[0]}: their folder "
            "vanished meanwhile; see to it and run the same command again"
        )


def remove(path: Path) -> None:
    """Delete a file or a folder if it is there; what cannot be deleted stays."""
    with contextlib.suppress(OSError):
        if _is_folder(path):
            _let_zarr_end()
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _let_zarr_end() -> None:
    """Wait for what Zarr's own threads still write: after an error in one chunk they go on."""
    zarr = sys.modules.get("zarr.core.sync")
    if zarr is None or getattr(zarr, "loop", [None])[0] is None:
        return
    import asyncio

    async def others() -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if tasks:
            await asyncio.wait(tasks, timeout=_ZARR_S)

    with contextlib.suppress(Exception):
        zarr.sync(others())


# --- moving into place -------------------------------------------------------------------------


def move_into_place(moves: Sequence[Move], *, overwrite: bool) -> None:
    """Move finished files or folders to where they belong, all of them or none.

    All targets are in one folder, every source is below it, and the first target is moved last. Of
    several, a record is written first; whoever finds it ends what it says.

    Raises:
        OutputError: a target exists and ``overwrite`` is false.
        OSError: a file cannot be moved.
    """
    for _, target in moves:
        ensure_absent(target, overwrite=overwrite)
    if len(moves) == 1:
        _move(*moves[0], overwrite=overwrite)
        return
    with file_lock(moves[0][1], again=True, wait_s=_PATIENCE_S):
        _move_several(moves)


def _move_several(moves: Sequence[Move]) -> None:
    folder = moves[0][1].parent
    listed = [[os.path.relpath(source, folder), target.name] for source, target in moves]
    record = _record(moves[0][1])
    record.write_text(json.dumps(listed))  # one that a kill cuts short says nothing
    _end_moves(record, moves)


def recover(path: PathLike, *, others: Sequence[str] = ()) -> None:
    """End a move to a place that a killed process had begun; nothing happens without one.

    The place is any file of the output. ``others`` are patterns of files that belong to it and are
    not named alike, such as ``*.bin``; ``NAME.SUFFIX`` and ``NAME.preview.png`` are.
    """
    target = Path(path)
    record, old = _record(target), _old(target)
    if os.path.lexists(record):
        moves = _read_record(record, others)
        first = moves[0][1] if moves else target
        with contextlib.suppress(OSError), file_lock(first, again=True, wait_s=_PATIENCE_S):
            _end_moves(record, _read_record(record, others))
    if not os.path.lexists(target) and os.path.lexists(old):
        with contextlib.suppress(OSError), file_lock(target, again=True):
            if not os.path.lexists(target):
                old.rename(target)


def _end_moves(record: Path, moves: Sequence[Move]) -> None:
    for source, target in reversed(moves):
        if os.path.lexists(source):
            _move(source, target, overwrite=True)
    record.unlink(missing_ok=True)


def _read_record(record: Path, others: Sequence[str]) -> list[Move]:
    """The moves of a record: none of a damaged one, nor of one that was not written by us.

    Whoever gives us a folder must not make us move anything but the output that it is about, from
    anywhere but hidden places beside it.
    """
    try:
        listed = [(str(source), str(target)) for source, target in read_json(record)]
    except (ValueError, TypeError):
        return []
    folder = record.parent
    moves = [(folder / source, folder / target) for source, target in listed]
    for (source, target), (_, place) in zip(listed, moves, strict=True):
        parts = Path(source).parts
        hidden = bool(parts) and parts[0].startswith(".") and ".." not in parts
        links = (folder.joinpath(*parts[:n]).is_symlink() for n in range(1, len(parts) + 1))
        known = _records(place, record) or any(place.match(pattern) for pattern in others)
        if not (hidden and place.name == target and known) or any(links):
            return []
    return moves


def _move(source: Path, target: Path, *, overwrite: bool) -> None:
    """Rename; what is at the target is replaced in the same step."""
    if not os.path.lexists(target):
        if not _rename(source, target, _NO_REPLACE):
            source.rename(target)
    elif not (_is_folder(source) or _is_folder(target)):
        ensure_absent(target, overwrite=overwrite)
        source.replace(target)
    elif _rename(source, target, _EXCHANGE):
        remove(source)
    else:
        old = _old(target)
        remove(old)
        target.rename(old)
        try:
            source.rename(target)
        except OSError:
            old.rename(target)
            raise
        remove(old)


def _rename(source: Path, target: Path, flag: int) -> bool:
    """Rename in a way that Python has no name for; false where the system cannot.

    Raises:
        OutputError: there is a target that was not to be replaced.
        OSError: the system refuses.
    """
    call = _system_call()
    if call is None:
        return False
    if call(os.fsencode(source), os.fsencode(target), flag) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    if number == errno.EEXIST:
        ensure_absent(target)
    raise OSError(number, os.strerror(number), str(source), None, str(target))


@functools.cache
def _system_call() -> Callable[[bytes, bytes, int], int] | None:
    """renameat2 of Linux, or renamex_np of macOS, which has the same two flags."""
    here = -100  # AT_FDCWD
    platform: str = sys.platform
    with contextlib.suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None, use_errno=True)
        if platform == "linux":
            linux = library.renameat2
            linux.argtypes = [
                ctypes.c_int,
                ctypes.c_char_p,
                ctypes.c_int,
                ctypes.c_char_p,
                ctypes.c_uint,
            ]
            return lambda old, new, flag: int(linux(here, old, here, new, flag))
        if platform == "darwin":
            mac = library.renamex_np
            mac.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint]
            flags = {_NO_REPLACE: 4, _EXCHANGE: 2}
            return lambda old, new, flag: int(mac(old, new, flags[flag]))
    return None


# --- names -------------------------------------------------------------------------------------


def _temporary(target: Path, *, shared: bool) -> Path:
    suffix = target.suffix if len(os.fsencode(target.suffix)) <= _LONGEST_SUFFIX else ""
    unique = f".{_here()}-{os.getpid():x}-{secrets.token_hex(2)}" if shared else ""
    return target.with_name(hidden_name(target.name, f"{unique}.part{suffix}"))


def _record(target: Path) -> Path:
    return target.with_name(hidden_name(target.stem, ".commit"))


def _names(paths: Sequence[PathLike]) -> list[str]:
    return [glob.escape(Path(path).name) for path in paths]


def _records(place: Path, record: Path) -> bool:
    """Whether a record may be about a place, by its name or the first parts of it."""
    parts = place.name.split(".")
    stems = {place.stem, *(".".join(parts[:n]) for n in range(1, len(parts)))}
    return record.name in {hidden_name(stem, ".commit") for stem in stems if stem}


def _old(target: Path) -> Path:
    return target.with_name(hidden_name(target.name, ".old"))


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _here() -> str:
    """A short name for this machine."""
    return hashlib.blake2b(socket.gethostname().encode(), digest_size=4).hexdigest()


def _remove_stale(targets: Sequence[Path]) -> None:
    """Delete what killed writers without a lock left: of this machine, or of long ago."""
    import psutil

    for target in targets:
        name, suffix = glob.escape(target.name), glob.escape(target.suffix)
        for part in target.parent.glob(f".{name}.*-*-*.part{suffix}"):
            machine, process, _ = part.name.removeprefix(f".{target.name}.").split("-", 2)
            with contextlib.suppress(OSError, ValueError):
                dead = machine == _here() and not psutil.pid_exists(int(process, 16))
                if dead or time.time() - part.lstat().st_mtime > _STALE_S:
                    remove(part)
