"""What the machine can do, and what a run will cost on it."""

from __future__ import annotations

import copy
import time
import warnings
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from respectra import devices
from respectra.datasets.patches import Patches
from respectra.errors import ConfigError, RespectraWarning
from respectra.training.data import StepBatches
from respectra.training.module import TrainingModule, prepare

#: How Lightning calls a precision.
Precision = Literal["32-true", "16-mixed", "bf16-mixed"]
#: A first step shorter than this is followed by a second one, which is the one that counts.
_SHORT_S = 2.0


def pick_device(wanted: str) -> torch.device:
    """The device of a run; ``auto`` is the GPU where there is one.

    Raises:
        ConfigError: it does not exist.
    """
    if wanted not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"training runs on auto, cpu or cuda; got {wanted!r}")
    return torch.device(devices.pick_device(wanted))


def pick_precision(wanted: str, device: torch.device) -> Precision:
    """The precision of a run: mixed where the hardware has it, else float32 with a warning.

    A processor without arithmetic for bfloat16 emulates it about ten times slower than float32.
    """
    if wanted == "float32":
        return "32-true"
    if device.type == "cuda":
        if wanted == "float16":
            return "16-mixed"
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16-mixed"
    elif wanted == "bfloat16" and _cpu_has_bfloat16():
        return "bf16-mixed"
    warnings.warn(
        f"precision {wanted} is not in this {device.type.upper()}'s hardware; training in float32",
        RespectraWarning,
        stacklevel=2,
    )
    return "32-true"


def _cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself."""
    features = torch.backends.cpu.get_cpu_capability()
    if "AVX512" not in features:
        return False
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, test)()) for test in tests if hasattr(torch.cpu, test))


@dataclass(frozen=True)
class Estimate:
    """What a run will cost, measured on a step of two patches."""

    seconds_per_step: float
    steps: int
    memory_bytes: int
    """Weights, gradients, the optimiser's moments and what the backward pass keeps."""
    parameters: int

    def __str__(self) -> str:
        hours = self.seconds_per_step * self.steps / 3600
        duration = f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.1f} min"
        return (
            f"{self.parameters:,} parameters; about {self.seconds_per_step:.3g} s a step, "
            f"{duration} for {self.steps:,} steps; about {self.memory_bytes / 1e9:.2g} GB for "
            "the network"
        )


def estimate_cost(
    module: TrainingModule,
    patches: Patches,
    *,
    batch: int,
    processes: int,
    device: torch.device,
) -> Estimate:
    """Run a copy of the network forward and backward on two patches, and scale to the batch.

    The network itself is not touched. Mixed precision is not accounted for.
    """
    few = min(2, batch)
    sample = StepBatches(patches, few)[0]
    network = copy.deepcopy(module.network).to(device)
    loss = copy.deepcopy(module.loss).to(device)
    image, cube, _, bounds = (t.to(device) for t in sample[:4])
    kept: dict[int, int] = {}

    def remember(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    def step() -> float:
        start = time.perf_counter()
        estimate = network(prepare(image, bounds, module.contract))
        total, _ = loss(estimate, cube, image)
        total.backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    with torch.autograd.graph.saved_tensors_hooks(remember, lambda tensor: tensor):
        seconds = step()
    if seconds < _SHORT_S:
        seconds = step()
    parameters = sum(p.numel() for p in network.parameters())
    weights = {p.untyped_storage().data_ptr() for p in network.parameters()}
    activations = sum(size for place, size in kept.items() if place not in weights)
    share = batch / few / processes
    return Estimate(
        seconds_per_step=seconds * share,
        steps=module.steps,
        memory_bytes=int(activations * share) + 16 * parameters,
        parameters=parameters,
    )
