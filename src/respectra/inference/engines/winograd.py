"""3x3 and 5x5 convolutions by Winograd's algorithm: a quarter or a sixth of the multiplications.

Tiles of 6x6 values (8x8 for a 5x5 kernel), one for each 4x4 of the result, are transformed so
that the convolution becomes 36 (64) matrix products, whose result is transformed back (Winograd
1980; Lavin and Gray, Fast algorithms for convolutional neural networks, CVPR 2016). In float32
the result differs from a direct sum by about 5e-6 of its largest value.

A few rows of tiles are taken through all three steps at a time, so that they stay in the cache.
"""

from __future__ import annotations

import math
import threading

import numba
import numpy as np
import torch
from torch import Tensor, nn

from respectra.inference.engines.workers import run_parts
from respectra.notices import watch_compiler
from respectra.typing import Float32Array

watch_compiler()

#: Rows and columns of the result that one tile gives.
_STEP = 4
#: Channels that are transformed together: a tile of them fits the innermost cache.
_BLOCK = 32
#: Transformed values of the tiles that are taken through together, bytes.
_CACHE_BYTES = 3 * 2**19
#: Layers with fewer channels than this gain nothing.
FEWEST_CHANNELS = 32

#: Points at which polynomials are multiplied, all for 5x5 kernels and all but the last two for
#: 3x3; one more is infinity.
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
_local = threading.local()
_fastmath = {"contract", "reassoc", "nsz"}
_jit = numba.njit(nogil=True, cache=True, fastmath=_fastmath, error_model="numpy")
#: Called functions keep LLVM from seeing how far rows are apart, and with it from vectors.
_inline = numba.njit(inline="always", fastmath=_fastmath, error_model="numpy")


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
        forward = _kernel_at_points(conv.kernel_size[0])
        both = torch.einsum("ia,kcab,jb->ijck", forward, conv.weight.detach().double(), forward)
        outputs = conv.out_channels
        self.register_buffer("weight", both.flatten(0, 1).float().contiguous())
        bias = conv.bias.detach() if conv.bias is not None else torch.zeros(outputs)
        self.register_buffer("bias", bias.float().contiguous())
        slopes = torch.as_tensor(slope, dtype=torch.float32).detach().expand(outputs)
        self.register_buffer("slope", slopes.contiguous())
        self.margin = conv.kernel_size[0] // 2
        self.reflect = conv.padding_mode == "reflect"

    def forward(self, x: Tensor, add: Tensor | None = None, out: Tensor | None = None) -> Tensor:
        """activation(conv(x) + bias + add), (n, c, y, x) -> (n, k, y, x).

        The result goes to ``out`` (channels-last), which may be what is added, but not x.
        """
        x = x.contiguous(memory_format=torch.channels_last)
        if out is None:
            n, _, height, width = x.shape
            shape = (n, len(self.get_buffer("bias")), height, width)
            out = torch.empty(shape, memory_format=torch.channels_last, dtype=x.dtype)
        if add is not None:
            add = add.contiguous(memory_format=torch.channels_last)
        for i in range(len(x)):
            self._run(x[i], out[i], None if add is None else pixels_of(add[i]))
        return out

    def _run(self, x: Tensor, out: Tensor, add: Float32Array | None) -> None:
        """One image."""
        source, target, weight = pixels_of(x), pixels_of(out), self.get_buffer("weight")
        bias, slope = self.get_buffer("bias").numpy(), self.get_buffer("slope").numpy()
        down, across = -(-source.shape[0] // _STEP), -(-source.shape[1] // _STEP)
        positions, channels, outputs = weight.shape
        rows = max(1, _CACHE_BYTES // (4 * positions * across * (channels + outputs)))

        def part(start: int, stop: int) -> None:
            for top in range(start, stop, rows):
                bottom = min(top + rows, stop)
                tiles = (bottom - top) * across
                before = _buffer("before", (positions, tiles, channels))
                after = _buffer("after", (positions, tiles, outputs))
                _transform(source, before.numpy(), top, across, self.margin, self.reflect)
                torch.bmm(before, weight, out=after)
                _finish(
                    after.numpy(),
                    target,
                    bias,
                    slope,
                    target if add is None else add,
                    add is not None,
                    _STEP + 2 * self.margin,
                    top,
                    across,
                )

        run_parts(part, down)


def _kernel_at_points(size: int) -> Tensor:
    """Matrix that gives a kernel's polynomial at the points, over the factors that go with them."""
    points = torch.tensor(_POINTS[: size + _STEP - 2], dtype=torch.float64)
    distances = points[:, None] - points
    factors = 1 / distances.fill_diagonal_(1).prod(dim=1)
    powers = factors[:, None] * points[:, None] ** torch.arange(size)
    infinity = torch.eye(size, dtype=torch.float64)[-1:]
    return torch.cat([powers, infinity])


def pixels_of(image: Tensor) -> Float32Array:
    """A channels-last image (c, y, x) as an array (y, x, c), without a copy."""
    array: Float32Array = image.permute(1, 2, 0).numpy()
    return array


def _buffer(name: str, shape: tuple[int, int, int]) -> Tensor:
    """Memory of this thread, kept from layer to layer."""
    size = math.prod(shape)
    buffer: Tensor | None = getattr(_local, name, None)
    if buffer is None or buffer.numel() < size:
        buffer = torch.empty(size)
        setattr(_local, name, buffer)
    return buffer[:size].view(shape)


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


@_inline
def _to_six(buf, first, stride):  # type: ignore[no-untyped-def]
    """Values of the polynomials in lines of six positions, at six points; in place.

    A line is the rows ``first + i * stride`` of buf (positions, channels).
    """
    two, four, five = np.float32(2), np.float32(4), np.float32(5)
    for c in range(_BLOCK):
        d0, d1, d2 = buf[first, c], buf[first + stride, c], buf[first + 2 * stride, c]
        d3, d4 = buf[first + 3 * stride, c], buf[first + 4 * stride, c]
        d5 = buf[first + 5 * stride, c]
        a, b = d4 - four * d2, d3 - four * d1
        e, f = d4 - d2, two * (d3 - d1)
        buf[first, c] = four * d0 - five * d2 + d4
        buf[first + stride, c] = a + b
        buf[first + 2 * stride, c] = a - b
        buf[first + 3 * stride, c] = e + f
        buf[first + 4 * stride, c] = e - f
        buf[first + 5 * stride, c] = four * d1 - five * d3 + d5


@_inline
def _to_eight(buf, first, stride):  # type: ignore[no-untyped-def]
    """The same for lines of eight, at eight points."""
    half, quarter, two, four = np.float32(0.5), np.float32(0.25), np.float32(2), np.float32(4)
    five, p = np.float32(5), np.float32(21 / 4)
    q, r = np.float32(17 / 4), np.float32(5 / 4)
    for c in range(_BLOCK):
        d0, d1, d2 = buf[first, c], buf[first + stride, c], buf[first + 2 * stride, c]
        d3, d4 = buf[first + 3 * stride, c], buf[first + 4 * stride, c]
        d5, d6 = buf[first + 5 * stride, c], buf[first + 6 * stride, c]
        d7 = buf[first + 7 * stride, c]
        a, b = d6 - q * d4 + d2, d5 - q * d3 + d1
        e, f = d6 - r * d4 + quarter * d2, two * (d5 - r * d3 + quarter * d1)
        g, h = d6 - five * d4 + four * d2, half * (d5 - five * d3 + four * d1)
        buf[first, c] = d6 - d0 + p * (d2 - d4)
        buf[first + stride, c] = a + b
        buf[first + 2 * stride, c] = a - b
        buf[first + 3 * stride, c] = e + f
        buf[first + 4 * stride, c] = e - f
        buf[first + 5 * stride, c] = g + h
        buf[first + 6 * stride, c] = g - h
        buf[first + 7 * stride, c] = d7 - d1 + p * (d3 - d5)


@_inline
def _from_six(buf, first, stride):  # type: ignore[no-untyped-def]
    """Four results from the products at six points; in place, in the first rows."""
    two, four, eight = np.float32(2), np.float32(4), np.float32(8)
    for c in range(_BLOCK):
        d1, d2 = buf[first + stride, c], buf[first + 2 * stride, c]
        d3, d4 = buf[first + 3 * stride, c], buf[first + 4 * stride, c]
        a, b, e, f = d1 + d2, d1 - d2, d3 + d4, d3 - d4
        buf[first, c] = buf[first, c] + a + e
        buf[first + stride, c] = b + two * f
        buf[first + 2 * stride, c] = a + four * e
        buf[first + 3 * stride, c] = b + eight * f + buf[first + 5 * stride, c]


@_inline
def _from_eight(buf, first, stride):  # type: ignore[no-untyped-def]
    """Four results from the products at eight points; in place, in the first rows."""
    two, four, eight = np.float32(2), np.float32(4), np.float32(8)
    half, quarter, eighth = np.float32(1 / 2), np.float32(1 / 4), np.float32(1 / 8)
    for c in range(_BLOCK):
        d1, d2 = buf[first + stride, c], buf[first + 2 * stride, c]
        d3, d4 = buf[first + 3 * stride, c], buf[first + 4 * stride, c]
        d5, d6 = buf[first + 5 * stride, c], buf[first + 6 * stride, c]
        a, b, e, f, g, h = d1 + d2, d1 - d2, d3 + d4, d3 - d4, d5 + d6, d5 - d6
        buf[first, c] = buf[first, c] + a + e + g
        buf[first + stride, c] = b + two * f + half * h
        buf[first + 2 * stride, c] = a + four * e + quarter * g
        buf[first + 3 * stride, c] = b + eight * f + eighth * h + buf[first + 7 * stride, c]


@_jit
def _transform(x, before, top, across, margin, reflect):  # type: ignore[no-untyped-def]
    height, width = x.shape[:2]
    tiles, channels = before.shape[1:]
    points = _STEP + 2 * margin
    buf = np.zeros((points * points, _BLOCK), np.float32)
    for tile in range(tiles):
        y0, x0 = _STEP * (top + tile // across) - margin, _STEP * (tile % across) - margin
        inside = y0 >= 0 and y0 + points <= height and x0 >= 0 and x0 + points <= width
        for start in range(0, channels, _BLOCK):
            count = min(_BLOCK, channels - start)
            if inside and count == _BLOCK:
                for i in range(points):
                    for j in range(points):
                        for c in range(_BLOCK):
                            buf[i * points + j, c] = x[y0 + i, x0 + j, start + c]
            else:
                for i in range(points):
                    y = _source(y0 + i, height, reflect)
                    for j in range(points):
                        column = _source(x0 + j, width, reflect)
                        if y >= 0 and column >= 0:
                            for c in range(count):
                                buf[i * points + j, c] = x[y, column, start + c]
                        else:
                            for c in range(count):
                                buf[i * points + j, c] = np.float32(0)
            if points == 6:
                for j in range(6):
                    _to_six(buf, j, 6)
                for i in range(6):
                    _to_six(buf, 6 * i, 1)
            else:
                for j in range(8):
                    _to_eight(buf, j, 8)
                for i in range(8):
                    _to_eight(buf, 8 * i, 1)
            if count == _BLOCK:
                for k in range(points * points):
                    for c in range(_BLOCK):
                        before[k, tile, start + c] = buf[k, c]
            else:
                for k in range(points * points):
                    for c in range(count):
                        before[k, tile, start + c] = buf[k, c]


@_jit
def _finish(after, out, bias, slope, add, adds, points, top, across):  # type: ignore[no-untyped-def]
    height, width = out.shape[:2]
    tiles, outputs = after.shape[1:]
    buf = np.zeros((points * points, _BLOCK), np.float32)
    offset, factor = np.zeros(_BLOCK, np.float32), np.zeros(_BLOCK, np.float32)
    for start in range(0, outputs, _BLOCK):
        count = min(_BLOCK, outputs - start)
        for c in range(count):
            offset[c] = bias[start + c]
            factor[c] = slope[start + c]
        for tile in range(tiles):
            y0, x0 = _STEP * (top + tile // across), _STEP * (tile % across)
            if count == _BLOCK:
                for k in range(points * points):
                    for c in range(_BLOCK):
                        buf[k, c] = after[k, tile, start + c]
            else:
                for k in range(points * points):
                    for c in range(count):
                        buf[k, c] = after[k, tile, start + c]
            if points == 6:
                for j in range(6):
                    _from_six(buf, j, 6)
                for i in range(_STEP):
                    _from_six(buf, 6 * i, 1)
            else:
                for j in range(8):
                    _from_eight(buf, j, 8)
                for i in range(_STEP):
                    _from_eight(buf, 8 * i, 1)
            for i in range(min(_STEP, height - y0)):
                for j in range(min(_STEP, width - x0)):
                    y, column, r = y0 + i, x0 + j, i * points + j
                    for c in range(_BLOCK):
                        buf[r, c] += offset[c]
                    # One array at a time: out may be add, and memory that may be shared keeps
                    # LLVM from vectors.
                    if adds and count == _BLOCK:
                        for c in range(_BLOCK):
                            buf[r, c] += add[y, column, start + c]
                    elif adds:
                        for c in range(count):
                            buf[r, c] += add[y, column, start + c]
                    if count == _BLOCK:
                        for c in range(_BLOCK):
                            value = buf[r, c]
                            out[y, column, start + c] = value if value > 0 else factor[c] * value
                    else:
                        for c in range(count):
                            value = buf[r, c]
                            out[y, column, start + c] = value if value > 0 else factor[c] * value
