"""Blocks of networks with what belongs together done together."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from respectra.inference.engines.attention import attend
from respectra.inference.engines.winograd import WinogradConv
from respectra.methods.networks.awan import (
    DualResidualBlock,
    SecondOrderNonLocal,
    WeightedChannelAttention,
)
from respectra.methods.networks.hrnet import ConvBlock, DenseBlock


class FusedConvBlock(nn.Module):
    """HRNet's convolution with its leaky ReLU."""

    def __init__(self, block: ConvBlock) -> None:
        super().__init__()
        conv, activation = block
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(activation, nn.LeakyReLU)
        self.conv = WinogradConv(conv, activation.negative_slope)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, y, x) -> (n, k, y, x)."""
        return torch.as_tensor(self.conv(x))


class FusedDenseBlock(nn.Module):
    """HRNet's dense block: each result is written behind those before it."""

    def __init__(self, block: DenseBlock) -> None:
        super().__init__()
        *growing, last = (FusedConvBlock(conv).conv for conv in block.convs)  # type: ignore[arg-type]
        self.growing, self.last = nn.ModuleList(growing), last
        self.width = last.get_buffer("weight").shape[1]

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        n, channels, height, width = x.shape
        shape = (n, self.width, height, width)
        maps = torch.empty(shape, memory_format=torch.channels_last, dtype=x.dtype)
        maps[:, :channels] = x
        for conv in self.growing:
            assert isinstance(conv, WinogradConv)
            channels = conv.append(maps, channels)
        return torch.as_tensor(self.last(maps)).mul_(0.1).add_(x)


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
