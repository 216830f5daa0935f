"""Throughput of methods on this machine: engines, sizes and types, against what the machine can do.

Two limits are measured in the same run: the rate at which memory is copied, and that at which
matrices of float32 are multiplied. A reconstruction has to read three values and write as many as
there are bands for every pixel, and a network has to do its multiply-adds; neither can be faster
than its roof, unless it is computed by fewer operations than are counted.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from respectra.allocator import trim_malloc
from respectra.cameras import Capture
from respectra.config import Config
from respectra.cubes import Quantity
from respectra.devices import processor_name
from respectra.errors import ConfigError, RespectraError
from respectra.evaluation.figures import PALETTE, new_figure, save_figure
from respectra.evaluation.measuring import limited_threads, measured, repeated
from respectra.files import atomic_paths
from respectra.inference import Reconstructor, find_weights
from respectra.inference.capture import bind
from respectra.methods import Weights, fresh_weights, get_card, list_methods
from respectra.methods.measure import FRAME, count_gmac
from respectra.progress import Progress, as_progress
from respectra.typing import Float32Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Megapixels that are measured by default; 0.25 is the challenge's frame, 8.3 one of 4K video.
SIZES_MP = (0.25, 2.0, 8.3)
#: The plain forward pass takes memory in proportion; it is measured up to so many pixels.
_LARGEST_PLAIN = 300_000
_COPY_BYTES = 256 * 2**20
_MATRIX = 1536


class Roofline(Config):
    """What this machine can do, measured."""

    processor: str
    threads: int
    copy_gb_s: float
    """10⁹ bytes a second, read and written ones together."""
    fill_gb_s: float
    """10⁹ bytes a second written."""
    gflop_s: float
    """10⁹ operations of a matrix product in float32 a second; a multiply-add is two."""

    def __str__(self) -> str:
        return (
            f"{self.processor}, {self.threads} thread{'s' if self.threads > 1 else ''}: "
            f"fills {self.fill_gb_s:.1f} GB/s, copies {self.copy_gb_s:.1f} GB/s, "
            f"multiplies {self.gflop_s:.0f} GFLOP/s"
        )


class Run(Config):
    """One method in one way on one size."""

    method: str
    engine: str
    """``plain``: the network's forward pass on the whole picture, as a reference. ``torch``,
    ``onnx``, ``numpy``, ``table``: what a reconstructor does, cut into tiles where it is large."""
    dtype: str
    """Of the values, or how many coefficients there are of each pixel instead."""
    height: int
    width: int
    runs: int = 0
    seconds: float | None = None
    """Median; None where it was not run."""
    megapixels_s: float | None = None
    peak_memory_mib: float | None = None
    """Largest resident memory of the whole process."""
    added_memory_mib: float | None = None
    """The same above what the process held before."""
    memory_share: float | None = None
    """Of the rate of copying: picture in and cube out, over the time."""
    arithmetic_share: float | None = None
    """Of the rate of matrix products: operations of the network as published, over the time; None
    for methods whose operations are not counted."""
    memory_limit_mp_s: float
    """Megapixels a second if moving picture and cube were all there is."""
    arithmetic_limit_mp_s: float | None = None
    """Megapixels a second if matrix products were all there is."""
    reason: str | None = None
    """Why it was not run."""

    @property
    def label(self) -> str:
        """Method, engine, type and size in one line."""
        size = self.height * self.width / 1e6
        return f"{self.method}, {self.engine}, {self.dtype}, {size:.2g} MP"


class Benchmark(Config):
    """All of one run.

    Example:
        >>> from respectra.evaluation.benchmarking import Roofline
        >>> machine = Roofline(processor="P", threads=2, copy_gb_s=9, fill_gb_s=6, gflop_s=70)
        >>> Benchmark(roofline=machine, runs=()).roofline.threads
        2
    """

    roofline: Roofline
    runs: tuple[Run, ...]


def measure_roofline(threads: int) -> Roofline:
    """Measure what the machine can do with this many threads; the best of a few tries."""
    import torch

    source = torch.ones(_COPY_BYTES // 4)
    target = torch.zeros_like(source)
    left, right = torch.rand(2, _MATRIX, _MATRIX)
    with limited_threads(threads), torch.inference_mode():
        fill = _best(lambda: target.fill_(1.0))
        copy = _best(lambda: target.copy_(source))
        product = _best(lambda: torch.mm(left, right))
    return Roofline(
        processor=processor_name(),
        threads=threads,
        copy_gb_s=2 * _COPY_BYTES / copy / 1e9,
        fill_gb_s=_COPY_BYTES / fill / 1e9,
        gflop_s=2 * _MATRIX**3 / product / 1e9,
    )


def benchmark(
    sources: Sequence[str],
    *,
    sizes_mp: Sequence[float] = SIZES_MP,
    threads: int | None = None,
    patience_s: float = 60.0,
    progress: Progress | None = None,
    capture: Capture | None = None,
    quantity: Quantity | None = None,
    roofline: Roofline | None = None,
) -> Benchmark:
    """Measure methods in every way that they can run.

    Args:
        sources: weights files, ``default``, or names of methods; a network by its name has fresh
            weights, which take the same time.
        sizes_mp: megapixels of the pictures.
        threads: as many as there are cores by default.
        patience_s: what would take longer for one picture is not run, judged by the size before.
        progress: told of each run, and what it took.
        capture: for which the methods are bound before they are measured.
        quantity: what they give; see ``Reconstructor.with_capture``.
        roofline: what the machine can do, of a run before; by default it is measured.

    Raises:
        ConfigError: no such method or weights, or a size that is none.

    Example:
        >>> import respectra as rs
        >>> from respectra.evaluation.benchmarking import Roofline
        >>> machine = Roofline(processor="P", threads=1, copy_gb_s=9, fill_gb_s=6, gflop_s=70)
        >>> result = rs.benchmark(["pseudo-inverse"], sizes_mp=[0.001], roofline=machine)
        >>> {run.method for run in result.runs}
        {'pseudo-inverse'}
    """
    import torch

    if not sizes_mp or min(sizes_mp) <= 0:
        raise ConfigError(f"sizes are positive numbers of megapixels; got {list(sizes_mp)}")
    every = [_weights_of(source) for source in sources]
    if capture is not None or quantity is not None:
        every = [bind(weights, capture or Capture(), quantity) for weights in every]
    count = threads or torch.get_num_threads()
    limits = measure_roofline(count) if roofline is None else roofline
    shown = as_progress(progress)
    runs: list[Run] = []
    with limited_threads(count):
        for weights in every:
            for way in _ways(weights):
                pace = None
                for height, width in map(_shape_of, sorted(sizes_mp)):
                    run = _measure(weights, way, (height, width), limits, pace, patience_s)
                    if run.seconds is not None:
                        pace = run.seconds / (height * width)
                    runs.append(run)
                    took = run.reason if run.seconds is None else f"{run.seconds:.3g} s"
                    shown(len(runs), 0, f"{run.label}: {took}; measured")
    return Benchmark(roofline=limits, runs=tuple(runs))


def save_benchmark(
    result: Benchmark, folder: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Write ``bench.json`` and ``bench.png`` into a folder.

    Raises:
        OutputError: they exist and ``overwrite`` is false, or cannot be written.

    Example:
        >>> from respectra.evaluation.benchmarking import Roofline
        >>> machine = Roofline(processor="P", threads=2, copy_gb_s=9, fill_gb_s=6, gflop_s=70)
        >>> save_benchmark(Benchmark(roofline=machine, runs=()), "bench")
    """
    files = Path(folder) / "bench.json", Path(folder) / "bench.png"
    with atomic_paths(files, overwrite=overwrite) as (text, picture):
        text.write_text(result.model_dump_json(indent=2) + "\n", "utf-8")
        save_figure(plot_benchmark(result), picture)


