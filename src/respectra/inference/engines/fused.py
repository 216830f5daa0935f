"""Blocks of networks with what belongs together done together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from respectra.inference.engines import elementwise
from respectra.inference.engines.winograd import WinogradConv, pixels_of
from respectra.inference.engines.workers import run_parts
from respectra.methods.networks.awan import DualResidualBlock
from respectra.methods.networks.hrnet import ConvBlock
from respectra.methods.networks.hscnn_r import ResidualBlock
from respectra.methods.networks.rpan import AttentionBlock

FloatArray = npt.NDArray[np.float32]


class FusedResidualBlock(nn.Module):
    """HSCNN-R's block: both rectifiers and the sum belong to the convolutions."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.conv1, self.conv2 = WinogradConv(block.conv1, 0.0), WinogradConv(block.conv2, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        return torch.as_tensor(self.conv2(self.conv1(x), x))


class FusedAttentionBlock(nn.Module):
    """RPAN's block: the attention of a pixel is computed while the pixel is in the cache."""

    def __init__(self, block: AttentionBlock) -> None:
        super().__init__()
        self.first, self.second = WinogradConv(block.first, 0.0), WinogradConv(block.second)
        squeeze, excite = block.attention.squeeze, block.attention.excite
        inward, inward_bias = _linear(squeeze)
        outward, outward_bias = _linear(excite)
        self.gate = (inward, inward_bias, np.ascontiguousarray(outward.T), outward_bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        x = x.contiguous(memory_format=torch.channels_last)
        y = self.second(self.first(x))
        for i in range(len(x)):
            self._attend(pixels_of(x[i]), pixels_of(y[i]))
        return torch.as_tensor(y)

    def _attend(self, x: FloatArray, y: FloatArray) -> None:
        """y becomes x + y * attention(y); both (y, x, width)."""
        rows = y.shape[0]

        def part(first: int, last: int) -> None:
            for row in range(first, last):
                elementwise.attend_pixels(x[row], y[row], *self.gate)

        run_parts(part, rows)


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


class FusedDualResidualBlock(nn.Module):
    """AWAN's block: sums and PReLUs belong to the convolutions."""

    def __init__(self, block: DualResidualBlock) -> None:
        super().__init__()
        self.conv1 = WinogradConv(block.conv1, block.act1.weight)
        self.conv2 = WinogradConv(block.conv2, block.act2.weight)
        self.expand = WinogradConv(block.expand, block.expand_act.weight)
        self.attention = block.attention
        self.contract = WinogradConv(block.contract, block.contract_act.weight)

    def forward(self, x: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """Both streams (n, width, y, x) -> the next ones."""
        a = self.conv2(self.conv1(x), x)
        r = self.expand(a, r)
        del a
        return torch.as_tensor(self.contract(self.attention(r), x)), r


def _linear(conv: nn.Conv2d) -> tuple[FloatArray, FloatArray]:
    """A 1x1 convolution as a matrix (out, in), and its bias."""
    matrix = conv.weight.detach().flatten(1).contiguous().numpy()
    bias = conv.bias.detach() if conv.bias is not None else torch.zeros(conv.out_channels)
    return matrix, bias.numpy()
