"""Parts of networks that faster ones of the same function stand for on the CPU.

Only where they are much faster than ONNX Runtime and ``torch.compile`` are
(``benchmarks/engines.py --peers``); other networks run as they are written, or in ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from respectra.inference.engines import fourier, mst_cpu, winograd
from respectra.inference.engines.attention import attend
from respectra.inference.engines.winograd import WinogradConv
from respectra.methods.networks.awan import (
    AWAN,
    DualResidualBlock,
    SecondOrderNonLocal,
    WeightedChannelAttention,
)
from respectra.methods.networks.fmnet import FMNet
from respectra.methods.networks.mst_plus_plus import Cascade


def replace_parts(network: nn.Module) -> nn.Module:
    """The network with faster modules in place of its own, where there are any; in place."""
    if mst_cpu.fits(network):
        assert isinstance(network, Cascade)
        return mst_cpu.SpectralCascade(network).eval()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if isinstance(network, FMNet):
        _replace(network, _large_kernel)
    elif isinstance(network, AWAN):
        _replace(network, _faster)
    return network


_Make = Callable[[nn.Module], nn.Module | None]


def _replace(parent: nn.Module, make: _Make) -> None:
    for name, child in parent.named_children():
        made = make(child)
        if made is None:
            _replace(child, make)
        else:
            setattr(parent, name, made)


def _large_kernel(module: nn.Module) -> nn.Module | None:
    """FMNet's large kernels; its small ones gain nothing."""
    if isinstance(module, nn.Conv2d) and fourier.fits(module):
        return fourier.FourierConv(module)
    return None


def _faster(module: nn.Module) -> nn.Module | None:
    """What does the same as a module faster, or None."""
    if isinstance(module, nn.Conv2d):
        return WinogradConv(module) if winograd.fits(module) else None
    if isinstance(module, SecondOrderNonLocal):
        return None if module.table else FusedNonLocal(module)
    if isinstance(module, nn.ModuleList) and {type(m) for m in module} == {DualResidualBlock}:
        inner = [m for m in module.modules() if isinstance(m, nn.Conv2d) and m.kernel_size[0] > 1]
        if all(map(winograd.fits, inner)):
            return nn.ModuleList([FusedDualResidualChain(module)])
    return None


class FusedDualResidualChain(nn.Module):
    """AWAN's blocks, one behind the other, in four maps; sums and PReLUs belong to convolutions."""

    def __init__(self, blocks: nn.ModuleList) -> None:
        super().__init__()
        self.steps = nn.ModuleList()
        for block in blocks:
            assert isinstance(block, DualResidualBlock)
            conv1 = WinogradConv(block.conv1, block.act1.weight)
            conv2 = WinogradConv(block.conv2, block.act2.weight)
            expand = WinogradConv(block.expand, block.expand_act.weight)
            contract = WinogradConv(block.contract, block.contract_act.weight)
            self.steps.append(nn.ModuleList((conv1, conv2, expand, block.attention, contract)))

    def forward(self, x: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """Both streams (n, width, y, x) -> the last ones."""
        inner = middle = next_x = next_r = None
        for step in self.steps:
            assert isinstance(step, nn.ModuleList)
            conv1, conv2, expand, attention, contract = step
            inner = conv1(x, out=inner)
            middle = conv2(inner, x, out=middle)
            r = next_r = expand(middle, r, out=next_r)
            assert isinstance(attention, WeightedChannelAttention)
            torch.mul(r, attention.gates(r), out=middle)
            x = next_x = contract(middle, x, out=next_x)
        return x, r


class FusedNonLocal(SecondOrderNonLocal):
    """AWAN's attention of every pixel to every other of its quarter, with a compiled softmax."""

    def __init__(self, module: SecondOrderNonLocal) -> None:
        nn.Module.__init__(self)
        self.theta, self.g, self.project = module.theta, module.g, module.project

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return attend(query, key, value)
