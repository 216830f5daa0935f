"""The memory that the allocator keeps."""

from __future__ import annotations

import contextlib
import ctypes
import sys

__all__ = ["keep_freed_memory", "trim_malloc"]

#: Parameters of glibc's ``mallopt``, and what they become when a process is left to itself.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 32 * 2**20


def trim_malloc() -> None:
    """Let the allocator return what it keeps of freed memory to the system, where it can (glibc).

    Without this, pieces of different sizes leave gaps that add up to several times one piece.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def keep_freed_memory() -> None:
    """Let the allocator keep freed memory of arrays of usual sizes for the next ones (glibc).

    It does so by itself unless ``MALLOC_TRIM_THRESHOLD_`` is set, as Dask sets it for its workers:
    then every array is made of pages that the system has to clear first, which takes longer than
    most of what is done with it.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL(None)
            library.mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
            library.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST_MMAP_THRESHOLD)
