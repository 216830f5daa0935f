"""Facts of a method that are computed, never typed: parameters, arithmetic, reach, memory, time.

Counts are taken on PyTorch's meta device, where tensors have shapes and no values: the largest
network is counted in about a second and in no memory.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from respectra.config import Config
from respectra.errors import RespectraError
from respectra.methods.card import Card
from respectra.methods.registry import (
    build_classical,
    build_network,
    configure,
    get_card,
    get_method,
    get_network,
    list_methods,
    methods,
)
from respectra.registry import package_of, reason_of
from respectra.typing import FloatArray

if TYPE_CHECKING:
    from torch import nn

    from respectra.methods.network import NetworkConfig

#: Height and width of the challenge's images.
FRAME = (482, 512)


@dataclass(frozen=True)
class MethodFacts:
    """A method's card together with what is computed from its configuration.

    Example:
        >>> import respectra as rs
        >>> rs.methods.get_facts("hscnn-d").receptive_field
        '119 px'
    """

    card: Card
    preset: str
    config: Config
    parameters: int | None
    """Learned values; None for a classical method, which has as many as its fit gives it."""
    gmac: float | None
    """10⁹ multiply-accumulates of convolutions and matrix products in one 482 x 512 frame; None
    for a classical method."""
    radius: int | None
    """Radius in pixels beyond which input cannot change an output pixel; None when unbounded."""

    @property
    def package(self) -> str:
        """The package that the method comes from, and its version."""
        return package_of(methods(), self.card.name)

    @property
    def receptive_field(self) -> str:
        """Side of the square of input pixels that an output pixel depends on, or ``global``."""
        return "global" if self.radius is None else f"{2 * self.radius + 1} px"

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        card = self.card.model_dump(mode="json")
        return {
            **card,
            "origin": self.card.origin.value,
            "presets": presets_of(self.card.name),
            "preset": self.preset,
            "config": self.config.model_dump(mode="json"),
            "parameters": self.parameters,
            "gmac_482x512": self.gmac,
            "receptive_radius": self.radius,
            "receptive_field": self.receptive_field,
            "package": self.package,
        }


def get_facts(name: str, *, preset: str = "published", **options: object) -> MethodFacts:
    """All facts of a method in one configuration.

    Args:
        name: of the method.
        preset: a named size of it; ``published`` is the authors'.
        **options: of its configuration, over the preset's.

    Raises:
        ConfigError: unknown method, preset or option, or a value that is not allowed.

    Example:
        >>> import respectra as rs
        >>> rs.methods.get_facts("mst-plus-plus").parameters
        1619625
    """
    card = get_card(name)
    if card.kind == "classical":
        config = configure(name, preset=preset, **options)
        return MethodFacts(card, preset, config, parameters=None, gmac=None, radius=0)
    network = _network_config(name, preset, options)
    stored = _stored_counts().get(name, {}).get(preset) if not options else None
    counts = stored or _count(name, network)
    return MethodFacts(
        card=card,
        preset=preset,
        config=network,
        parameters=int(counts["parameters"]),
        gmac=counts["gmac"],
        radius=get_network(name).halo(network),
    )


def every_method() -> list[MethodFacts]:
    """Facts of all methods as published.

    A method of another package that cannot be loaded or built is left out with a warning.
    """
    registry, found = methods(), []
    for name, _ in registry.usable():
        try:
            found.append(get_facts(name))
        except Exception as error:  # another package may raise anything
            if registry.is_built_in(name):
                raise
            registry.report(
                name,
                f"the method {name!r} of {registry.origin(name)} cannot be built "
                f"({reason_of(error)}); update or remove that package",
            )
    return found


Counts = dict[str, dict[str, dict[str, float]]]


def count_every_preset() -> Counts:
    """Parameters and GMAC of one frame, counted now: name -> preset -> counts.

    What this gives is kept in ``counts.json`` beside this file, so that a listing need not wait
    for it; a test compares the two.
    """
    return {
        name: {p: _count(name, _network_config(name, p, {})) for p in presets_of(name)}
        for name in list_methods("network")
    }


@functools.cache
def _stored_counts() -> Counts:
    file = resources.files("respectra.methods") / "counts.json"
    stored: Counts = json.loads(file.read_text()) if file.is_file() else {}
    return stored


def _count(name: str, config: NetworkConfig) -> dict[str, float]:
    return {
        "parameters": _count_parameters(name, config),
        "gmac": round(_count_gmac(name, config, *FRAME), 6),
    }


def presets_of(name: str) -> dict[str, Mapping[str, object]]:
    """Presets of a method: name -> options that differ from the published defaults."""
    return {"published": {}, **get_method(name).presets}


def count_parameters(name: str, *, preset: str = "published", **options: object) -> int:
    """Number of learned values of a network.

    Raises:
        ConfigError: unknown or classical method, unknown preset or option, refused value.
    """
    return _count_parameters(name, _network_config(name, preset, options))


def count_gmac(
    name: str,
    *,
    frame: tuple[int, int] = FRAME,
    preset: str = "published",
    **options: object,
) -> float:
    """10⁹ multiply-accumulates of a network on one image of ``frame`` = (height, width) pixels.

    Convolutions and matrix products (attention included, as if computed directly) are counted;
    activations, normalisations and resampling are not, as is the custom in the literature.

    Raises:
        ConfigError: unknown or classical method, unknown preset or option, refused value.
    """
    return _count_gmac(name, _network_config(name, preset, options), *frame)


def _network_config(name: str, preset: str, options: Mapping[str, object]) -> NetworkConfig:
    get_network(name)
    return cast("NetworkConfig", configure(name, preset=preset, **options))


@functools.lru_cache(maxsize=256)
def _count_parameters(name: str, config: NetworkConfig) -> int:
    return sum(parameter.numel() for parameter in _on_meta(name, config).parameters())


@functools.lru_cache(maxsize=256)
def _count_gmac(name: str, config: NetworkConfig, height: int, width: int) -> float:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    # Without gradients: the counter follows those of weights that are computed from others.
    net = _on_meta(name, config).eval().requires_grad_(False)
    image = torch.empty(1, config.channels_in, height, width, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(image)
    return float(counter.get_total_flops()) / 2e9


@functools.lru_cache(maxsize=1)
def _on_meta(name: str, config: NetworkConfig) -> nn.Module:
    import torch

    with torch.device("meta"):
        return get_network(name).network(config)


@dataclass(frozen=True)
class FrameCost:
    """What one frame costs on this machine's CPU, measured in a process of its own."""

    name: str
    preset: str
    frame: tuple[int, int]
    """Height and width, pixels."""
    threads: int
    seconds: float
    """Wall clock of one reconstruction, the first and only one."""
    peak_gb: float
    """Peak resident memory of the whole process, interpreter and libraries included, 10⁹ bytes."""


