"""Dot-product attention over few channels: every pixel asks every pixel, and no matrix is held.

Keys are taken in pieces that stay in the innermost cache, together with what the softmax needs of
the pieces before them: the largest product so far, and sums relative to it (Milakov and
Gimelshein, Online normalizer calculation for softmax, 2018).
"""

from __future__ import annotations

import functools

import numba
import numpy as np
import torch
from torch import Tensor

from respectra.inference.engines.workers import run_parts
from respectra.notices import watch_compiler
from respectra.typing import Float32Array

watch_compiler()

#: Keys of a piece, and queries that are asked about it one after the other.
_KEYS, _QUERIES = 2048, 64
_LOG2_E = np.float32(np.log2(np.e))
#: 2**t for t from -1/2 to 1/2, within 2e-9; and the exponent of a float32 that is one.
_POWERS = tuple(
    np.float32(c)
    for c in (1.0, 0.693147182, 0.240226477, 0.0555033013, 0.00961846579, 0.00133992662, 0.00015345)
)
_ONE, _UNIT = np.float32(127), np.float32(2**23)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(query keyᵀ) value; all (n, 1, pixels, channels), float32, on the CPU."""
    out = torch.empty_like(value)
    for i in range(len(query)):
        asks, answers = query[i, 0].contiguous().numpy(), out[i, 0].numpy()
        keys, values = key[i, 0].mT.contiguous().numpy(), value[i, 0].mT.contiguous().numpy()

        part = functools.partial(_part, asks, keys, values, answers)
        run_parts(part, len(asks))
    return out


_jit = numba.njit(
    nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz", "nnan"}, error_model="numpy"
)


def _part(
    asks: Float32Array,
    keys: Float32Array,
    values: Float32Array,
    out: Float32Array,
    start: int,
    stop: int,
) -> None:
    _attend(asks[start:stop], keys, values, out[start:stop])


@_jit
def _add(out, factor, row):  # type: ignore[no-untyped-def]
    for c in range(out.size):
        out[c] += factor * row[c]


@_jit
def _largest(products, least):  # type: ignore[no-untyped-def]
    for c in range(products.size):
        least = max(least, products[c])
    return least


@_jit
def _powers_of_two(products, top, fractions, exponents):  # type: ignore[no-untyped-def]
    """2**(products - top) as two factors, the second by the bits of its exponent."""
    for c in range(products.size):
        t = max(products[c] - top, -np.float32(126))
        whole = np.floor(t + np.float32(0.5))
        t -= whole
        power = _POWERS[6]
        power = power * t + _POWERS[5]
        power = power * t + _POWERS[4]
        power = power * t + _POWERS[3]
        power = power * t + _POWERS[2]
        power = power * t + _POWERS[1]
        power = power * t + _POWERS[0]
        fractions[c] = power
        exponents[c] = np.int32((whole + _ONE) * _UNIT)


@_jit
def _multiply(out, factors):  # type: ignore[no-untyped-def]
    """out times factors, into out; their sum."""
    total = np.float32(0)
    for c in range(out.size):
        out[c] *= factors[c]
        total += out[c]
    return total


@_jit
def _dot(a, b):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for c in range(a.size):
        total += a[c] * b[c]
    return total


@_jit
def _attend(asks, keys, values, out):  # type: ignore[no-untyped-def]
    """Rows of asks (query, channel), keys and values (channel, key) -> out (query, channel)."""
    channels, pixels = keys.shape
    products, weights = np.empty(_KEYS, np.float32), np.empty(_KEYS, np.float32)
    exponents = np.empty(_KEYS, np.int32)
    scales = exponents.view(np.float32)
    largest, totals = np.empty(_QUERIES, np.float32), np.empty(_QUERIES, np.float32)
    for begin in range(0, len(asks), _QUERIES):
        count = min(_QUERIES, len(asks) - begin)
        largest[:] = -np.float32(1e30)
        totals[:] = 0
        out[begin : begin + count] = 0
        for first in range(0, pixels, _KEYS):
            last = min(first + _KEYS, pixels)
            length = last - first
            for q in range(count):
                row = begin + q
                products[:length] = 0
                for k in range(channels):
                    _add(products[:length], asks[row, k] * _LOG2_E, keys[k, first:last])
                top = _largest(products[:length], largest[q])
                before = np.float32(2) ** (largest[q] - top)
                largest[q] = top
                _powers_of_two(products[:length], top, weights, exponents)
                total = _multiply(weights[:length], scales)
                totals[q] = before * totals[q] + total
                for k in range(channels):
                    answer = _dot(weights[:length], values[k, first:last])
                    out[row, k] = before * out[row, k] + answer
        for q in range(count):
            for k in range(channels):
                out[begin + q, k] /= totals[q]
