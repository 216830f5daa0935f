"""Threads for loops that release the interpreter's lock: NumPy's, and compiled ones.

They are Python's: numba's own layers change how many threads other libraries run, or abort the
process when two threads of a program call them at once, as a server does.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import threadpoolctl

__all__ = ["available_cores", "for_blocks", "limited_blocks", "one_behind", "one_blas_thread"]

_limits = threading.local()


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _usual() -> int:
    """Threads where nobody asks for a number: see :func:`for_blocks`."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return (
        min(available_cores(), int(asked))
        if asked.isdecimal() and int(asked)
        else available_cores()
    )


def for_blocks(
    work: Callable[[int, int], None], length: int, block: int, *, threads: int | None = None
) -> None:
    """Call ``work(start, stop)`` for blocks that cover ``length``, several at the same time.

    The blocks are the same however many threads there are.

    Args:
        work: does not depend on the order of the calls; what it raises is raised here.
        length: what is divided.
        block: the largest block.
        threads: as many as there are cores by default, or as ``OMP_NUM_THREADS`` or
            :func:`limited_blocks` allow.
    """
    spans = [(start, min(start + block, length)) for start in range(0, length, block)]
    threads = min(len(spans), threads or getattr(_limits, "most", 0) or _usual())
    if threads <= 1:
        for span in spans:
            work(*span)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(lambda span: work(*span), spans):
            pass


@contextlib.contextmanager
def limited_blocks(most: int) -> Iterator[None]:
    """Within this block, in this thread, :func:`for_blocks` takes no more threads than these.

    Example:
        >>> with limited_blocks(1):
        ...     for_blocks(lambda start, stop: print(start, stop), 4, 2)
        0 2
        2 4
    """
    before = getattr(_limits, "most", 0)
    _limits.most = most
    try:
        yield
    finally:
        _limits.most = before


class _OneBlasThread:
    """The setting of the process, for as long as anybody wants it."""

    def __init__(self) -> None:
        self._lock, self._users = threading.Lock(), 0
        self._limiter: Any = None

    @functools.cached_property
    def _libraries(self) -> Any:
        return threadpoolctl.ThreadpoolController()

    def begin(self) -> None:
        with self._lock:
            if self._users == 0:
                self._limiter = self._libraries.limit(limits=1, user_api="blas")
            self._users += 1

    def end(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._limiter.restore_original_limits()


_one_blas_thread = _OneBlasThread()


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within this block NumPy's matrix products take one thread each, as blocks of
    :func:`for_blocks` want them: two that ask for all cores at once wait for each other.

    It is a setting of the process, which has its own again when the last such block has ended.
    """
    _one_blas_thread.begin()
    try:
        yield
    finally:
        _one_blas_thread.end()


@contextlib.contextmanager
def one_behind(work: Callable[..., None]) -> Iterator[Callable[..., None]]:
    """Have calls done by another thread, in order, while this one prepares the next.

    A call waits until the one before it is done, so that no more than one is under way. What one
    raises is raised by the next, or at the end of the block; of a block that raises itself, the
    call under way is still finished.

    Example:
        >>> done = []
        >>> with one_behind(done.append) as add:
        ...     for number in range(3):
        ...         add(number)
        >>> done
        [0, 1, 2]
    """
    under_way: list[Future[None]] = []

    def call(*arguments: Any) -> None:
        if under_way:
            under_way.pop().result()
        under_way.append(thread.submit(work, *arguments))

    with ThreadPoolExecutor(1) as thread:
        yield call
        if under_way:
            under_way.pop().result()