def plot_benchmark(result: Benchmark) -> Figure:
    """Bars of megapixels a second on a logarithmic scale, each under its two limits."""
    runs = [run for run in result.runs if run.megapixels_s is not None]
    figure = new_figure(8.5, 1.8 + 0.34 * max(1, len(runs)))
    axes = figure.add_subplot()
    places = np.arange(len(runs))
    rates = [run.megapixels_s or 0.0 for run in runs]
    axes.barh(places, rates, color=PALETTE[5], label="measured")
    for attribute, colour, name in (
        ("memory_limit_mp_s", PALETTE[0], "memory roof"),
        ("arithmetic_limit_mp_s", PALETTE[1], "arithmetic roof"),
    ):
        limits = [(i, getattr(run, attribute)) for i, run in enumerate(runs)]
        known = [(i, limit) for i, limit in limits if limit is not None]
        if known:
            at, values = zip(*known, strict=True)
            axes.plot(values, at, "|", color=colour, markersize=14, markeredgewidth=3, label=name)
    for place, run in zip(places, runs, strict=True):
        axes.annotate(
            f"{run.megapixels_s:.3g}",
            (float(run.megapixels_s or 0.0), float(place)),
            xytext=(-4, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=8,
        )
    axes.set_xscale("log")
    low = min((rate for rate in rates if rate), default=1.0)
    axes.set_xlim(left=low / 10)
    axes.set_yticks(places, [run.label for run in runs])
    axes.invert_yaxis()
    axes.set_xlabel("megapixels a second")
    axes.set_title(str(result.roofline), fontsize=9)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.9 / figure.get_figheight()), ncols=3)
    return figure


def _weights_of(source: str) -> Weights:
    """What is measured; a network by its name gets fresh weights."""
    if source not in list_methods("network"):
        return find_weights(source)
    return fresh_weights(source)


Recover = Callable[[Float32Array], Any]


