"""Convolutions with large kernels by the discrete Fourier transform.

The image is cut into overlapping squares of 32 pixels; in the frequency domain a convolution is
one matrix product a frequency (overlap-save).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.inference.engines.workers import run_parts

SIDE = 32
SMALLEST_KERNEL = 7


def fits(conv: nn.Module) -> bool:
    """Whether a layer is a convolution that this module can do and should."""
    return (
        isinstance(conv, nn.Conv2d)
        and SMALLEST_KERNEL <= conv.kernel_size[0] == conv.kernel_size[1] < SIDE // 2
        and conv.kernel_size[0] % 2 == 1
        and conv.stride == conv.dilation == (1, 1)
        and conv.padding == (conv.kernel_size[0] // 2, conv.kernel_size[1] // 2)
        and conv.groups == 1
        and conv.padding_mode == "zeros"
        and min(conv.in_channels, conv.out_channels) >= 16
    )


class FourierConv(nn.Module):
    """A zero-padded convolution with its bias."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.size = conv.kernel_size[0]
        self.outputs = conv.out_channels
        kernel = conv.weight.detach().double().flip(2, 3)
        spectrum = torch.fft.rfft2(kernel, s=(SIDE, SIDE)).to(torch.complex64)
        # (frequency, in, out)
        self.register_buffer("weight", spectrum.permute(2, 3, 1, 0).flatten(0, 1).contiguous())
        bias = conv.bias.detach() if conv.bias is not None else torch.zeros(conv.out_channels)
        self.register_buffer("bias", bias.clone())

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, y, x) -> (n, k, y, x)."""
        n, _, height, width = x.shape
        out = torch.empty(n, self.outputs, height, width).contiguous(
            memory_format=torch.channels_last
        )
        step, margin = SIDE - self.size + 1, self.size // 2
        down = -(-height // step)
        right = -(-width // step) * step - width

        def part(first: int, last: int) -> None:
            for row in range(first, last):
                top, bottom = row * step, min((row + 1) * step, height)
                low, high = max(0, top - margin), min(height, row * step + SIDE - margin)
                strip = F.pad(
                    x[:, :, low:high],
                    (margin, margin + right, low - top + margin, top - margin + SIDE - high),
                )
                tiles = strip.unfold(3, SIDE, step).permute(0, 3, 1, 2, 4).flatten(0, 1)
                spectrum = torch.fft.rfft2(tiles).flatten(2).permute(2, 0, 1)
                product = torch.bmm(spectrum.contiguous(), self.get_buffer("weight"))
                product = product.permute(1, 2, 0).reshape(-1, self.outputs, SIDE, SIDE // 2 + 1)
                result = torch.fft.irfft2(product, s=(SIDE, SIDE))
                edge = self.size - 1
                result = result[:, :, edge:, edge:]
                result = result.add_(self.get_buffer("bias")[:, None, None])
                result = result.view(n, -1, self.outputs, step, step).permute(0, 2, 3, 1, 4)
                out[:, :, top:bottom] = result.flatten(3)[:, :, : bottom - top, :width]

        run_parts(part, down)
        return out
