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


def run_parts(part: Callable[[int, int], None], length: int, grain: int = 1) -> None:
    """Call ``part(start, stop)`` for ranges that cover ``length``, on PyTorch's number of threads.

    Args:
        part: does not depend on the order of the calls; releases the interpreter's lock.
        length: what is divided.
        grain: ranges begin at multiples of this.
    """
    threads = torch.get_num_threads()
    step = max(grain, -(-length // (threads * grain)) * grain)
    if step >= length:
        part(0, length)
        return
    pool = _pool(threads)
    jobs = [pool.submit(part, start, min(start + step, length)) for start in range(0, length, step)]
    for job in jobs:
        job.result()


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(
        threads, "respectra", initializer=torch.set_num_threads, initargs=(1,)
    )
    for job in [pool.submit(lambda: None) for _ in range(4 * threads)]:
        job.result()
    torch.set_num_threads(threads)  # the setting of a worker reaches beyond it
    return pool