def measure_frame(
    name: str,
    *,
    preset: str = "published",
    frame: tuple[int, int] = FRAME,
    threads: int = 1,
) -> FrameCost:
    """Time one frame with fresh weights on the CPU, and take the peak memory.

    A classical method is fitted on a few thousand synthetic pairs first; that is not timed.

    Raises:
        ConfigError: unknown method or preset.
        RespectraError: the process was killed, most likely for lack of memory.
    """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    configure(name, preset=preset)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        try:
            job = pool.submit(_run_frame, name, preset, frame, threads)
            seconds, peak_bytes = job.result()
        except BrokenProcessPool:
            raise RespectraError(
                f"the process that ran {name} on {frame[0]} x {frame[1]} pixels was killed, "
                "most likely for lack of memory; measure a smaller frame or preset"
            ) from None
    return FrameCost(name, preset, frame, threads, seconds, peak_bytes / 1e9)


def _run_frame(name: str, preset: str, frame: tuple[int, int], threads: int) -> tuple[float, int]:
    """One frame in this process: seconds, and the process's peak memory in bytes."""
    import time

    import torch

    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    if get_card(name).kind == "network":
        net = build_network(name, preset=preset).eval()
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        shape = (1, _network_config(name, preset, {}).channels_in, *frame)
        image = torch.from_numpy(rng.random(shape, dtype=np.float32))
        image = image.contiguous(memory_format=torch.channels_last)
        start = time.perf_counter()
        with torch.inference_mode():
            net(image)
    else:
        method = build_classical(name, preset=preset)
        response, spectra = _synthetic_pairs(rng)
        method.fit(spectra @ response, spectra, response=response)
        pixels = rng.random((*frame, 3), dtype=np.float32)
        start = time.perf_counter()
        method.predict(pixels)
    return time.perf_counter() - start, peak_memory_bytes()


def _synthetic_pairs(rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """A response (31, 3) of three bells, and smooth positive spectra (4000, 31)."""
    pairs, at = 4000, np.linspace(0, 1, 31)
    response = np.exp(-(((at[:, None] - np.array([0.7, 0.5, 0.2])) / 0.12) ** 2))
    centre = rng.random((pairs, 4, 1))
    breadth = rng.uniform(0.1, 0.4, (pairs, 4, 1))
    height = rng.random((pairs, 4, 1))
    spectra = 0.02 + (height * np.exp(-(((at - centre) / breadth) ** 2))).sum(axis=1) / 4
    return response / response.sum(axis=0), spectra


def peak_memory_bytes() -> int:
    """Peak resident memory of this process so far, bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss: on Linux a process inherits the peak of the one that started it.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
