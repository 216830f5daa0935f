"""The memory that the allocator keeps."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys

__all__ = ["keep_malloc", "trim_malloc"]

#: glibc's numbers of what is set, and the sizes at which it ends by itself where nothing is set.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_MOST_MAPPED = 4 * 2**20 * ctypes.sizeof(ctypes.c_long)


def trim_malloc() -> None:
    """Let the allocator return what it keeps of freed memory to the system, where it can (glibc).

    Without this, pieces of different sizes leave gaps that add up to several times one piece.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def keep_malloc() -> None:
    """Let the allocator of a dask worker keep what is freed for what comes next (glibc).

    dask starts workers with ``MALLOC_TRIM_THRESHOLD_``, which also fixes the size from which an
    array is mapped and unmapped by itself: half the time of a picture goes into clearing pages.
    The sizes set here are those that a process comes to where nothing is set.
    """
    if sys.platform == "linux" and "MALLOC_TRIM_THRESHOLD_" in os.environ:
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL(None)
            library.mallopt(_MMAP_THRESHOLD, _MOST_MAPPED)
            library.mallopt(_TRIM_THRESHOLD, 2 * _MOST_MAPPED)
