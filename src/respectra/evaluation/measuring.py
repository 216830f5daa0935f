"""What a reconstruction costs: time, memory, and the memory traffic it cannot go below."""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import psutil
import xarray as xr

from respectra.config import Config
from respectra.devices import processor_name
from respectra.evaluation.auxiliary import Recover
from respectra.inference import Reconstructor
from respectra.inference.backends.network import TRIAL_PIXELS
from respectra.methods.measure import peak_memory_bytes

T = TypeVar("T")

#: Pixels of a frame of 4K video as the challenge's report counts them.
PIXELS_4K = 8.5e6
_MIB = 2**20
_FILL_BYTES = 256 * _MIB
_SAMPLE_S = 0.002


class Cost(Config):
    """What one reconstruction cost, on an otherwise idle evaluation."""

    method: str
    fingerprint: str
    track: str
    device: str
    processor: str
    threads: int
    engine: str
    tile: str
    height: int
    width: int
    runs: int
    seconds: float
    """Median of the runs, after one that is not counted."""
    first_seconds: float
    """The one that is not counted: it loads, compiles and allocates."""
    peak_memory_mib: float
    """Largest resident memory of the whole process during a run."""
    added_memory_mib: float
    """The same above what the process held before."""
    seconds_4k: float
    """For 8.5 million pixels, in proportion, as the report extrapolates."""
    fill_seconds_4k: float
    """Time to write the values of such a cube in float32 once: no method is faster."""


@dataclass(frozen=True)
class MeasuredRun:
    """The time and memory of one call."""

    seconds: float
    peak_mib: float
    added_mib: float


def measured(work: Callable[[], T]) -> tuple[T, MeasuredRun]:
    """Call a function and measure it."""
    process = psutil.Process()
    before = process.memory_info().rss
    with _peak_memory(process) as peak:
        start = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - start
    high = max(peak(), before)
    return result, MeasuredRun(seconds, high / _MIB, (high - before) / _MIB)


def repeated(work: Callable[[], object], first: MeasuredRun, runs: int) -> MeasuredRun:
    """Some more runs after a first one: their median time, and the largest memory of all."""
    every = [measured(work)[1] for _ in range(runs)]
    return MeasuredRun(
        statistics.median(one.seconds for one in every),
        max(one.peak_mib for one in (first, *every)),
        max(one.added_mib for one in (first, *every)),
    )


def measure_cost(
    recover: Recover,
    image: xr.DataArray,
    *,
    method: str,
    fingerprint: str,
    track: str,
    device: str,
    threads: int,
    runs: int,
    fill_rate: float,
) -> Cost:
    """Time a method on one image: one run to warm up, then as many as asked.

    Args:
        recover: the method.
        image: dims (y, x, channel).
        method: its name.
        fingerprint: of the entry.
        track: of the image.
        device: where it runs.
        threads: how many it may use.
        runs: runs that count, 1 or more.
        fill_rate: bytes a second, from :func:`fill_bandwidth`.
    """
    cube, first = measured(lambda: recover(image))
    bytes_4k = PIXELS_4K * cube.sizes["wavelength"] * 4
    del cube
    cost = repeated(lambda: recover(image), first, runs)
    height, width = image.sizes["y"], image.sizes["x"]
    return Cost(
        method=method,
        fingerprint=fingerprint,
        track=track,
        device=device,
        processor=processor_name(),
        threads=threads,
        engine=_engine_of(recover, height * width),
        tile=_tile_of(recover, height, width),
        height=height,
        width=width,
        runs=runs,
        seconds=cost.seconds,
        first_seconds=first.seconds,
        peak_memory_mib=cost.peak_mib,
        added_memory_mib=cost.added_mib,
        seconds_4k=cost.seconds * PIXELS_4K / (height * width),
        fill_seconds_4k=bytes_4k / fill_rate,
    )


def _engine_of(recover: Recover, pixels: int) -> str:
    """What computes: the engine that a reconstructor ran, or that its kind of method has."""
    if not isinstance(recover, Reconstructor):
        return "python"
    if recover.weights.baked is not None:
        return "table"
    if recover.card.kind == "classical":
        return "numpy"
    tried = recover.engine == "auto" and pixels >= TRIAL_PIXELS
    return "torch" if recover.engine == "auto" and not tried else recover.engine


def _tile_of(recover: Recover, height: int, width: int) -> str:
    """How an image of this size was cut; empty where that is not known."""
    if not isinstance(recover, Reconstructor):
        return ""
    layout = recover.layout(height, width)
    return "whole" if layout.whole else "×".join(map(str, layout.sides))


def fill_bandwidth() -> float:
    """Bytes a second at which this process fills memory that it holds already; the best of five."""
    buffer = np.zeros(_FILL_BYTES // 4, np.float32)
    best = float("inf")
    for number in range(5):
        start = time.perf_counter()
        buffer.fill(number)
        best = min(best, time.perf_counter() - start)
    return _FILL_BYTES / best


@contextlib.contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Let PyTorch and the linear algebra of NumPy use this many threads."""
    import threadpoolctl
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpoolctl.threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _peak_memory(process: psutil.Process) -> Iterator[Callable[[], int]]:
    """Gives a function that says the largest resident memory in bytes since the block began.

    Linux keeps that itself and lets it be reset; elsewhere a thread looks every two milliseconds.
    """
    if _reset_high_water():
        yield peak_memory_bytes
        return
    peak = process.memory_info().rss
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(_SAMPLE_S):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: max(peak, process.memory_info().rss)
    finally:
        done.set()
        watcher.join()


def _reset_high_water() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True
