"""Parts of networks that faster ones of the same function stand for on the CPU.

Only where they are much faster than ONNX Runtime and ``torch.compile`` are
(``benchmarks/engines.py --peers``); other networks run as they are written, or in ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from respectra.inference.engines import fourier, fused, mst_cpu, winograd
from respectra.methods.networks.awan import AWAN, DualResidualBlock, SecondOrderNonLocal
from respectra.methods.networks.fmnet import FMNet
from respectra.methods.networks.hrnet import ConvBlock, DenseBlock, HRNet
from respectra.methods.networks.mst_plus_plus import Cascade


def replace_parts(network: nn.Module) -> nn.Module:
    """The network with faster modules in place of its own, where there are any; in place."""
    if mst_cpu.fits(network):
        assert isinstance(network, Cascade)
        return mst_cpu.SpectralCascade(network).eval()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if isinstance(network, FMNet):
        _replace(network, _large_kernel)
    elif isinstance(network, AWAN | HRNet):
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
        return winograd.WinogradConv(module) if winograd.fits(module) else None
    if isinstance(module, SecondOrderNonLocal):
        return None if module.table else fused.FusedNonLocal(module)
    if isinstance(module, nn.Sequential | nn.ModuleList) and type(module) not in _BLOCKS:
        kinds = {type(child) for child in module}
        make = _CHAINS.get(kinds.pop()) if len(kinds) == 1 else None
    else:
        make = _BLOCKS.get(type(module))
    if make is None:
        return None
    inner = [m for m in module.modules() if isinstance(m, nn.Conv2d) and m.kernel_size[0] > 1]
    return make(module) if inner and all(map(winograd.fits, inner)) else None


_Makers = Mapping[type[nn.Module], Callable[..., nn.Module]]
#: Blocks that are replaced as a whole, where all their convolutions are wide enough.
_BLOCKS: _Makers = {
    ConvBlock: fused.FusedConvBlock,
    DenseBlock: fused.FusedDenseBlock,
}
#: What many blocks behind one another are replaced by.
_CHAINS: _Makers = {
    DualResidualBlock: lambda blocks: nn.ModuleList([fused.FusedDualResidualChain(blocks)]),
}
