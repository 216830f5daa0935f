"""Compiled functions on channels-last maps, written so that compilers vectorise them.

The error function is a rational function fitted to it over the range in which float32 does not
round it to one; its largest error is 5e-7.
"""

from __future__ import annotations

import numba
import numpy as np

from respectra.notices import watch_compiler

watch_compiler()

#: Channels that are worked on together; maps have multiples of it.
BLOCK = 32
_ERF_END = np.float32(3.9)
_HALF, _ONE, _ROOT = np.float32(0.5), np.float32(1), np.float32(0.5**0.5)
_jit = numba.njit(
    nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"}, error_model="numpy"
)


@_jit
def _erf(x):  # type: ignore[no-untyped-def]
    x = min(max(x, -_ERF_END), _ERF_END)
    t = x * x
    top = np.float32(2.05038668e-06)
    top = top * t + np.float32(0.00028745677)
    top = top * t + np.float32(0.00383686436)
    top = top * t + np.float32(0.0529668838)
    top = top * t + np.float32(0.191940766)
    top = top * t + np.float32(1.12837903)
    bottom = np.float32(3.82307094e-05)
    bottom = bottom * t + np.float32(0.00118173112)
    bottom = bottom * t + np.float32(0.0151091818)
    bottom = bottom * t + np.float32(0.114758099)
    bottom = bottom * t + np.float32(0.503434853)
    bottom = bottom * t + _ONE
    return x * top / bottom


@_jit
def gelu(x):  # type: ignore[no-untyped-def]
    """x * (1 + erf(x / √2)) / 2 in place; a flat array."""
    for i in range(x.size):
        value = x[i]
        x[i] = _HALF * value * (_ONE + _erf(value * _ROOT))


@_jit
def depthwise(x, weight, bias, top, bottom, first, height, with_gelu, out):  # type: ignore[no-untyped-def]
    """Depthwise 3x3 convolution with zero padding of rows ``top`` to ``bottom`` of a map.

    Args:
        x: rows of the map from ``first`` on, (rows, width, channels).
        weight: (9, channels).
        bias: (channels,).
        top: first row of the map that is wanted.
        bottom: the row after the last.
        first: row of the map that is the first of x.
        height: rows of the map; beyond them are zeros.
        with_gelu: whether the GELU of the result is wanted.
        out: (bottom - top, width, channels).
    """
    width, channels = x.shape[1], x.shape[2]
    total = np.empty(channels, np.float32)
    zeros = np.zeros((width, channels), np.float32)
    for y in range(top, bottom):
        above = x[y - 1 - first] if y > 0 else zeros
        here = x[y - first]
        below = x[y + 1 - first] if y + 1 < height else zeros
        for at in range(width):
            for c in range(channels):
                total[c] = (
                    bias[c]
                    + weight[1, c] * above[at, c]
                    + weight[4, c] * here[at, c]
                    + weight[7, c] * below[at, c]
                )
            if at > 0:
                for c in range(channels):
                    total[c] += (
                        weight[0, c] * above[at - 1, c]
                        + weight[3, c] * here[at - 1, c]
                        + weight[6, c] * below[at - 1, c]
                    )
            if at + 1 < width:
                for c in range(channels):
                    total[c] += (
                        weight[2, c] * above[at + 1, c]
                        + weight[5, c] * here[at + 1, c]
                        + weight[8, c] * below[at + 1, c]
                    )
            if with_gelu:
                for c in range(channels):
                    value = total[c]
                    out[y - top, at, c] = _HALF * value * (_ONE + _erf(value * _ROOT))
            else:
                for c in range(channels):
                    out[y - top, at, c] = total[c]


@_jit
def layer_norm(x, channels, epsilon, out):  # type: ignore[no-untyped-def]
    """Pixels (pixels, padded) of mean 0 and variance 1 over their first ``channels`` values.

    The values beyond them are zeros and stay so.
    """
    pixels, padded = x.shape
    for p in range(pixels):
        total = np.float32(0)
        for c in range(padded):
            total += x[p, c]
        mean = total / np.float32(channels)
        squares = np.float32(0)
        for c in range(padded):
            squares += (x[p, c] - mean) * (x[p, c] - mean)
        squares -= np.float32(padded - channels) * mean * mean
        scale = _ONE / np.sqrt(squares / np.float32(channels) + epsilon)
        for c in range(padded):
            out[p, c] = (x[p, c] - mean) * scale
        for c in range(channels, padded):
            out[p, c] = np.float32(0)
