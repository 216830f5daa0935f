"""Threads that run parts of a layer, each with PyTorch on one thread.

Kernels compiled by numba and matrix products of PyTorch take turns within a part of a layer, so
that what one writes is still in the cache when the other reads it. Neither can share the other's
threads; these do both.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch


def run_parts(part: Callable[[int, int], None], length: int) -> None:
    """Call ``part(start, stop)`` for ranges that cover ``length``, on PyTorch's number of threads.

    Args:
        part: does not depend on the order of the calls; releases the interpreter's lock.
        length: what is divided.
    """
    threads = torch.get_num_threads()
    step = -(-length // threads)
    if step >= length:
        _run(part, 0, length)
        return
    pool = _pool(threads)
    starts = range(0, length, step)
    jobs = [pool.submit(_run, part, start, min(start + step, length)) for start in starts]
    for job in jobs:
        job.result()


def _run(part: Callable[[int, int], None], start: int, stop: int) -> None:
    with torch.inference_mode():  # a setting of each thread
        part(start, stop)


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(
        threads, "respectra", initializer=torch.set_num_threads, initargs=(1,)
    )
    for job in [pool.submit(lambda: None) for _ in range(4 * threads)]:
        job.result()
    torch.set_num_threads(threads)  # the setting of a worker reaches beyond it
    return pool
