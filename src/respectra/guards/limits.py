"""What opening a file will cost, and whether it may: decided before anything is allocated."""

from __future__ import annotations

import math
import os
import stat
from pathlib import Path

import psutil

from respectra.errors import ConfigError, DataError, FormatError

#: Up to this size, in bytes, a file of any size may become: sparse and constant data take next to
#: no room when they are compressed.
ALLOWANCE = 256 * 2**20
#: Beyond the allowance data may be this many times larger than their file. Real pictures and cubes
#: shrink 2 to 30 times; deflate alone could do 1032 times.
EXPANSION = 100.0
#: Environment variable that sets another expansion, for those who know their files.
EXPANSION_VARIABLE = "RESPECTRA_MAX_EXPANSION"
#: So many pieces (tiles, strips, chunks, pages) any file may have.
_FEW_PIECES = 4096
#: Each further one takes at least this many bytes of the file: where it lies.
_BYTES_A_PIECE = 8


def max_expansion() -> float:
    """How many times larger than their file compressed data may be, beyond the allowance.

    Raises:
        ConfigError: the environment variable ``RESPECTRA_MAX_EXPANSION`` is not a positive number.
    """
    text = os.environ.get(EXPANSION_VARIABLE)
    if not text:
        return EXPANSION
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value > 0:
        raise ConfigError(f"{EXPANSION_VARIABLE} is a positive number; got {text!r}")
    return value


def require_file(path: str | os.PathLike[str]) -> None:
    """Refuse a pipe or a device, which may keep whoever reads it waiting, or never end.

    Raises:
        FormatError: it is one. Of what is not there, whoever opens it says so.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - whatever the name is
    except (OSError, ValueError):
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise FormatError(f"{path} is a pipe or a device; save what it gives to a file")


def refuse_bomb(
    where: str | os.PathLike[str],
    *,
    needed_bytes: int,
    stored_bytes: int,
    compressed: bool = True,
    working_bytes: int = 0,
    pieces: int = 1,
    inflation: float = 1.0,
) -> None:
    """Refuse what a file cannot hold, should not hold, or what does not fit into memory.

    Call it with what the headers say, before a decoder is called or an array is made.

    Args:
        where: name of the file, for the message.
        needed_bytes: of the decoded values, as stored.
        stored_bytes: what the file gives for them.
        compressed: whether values may take less room than they do in memory. Where they may not,
            the file must hold them all; where they may, see ``EXPANSION`` and ``ALLOWANCE``.
        working_bytes: needed besides the values while they are read: copies, other types.
        pieces: tiles, strips, chunks or pages that have to be visited.
        inflation: by how much more the values grow by themselves (a product of small factors).

    Raises:
        FormatError: the file promises more than it can hold, or expands like a bomb.
        DataError: it does not fit into the free memory.
    """
    if needed_bytes < 0 or stored_bytes < 0 or pieces < 0:
        raise FormatError(f"{where} is damaged: its header gives negative sizes")
    if not compressed and needed_bytes > stored_bytes * inflation:
        raise FormatError(
            f"{where} promises {needed_bytes:,} bytes but holds {stored_bytes:,} bytes; "
            "it is truncated or its header is wrong"
        )
    limit = max_expansion() * inflation
    if needed_bytes > max(stored_bytes * limit, ALLOWANCE):
        raise FormatError(
            f"{where} would grow from {stored_bytes:,} to {needed_bytes:,} bytes, more than "
            f"{limit:g} times: its header is wrong or it is made to exhaust memory; if you trust "
            f"it, set {EXPANSION_VARIABLE} to a larger number"
        )
    if pieces > max(_FEW_PIECES, stored_bytes // _BYTES_A_PIECE):
        raise FormatError(
            f"{where} claims {pieces:,} pieces in {stored_bytes:,} bytes; "
            "its header is wrong or it is made to exhaust the machine"
        )
    needed, free = needed_bytes + working_bytes, free_memory()
    if needed > free:
        raise DataError(
            f"{where} needs {needed / 2**30:.1f} GiB of memory and {free / 2**30:.1f} GiB is free"
        )


def free_memory() -> int:
    """Bytes that this process can still take: of the machine, its control group, its own limit."""
    free = int(psutil.virtual_memory().available)
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        free = min(free, limit - int(Path("/sys/fs/cgroup/memory.current").read_text()))
    except (OSError, ValueError):  # no such group, or one without a limit
        pass
    try:
        import resource

        soft = resource.getrlimit(resource.RLIMIT_AS)[0]
        if soft != resource.RLIM_INFINITY:
            free = min(free, soft - psutil.Process().memory_info().vms)
    except (ImportError, OSError):  # Windows
        pass
    return max(0, free)
