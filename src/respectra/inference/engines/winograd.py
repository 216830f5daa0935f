"""3x3 and 5x5 convolutions by Winograd's algorithm: a quarter or a third of the multiplications.

Tiles of 6x6 values, one for each 4x4 of the result (2x2 for a 5x5 kernel), are transformed so
that the convolution becomes 36 matrix products, whose result is transformed back (Winograd 1980;
Lavin and Gray, Fast algorithms for convolutional neural networks, CVPR 2016). In float32 the
result differs from a direct sum by about 5e-6 of its largest value.

A few rows of tiles are taken through all three steps at a time, so that they stay in the cache.
"""

from __future__ import annotations

import threading

import numba
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from respectra.inference.engines.workers import run_parts

#: Channels that are transformed together: they and their 36 copies fit the innermost cache.
_BLOCK = 32
#: Transformed values of the tiles that are taken through together, bytes.
_CACHE_BYTES = 3 * 2**19
#: Layers with fewer channels than this gain nothing.
FEWEST_CHANNELS = 32

#: Points at which polynomials are multiplied, and the factors that go with them; the sixth point
#: is infinity.
_POINTS = torch.tensor([0.0, 1.0, -1.0, 2.0, -2.0], dtype=torch.float64)
_FACTORS = torch.tensor([1 / 4, -1 / 6, -1 / 6, 1 / 24, 1 / 24], dtype=torch.float64)
_local = threading.local()
_jit = numba.njit(
    nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"}, error_model="numpy"
)


