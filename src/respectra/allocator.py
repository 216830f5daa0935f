"""The memory that the allocator keeps."""

from __future__ import annotations

import contextlib
import ctypes
import sys

__all__ = ["trim_malloc"]


def trim_malloc() -> None:
    """Let the allocator return what it keeps of freed memory to the system, where it can (glibc).

    Without this, pieces of different sizes leave gaps that add up to several times one piece.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
