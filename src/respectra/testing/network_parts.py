"""What the checks of networks are made of: tiny networks, noise, comparisons."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from respectra.methods.network import NetworkConfig, NetworkMethod
from respectra.testing.base import require

Method = NetworkMethod[Any]


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Tiny networks on one thread: no competition between processes, no changing sums."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def tiny_config(method: Method, **options: Any) -> NetworkConfig:
    """The configuration of the tiny preset."""
    require("tiny" in method.presets, "it has no preset 'tiny'")
    config: NetworkConfig = method.config(**{**method.presets["tiny"], **options})
    return config


def build(method: Method, *, seed: int = 2020, **options: Any) -> nn.Module:
    """The tiny network in evaluation mode, no parameter at its initial value."""
    torch.manual_seed(seed)
    net = method.network(tiny_config(method, **options)).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            scale = parameter.std().item() if parameter.numel() > 1 else 0.0
            parameter.add_(torch.randn_like(parameter) * max(0.5 * scale, 0.02))
    return net


def picture(method: Method, height: int, width: int, *, n: int = 1, seed: int = 0) -> Tensor:
    """Noise in [0, 1] with as many channels as the network takes."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, tiny_config(method).channels_in, height, width, generator=generator)


def noise(method: Method, height: int, width: int, *, n: int = 1, seed: int = 0) -> Tensor:
    """Noise of a size that the network accepts."""
    low = method.card.size_minimum
    return picture(method, max(low, height), max(low, width), n=n, seed=seed)


def run(net: nn.Module, x: Tensor) -> Tensor:
    """The answer of a network, without gradients."""
    with torch.inference_mode():
        answer: Tensor = net(x)
    return answer


def require_same(got: Tensor, wanted: Tensor, tolerance: float, what: str) -> None:
    """Require that the largest difference is small against the largest value."""
    shapes = tuple(got.shape), tuple(wanted.shape)
    require(shapes[0] == shapes[1], f"{what}: shape {shapes[0]}, not {shapes[1]}")
    scale = wanted.abs().max().item()
    require(scale > 0, f"{what}: nothing to compare, the output is zero")
    difference = (got - wanted).abs().max().item() / scale
    require(
        difference <= tolerance, f"{what}: differs by {difference:.3g}, more than {tolerance:g}"
    )


def count_gmac(method: Method, config: NetworkConfig, height: int, width: int) -> float:
    """10⁹ multiply-accumulates on one image, counted without computing it."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        net = method.network(config).eval().requires_grad_(False)
    image = torch.empty(1, config.channels_in, height, width, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(image)
    return float(counter.get_total_flops()) / 2e9
