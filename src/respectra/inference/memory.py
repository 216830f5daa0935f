"""How much memory a method takes, measured, and how much it may take."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from respectra.errors import ConfigError, RespectraError
from respectra.guards.limits import free_memory
from respectra.inference.cache import fingerprint, machine, remember
from respectra.methods import Weights, is_classical, save_weights
from respectra.methods.measure import count_gmac, peak_memory_bytes

#: Share of the free memory that ``auto`` takes.
AUTO_SHARE = 0.5
#: What is added to measurements: allocators keep a part of what they are given back.
MARGIN = 1.15
#: Bytes kept free for what libraries load or make when they are first used.
RESERVE = 40e6
#: The larger of the two measured pieces costs about this much arithmetic, 10⁹ multiply-adds.
_TRIAL_GMAC = 60.0
_TRIAL_SIDES = (64, 512)

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


@dataclass(frozen=True)
class MemoryUse:
    """Peak memory of one forward pass beyond what the process holds already, bytes."""

    fixed: float
    """Independent of the size: packed weights, code, buffers of libraries."""
    per_pixel: float
    """For each pixel that the method reads, the result included."""

    def of(self, pixels: int) -> float:
        """Peak for a piece of so many pixels."""
        return self.fixed + self.per_pixel * pixels


@dataclass(frozen=True)
class Budget:
    """A limit for the memory of this process, and what is known of its use."""

    limit: int
    """Bytes that the process may hold at its peak."""
    held: float
    """Bytes that it holds already, or will whatever the size of a piece."""
    use: MemoryUse

    def of(self, pixels: int) -> float:
        """Peak of the process while a piece of so many pixels is computed, bytes."""
        return self.held + self.use.of(pixels)

    def allows(self, pixels: int) -> bool:
        """Whether a piece of so many pixels stays within the limit."""
        return self.of(pixels) <= self.limit


def parse_memory(limit: str | int) -> int:
    """A memory limit in bytes: a number, ``2GB``, ``500 MB``, ``1.5GiB``, or ``auto``.

    ``auto`` is half of what is free now, on top of what this process holds already.

    Raises:
        ConfigError: it is none of these, or not positive.
    """
    if isinstance(limit, str) and limit.strip().lower() == "auto":
        return int(resident_bytes() + AUTO_SHARE * free_memory())
    found = re.fullmatch(r"\s*([\d.]+)\s*([A-Za-z]*)\s*", str(limit))
    try:
        if found is None:
            raise ValueError
        amount = float(found[1]) * _UNITS[found[2].upper()]
        if not 1 <= amount < 2**60:
            raise ValueError
    except (ValueError, KeyError):
        raise ConfigError(
            f"a memory limit is a size such as 2GB, 500MB or 1.5GiB, or auto; got {limit!r}"
        ) from None
    return int(amount)


def format_bytes(amount: float) -> str:
    """A size for people: ``1.25 GB``."""
    return f"{amount / 1e9:.2f} GB" if amount >= 1e8 else f"{amount / 1e6:.1f} MB"


def resident_bytes() -> int:
    """Memory that this process holds now."""
    return int(psutil.Process().memory_info().rss)


def measure_memory(weights: Weights, *, engine: str) -> MemoryUse:
    """Peak memory of a method, measured in a process of its own and remembered.

    Two pieces of different size are run there once each. It takes a few seconds, the first time
    that a configuration runs on a machine.

    Raises:
        RespectraError: the process failed.
    """
    # A network's memory follows from its configuration, that of a fitted method from its arrays.
    fitted = is_classical(weights.method)
    sizes = sorted((k, v.shape) for k, v in weights.tensors.items()) if fitted else []
    config = weights.config.model_dump(mode="json")
    key = fingerprint(weights.method, config, sizes, engine, machine())
    fixed, per_pixel = remember("memory", key, lambda: _measure_apart(weights, engine))
    return MemoryUse(float(fixed), float(per_pixel))


def _gmac_per_pixel(weights: Weights) -> float:
    if is_classical(weights.method):
        return 0.0
    options = weights.config.model_dump()
    return count_gmac(weights.method, frame=(128, 128), **options) / 128**2


def _sides(weights: Weights) -> tuple[int, int]:
    """Sides of the two square pieces: as far apart as can be afforded."""
    small, large = _TRIAL_SIDES
    if cost := _gmac_per_pixel(weights):
        large = int(min(large, max(96, (_TRIAL_GMAC / cost) ** 0.5)))
    return small, large // 32 * 32


def _measure_apart(weights: Weights, engine: str) -> tuple[float, float]:
    import torch

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.safetensors"
        save_weights(weights, file)
        task = {
            "weights": str(file),
            "engine": engine,
            "threads": torch.get_num_threads(),
            "sides": _sides(weights),
        }
        code = "from respectra.inference.memory_probe import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(task),
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            check=False,
        )
    try:
        start, *peaks = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        reason = (done.stderr.strip().splitlines() or ["it was killed"])[-1]
        raise RespectraError(
            f"the memory of {weights.method} could not be measured ({reason}); "
            "choose the side of the tiles yourself with tile=..."
        ) from None
    first, second = (side**2 for side in task["sides"])  # type: ignore[attr-defined]
    per_pixel = max(peaks[1] - peaks[0], 0.0) / (second - first)
    fixed = max(peaks[0] - start - per_pixel * first, 0.0)
    return MARGIN * fixed + RESERVE, MARGIN * per_pixel


def forget_peak() -> None:
    """Where the system can (Linux), let the peak count from now; loading has one of its own."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def measure_here(predict: Callable[[Any], Any], sides: tuple[int, int]) -> tuple[float, float]:
    """Peak memory of a method in this process: a fixed part, and for each pixel, bytes.

    Two square pieces of these sides are run, the smaller one first.

    Raises:
        RespectraError: the system does not let the peak be counted anew.
    """
    if not Path("/proc/self/clear_refs").exists():
        raise RespectraError(
            "the memory of a module cannot be measured on this system; choose the side of the "
            "tiles yourself with tile=..., or the whole image with tile=None"
        )
    rng = np.random.default_rng(0)
    peaks = []
    for side in (sides[0], *sides):  # the first run loads libraries
        pixels = rng.random((side, side, 3), dtype=np.float32)
        forget_peak()
        before = resident_bytes()
        predict(pixels)
        peaks.append(max(peak_memory_bytes() - before, 0))
    per_pixel = max(peaks[2] - peaks[1], 0) / (sides[1] ** 2 - sides[0] ** 2)
    return max(peaks[1] - per_pixel * sides[0] ** 2, 0.0), float(per_pixel)