@dataclasses.dataclass(frozen=True)
class _Way:
    """One way in which a method runs."""

    engine: str
    dtype: str
    written_bytes: int
    """For each pixel."""
    recover: Recover


def _ways(weights: Weights) -> Iterator[_Way]:
    """Every way in which a method runs."""
    from respectra.inference.backends.pixels import PixelBackend
    from respectra.inference.engines import onnx
    from respectra.inference.tables import Table, bake

    bands = weights.contract.bands
    whole, half = ("float32", 4 * bands), ("float16", 2 * bands)
    if weights.baked is None:
        network = get_card(weights.method).kind == "network"
        if network:
            yield _Way("plain", *whole, _plain(weights))
        yield _Way(
            "torch" if network else "numpy",
            *whole,
            Reconstructor(weights, engine="torch").predict,
        )
        own = Reconstructor(weights)
        if isinstance(own.backend, PixelBackend):
            yield _Way("numpy", *whole, own.predict)
        if onnx.exportable(weights):
            yield _Way("onnx", *whole, Reconstructor(weights, engine="onnx").predict)
    try:
        table = bake(weights) if weights.baked is None else Table.from_weights(weights)
    except RespectraError:  # not a method that looks at one pixel at a time
        return
    basis = table.basis()
    count = len(basis)
    yield _Way("table", *whole, lambda rgb: table.apply(rgb))
    yield _Way("table", *half, lambda rgb: table.apply(rgb, dtype="float16"))
    yield _Way(
        "table", f"{count} coefficients", 4 * count, lambda rgb: table.coefficients(rgb, basis)
    )


def _plain(weights: Weights) -> Recover:
    """The forward pass as anyone would write it: float32, planes of channels, nothing rewritten."""
    import torch

    from respectra.inference.networks import build

    network = build(weights)

    def recover(rgb: Float32Array) -> Any:
        batch = torch.from_numpy(weights.contract.prepare(rgb).transpose(2, 0, 1).copy())[None]
        with torch.no_grad():
            return network(batch)

    return recover


def _measure(
    weights: Weights,
    way: _Way,
    shape: tuple[int, int],
    roofline: Roofline,
    pace: float | None,
    patience_s: float,
) -> Run:
    """One case: a run that is not counted, then three, or one where a picture takes seconds."""
    height, width = shape
    pixels = height * width
    moved = 3 * 4 + way.written_bytes
    facts: dict[str, Any] = {
        "method": weights.method,
        "engine": way.engine,
        "dtype": way.dtype,
        "height": height,
        "width": width,
        "memory_limit_mp_s": 1e3 * roofline.copy_gb_s / moved,
    }
    flop = 0.0
    network = get_card(weights.method).kind == "network"
    if network and way.engine in ("plain", "torch", "numpy", "onnx"):
        options = weights.config.model_dump()
        flop = 2e9 * count_gmac(weights.method, frame=FRAME, **options) / (FRAME[0] * FRAME[1])
        facts["arithmetic_limit_mp_s"] = 1e3 * roofline.gflop_s / flop if flop else None
    if way.engine == "plain" and pixels > _LARGEST_PLAIN:
        return Run(**facts, reason="the plain pass is for small pictures")
    if pace is not None and pace * pixels > patience_s:
        return Run(**facts, reason=f"would take about {pace * pixels:.0f} s")
    rgb = np.random.default_rng(0).random((height, width, 3), dtype=np.float32)
    if way.engine == "onnx":  # an export is made once and kept, and is no part of its memory
        runtime = Reconstructor(weights, engine="onnx")
        layout = runtime.layout(height, width, held=way.written_bytes * pixels)
        if runtime.tiled.needs_means(layout):
            return Run(**facts, reason="tiles that need means of the picture run in PyTorch")
        runtime.predict(rgb)
        trim_malloc()
    first = measured(lambda: way.recover(rgb))[1]
    repeats = 3 if first.seconds < patience_s / 10 else 1
    cost = repeated(lambda: way.recover(rgb), first, repeats)
    seconds = cost.seconds
    return Run(
        **facts,
        runs=repeats,
        seconds=seconds,
        megapixels_s=pixels / seconds / 1e6,
        peak_memory_mib=cost.peak_mib,
        added_memory_mib=cost.added_mib,
        memory_share=pixels * moved / seconds / (1e9 * roofline.copy_gb_s),
        arithmetic_share=pixels * flop / seconds / (1e9 * roofline.gflop_s) if flop else None,
    )


def _shape_of(megapixels: float) -> tuple[int, int]:
    """Rows and columns: the challenge's frame, else 16:9 as in video."""
    if round(megapixels, 2) == 0.25:
        return FRAME
    height = max(8, round((megapixels * 1e6 * 9 / 16) ** 0.5))
    return height, round(height * 16 / 9)


def _best(work: Callable[[], Any], tries: int = 5) -> float:
    """Seconds of the fastest of a few calls."""
    times = []
    for _ in range(tries):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