def fits(conv: nn.Module) -> bool:
    """Whether a layer is a convolution that this module can do and should."""
    return (
        isinstance(conv, nn.Conv2d)
        and conv.kernel_size in ((3, 3), (5, 5))
        and conv.stride == conv.dilation == (1, 1)
        and conv.padding == (conv.kernel_size[0] // 2, conv.kernel_size[1] // 2)
        and conv.groups == 1
        and conv.padding_mode in ("zeros", "reflect")
        and min(conv.in_channels, conv.out_channels) >= FEWEST_CHANNELS
    )


class WinogradConv(nn.Module):
    """A 3x3 or 5x5 convolution with what commonly follows it: bias, a sum, an activation.

    Args:
        conv: the layer it replaces; see :func:`fits`.
        slope: negative values of the result are multiplied by this: 0 for ReLU, 1 for none; one
            value or one a channel.
    """

    def __init__(self, conv: nn.Conv2d, slope: float | Tensor = 1.0) -> None:
        super().__init__()
        weight = conv.weight.detach().double()
        powers = _FACTORS[:, None] * _POINTS[:, None] ** torch.arange(conv.kernel_size[0])
        infinity = torch.zeros(1, conv.kernel_size[0], dtype=torch.float64)
        infinity[0, -1] = 1
        forward = torch.cat([powers, infinity])
        both = torch.einsum("ia,kcab,jb->ijck", forward, weight, forward)
        channels, outputs = conv.in_channels, conv.out_channels
        self.register_buffer("weight", both.reshape(36, channels, outputs).float().contiguous())
        bias = conv.bias.detach() if conv.bias is not None else torch.zeros(outputs)
        self.register_buffer("bias", bias.float().contiguous())
        slopes = torch.as_tensor(slope, dtype=torch.float32).detach().expand(outputs)
        self.register_buffer("slope", slopes.contiguous())
        self.margin = conv.kernel_size[0] // 2
        self.reflect = conv.padding_mode == "reflect"

    def forward(self, x: Tensor, add: Tensor | None = None, scale: float = 1.0) -> Tensor:
        """activation(scale * (conv(x) + bias) + add), (n, c, y, x) -> (n, k, y, x)."""
        x = x.contiguous(memory_format=torch.channels_last)
        n, _, height, width = x.shape
        bias, slope = self.get_buffer("bias"), self.get_buffer("slope")
        out = torch.empty(
            (n, bias.numel(), height, width), memory_format=torch.channels_last, dtype=x.dtype
        )
        if add is not None:
            add = add.contiguous(memory_format=torch.channels_last)
        for i in range(n):
            _convolve(
                pixels_of(x[i]),
                self.get_buffer("weight"),
                pixels_of(out[i]),
                bias.numpy(),
                slope.numpy(),
                pixels_of(add[i]) if add is not None else None,
                scale,
                self.margin,
                self.reflect,
            )
        return out


def pixels_of(image: Tensor) -> npt.NDArray[np.float32]:
    """A channels-last image (c, y, x) as an array (y, x, c), without a copy."""
    array: npt.NDArray[np.float32] = image.permute(1, 2, 0).numpy()
    return array


def _convolve(
    x: npt.NDArray[np.float32],
    weight: Tensor,
    out: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    slope: npt.NDArray[np.float32],
    add: npt.NDArray[np.float32] | None,
    scale: float,
    margin: int,
    reflect: bool,
) -> None:
    step = 6 - 2 * margin
    down, across = -(-x.shape[0] // step), -(-x.shape[1] // step)
    _, channels, outputs = weight.shape
    rows = max(1, _CACHE_BYTES // (4 * 36 * across * (channels + outputs)))

    def part(first: int, last: int) -> None:
        for top in range(first, last, rows):
            bottom = min(top + rows, last)
            tiles = (bottom - top) * across
            before = _buffer("before", tiles * channels).view(36, tiles, channels)
            after = _buffer("after", tiles * outputs).view(36, tiles, outputs)
            _transform(x, before.numpy(), top, bottom, across, margin, reflect)
            torch.bmm(before, weight, out=after)
            _finish(
                after.numpy(),
                out,
                bias,
                slope,
                out if add is None else add,
                add is not None,
                np.float32(scale),
                step,
                top,
                bottom,
                across,
            )

    run_parts(part, down)


def _buffer(name: str, size: int) -> Tensor:
    """Memory of this thread for 36 times ``size`` values, kept from layer to layer."""
    buffer: Tensor | None = getattr(_local, name, None)
    if buffer is None or buffer.numel() < 36 * size:
        buffer = torch.empty(36 * size)
        setattr(_local, name, buffer)
    return buffer[: 36 * size]


@_jit
def _source(at, length, reflect):  # type: ignore[no-untyped-def]
    """Where a position beyond the edge is read; -1 for a zero."""
    if 0 <= at < length:
        return at
    if reflect:
        if at < 0:
            at = -at
        if at >= length:
            at = 2 * length - 2 - at
        if 0 <= at < length:
            return at
    return -1


@_jit
def _transform(x, before, top, bottom, across, margin, reflect):  # type: ignore[no-untyped-def]
    height, width, channels = x.shape
    step = 6 - 2 * margin
    buf = np.zeros((36, _BLOCK), np.float32)
    two, four, five = np.float32(2), np.float32(4), np.float32(5)
    tile = 0
    for ty in range(top, bottom):
        for tx in range(across):
            for start in range(0, channels, _BLOCK):
                count = min(_BLOCK, channels - start)
                y0, x0 = step * ty - margin, step * tx - margin
                inside = y0 >= 0 and y0 + 6 <= height and x0 >= 0 and x0 + 6 <= width
                if inside and count == _BLOCK:
                    for j in range(6):
                        column = x0 + j
                        for c in range(_BLOCK):
                            d0, d1 = x[y0, column, start + c], x[y0 + 1, column, start + c]
                            d2, d3 = x[y0 + 2, column, start + c], x[y0 + 3, column, start + c]
                            d4, d5 = x[y0 + 4, column, start + c], x[y0 + 5, column, start + c]
                            a, b = d4 - four * d2, d3 - four * d1
                            e, f = d4 - d2, two * (d3 - d1)
                            buf[j, c] = four * d0 - five * d2 + d4
                            buf[6 + j, c] = a + b
                            buf[12 + j, c] = a - b
                            buf[18 + j, c] = e + f
                            buf[24 + j, c] = e - f
                            buf[30 + j, c] = four * d1 - five * d3 + d5
                else:
                    for i in range(6):
                        y = _source(y0 + i, height, reflect)
                        for j in range(6):
                            column = _source(x0 + j, width, reflect)
                            if y >= 0 and column >= 0:
                                for c in range(count):
                                    buf[i * 6 + j, c] = x[y, column, start + c]
                            else:
                                for c in range(count):
                                    buf[i * 6 + j, c] = np.float32(0)
                    for j in range(6):
                        for c in range(_BLOCK):
                            d0, d1, d2 = buf[j, c], buf[6 + j, c], buf[12 + j, c]
                            d3, d4, d5 = buf[18 + j, c], buf[24 + j, c], buf[30 + j, c]
                            a, b = d4 - four * d2, d3 - four * d1
                            e, f = d4 - d2, two * (d3 - d1)
                            buf[j, c] = four * d0 - five * d2 + d4
                            buf[6 + j, c] = a + b
                            buf[12 + j, c] = a - b
                            buf[18 + j, c] = e + f
                            buf[24 + j, c] = e - f
                            buf[30 + j, c] = four * d1 - five * d3 + d5
                for i in range(6):
                    r = 6 * i
                    for c in range(_BLOCK):
                        d0, d1, d2 = buf[r, c], buf[r + 1, c], buf[r + 2, c]
                        d3, d4, d5 = buf[r + 3, c], buf[r + 4, c], buf[r + 5, c]
                        a, b = d4 - four * d2, d3 - four * d1
                        e, f = d4 - d2, two * (d3 - d1)
                        buf[r, c] = four * d0 - five * d2 + d4
                        buf[r + 1, c] = a + b
                        buf[r + 2, c] = a - b
                        buf[r + 3, c] = e + f
                        buf[r + 4, c] = e - f
                        buf[r + 5, c] = four * d1 - five * d3 + d5
                if count == _BLOCK:
                    for k in range(36):
                        for c in range(_BLOCK):
                            before[k, tile, start + c] = buf[k, c]
                else:
                    for k in range(36):
                        for c in range(count):
                            before[k, tile, start + c] = buf[k, c]
            tile += 1


@_jit
def _finish(after, out, bias, slope, add, adds, scale, step, top, bottom, across):  # type: ignore[no-untyped-def]
    height, width, outputs = out.shape
    buf = np.zeros((36, _BLOCK), np.float32)
    offset, factor = np.zeros(_BLOCK, np.float32), np.zeros(_BLOCK, np.float32)
    two, four, eight = np.float32(2), np.float32(4), np.float32(8)
    for start in range(0, outputs, _BLOCK):
        count = min(_BLOCK, outputs - start)
        for c in range(count):
            offset[c] = bias[start + c]
            factor[c] = slope[start + c]
        for tile in range((bottom - top) * across):
            y0, x0 = step * (top + tile // across), step * (tile % across)
            if count == _BLOCK:
                for k in range(36):
                    for c in range(_BLOCK):
                        buf[k, c] = after[k, tile, start + c]
            else:
                for k in range(36):
                    for c in range(count):
                        buf[k, c] = after[k, tile, start + c]
            if step == 4:
                for j in range(6):
                    for c in range(_BLOCK):
                        d1, d2, d3, d4 = (
                            buf[6 + j, c],
                            buf[12 + j, c],
                            buf[18 + j, c],
                            buf[24 + j, c],
                        )
                        a, b, e, f = d1 + d2, d1 - d2, d3 + d4, d3 - d4
                        buf[j, c] = buf[j, c] + a + e
                        buf[6 + j, c] = b + two * f
                        buf[12 + j, c] = a + four * e
                        buf[18 + j, c] = b + eight * f + buf[30 + j, c]
                for i in range(4):
                    r = 6 * i
                    for c in range(_BLOCK):
                        d1, d2, d3, d4 = buf[r + 1, c], buf[r + 2, c], buf[r + 3, c], buf[r + 4, c]
                        a, b, e, f = d1 + d2, d1 - d2, d3 + d4, d3 - d4
                        shift = offset[c]
                        buf[r, c] = scale * (buf[r, c] + a + e + shift)
                        buf[r + 1, c] = scale * (b + two * f + shift)
                        buf[r + 2, c] = scale * (a + four * e + shift)
                        buf[r + 3, c] = scale * (b + eight * f + buf[r + 5, c] + shift)
            else:
                for j in range(6):
                    for c in range(_BLOCK):
                        d1, d2, d3, d4 = (
                            buf[6 + j, c],
                            buf[12 + j, c],
                            buf[18 + j, c],
                            buf[24 + j, c],
                        )
                        buf[j, c] = buf[j, c] + d1 + d2 + d3 + d4
                        buf[6 + j, c] = d1 - d2 + two * (d3 - d4) + buf[30 + j, c]
                for i in range(2):
                    r = 6 * i
                    for c in range(_BLOCK):
                        d1, d2, d3, d4 = buf[r + 1, c], buf[r + 2, c], buf[r + 3, c], buf[r + 4, c]
                        shift = offset[c]
                        buf[r, c] = scale * (buf[r, c] + d1 + d2 + d3 + d4 + shift)
                        buf[r + 1, c] = scale * (d1 - d2 + two * (d3 - d4) + buf[r + 5, c] + shift)
            for i in range(min(step, height - y0)):
                for j in range(min(step, width - x0)):
                    r = i * 6 + j
                    if adds and count == _BLOCK:
                        for c in range(_BLOCK):
                            buf[r, c] += add[y0 + i, x0 + j, start + c]
                    elif adds:
                        for c in range(count):
                            buf[r, c] += add[y0 + i, x0 + j, start + c]
                    if count == _BLOCK:
                        for c in range(_BLOCK):
                            value = buf[r, c]
                            out[y0 + i, x0 + j, start + c] = (
                                value if value > 0 else factor[c] * value
                            )
                    else:
                        for c in range(count):
                            value = buf[r, c]
                            out[y0 + i, x0 + j, start + c] = (
                                value if value > 0 else factor[c] * value
                            )
