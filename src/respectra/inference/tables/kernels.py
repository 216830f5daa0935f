"""Compiled loops that look colours up and write spectra: vectorised over bands, without the GIL.

Rows of a table are padded with zeros to whole vector registers, and whole rows are written: what
spills over the end of one pixel's spectrum is overwritten by the next pixels'. Only the last pixels
of a piece write their bands alone, so that pieces of a picture can be written at the same time.

Threads are Python's: numba's own layers abort the process when two threads of a program call them
at once, as a server does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

#: Floats that one vector register holds at most on the machines we know (AVX-512).
PADDING = 8
#: May fuse multiplications and additions and ignore the sign of zero; values are finite, which
#: ``usable`` has made sure of.
_FAST = {"contract", "nsz", "nnan", "ninf", "reassoc"}


@intrinsic  # type: ignore[untyped-decorator]
def _half_bits(typing_context: Any, value: Any) -> Any:
    """The bits of the nearest float16, as numpy rounds; one instruction for eight values."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        half = builder.fptrunc(arguments[0], ir.HalfType())
        return builder.bitcast(half, ir.IntType(16))

    return types.int16(types.float32), generate


def _write(out: Any, start: Any, row: Any, count: Any, scale: Any) -> Any:
    """Convert the first ``count`` values of a row and write them; see the overload."""
    raise NotImplementedError  # compiled code only


@overload(_write, inline="never")  # type: ignore[untyped-decorator]
def _write_as(out: Any, start: Any, row: Any, count: Any, scale: Any) -> Any:
    if out.dtype == types.float32:

        def write(out: Any, start: Any, row: Any, count: Any, scale: Any) -> Any:
            target = out[start:]
            for c in range(count):
                target[c] = row[c]
    elif out.dtype == types.int16:  # the bits of float16

        def write(out: Any, start: Any, row: Any, count: Any, scale: Any) -> Any:
            target = out[start:]
            for c in range(count):
                target[c] = _half_bits(row[c])
    else:  # codes: value = code / scale; adding a half and truncating rounds, values are >= 0
        kind = out.dtype
        half = np.float32(0.5)

        def write(out: Any, start: Any, row: Any, count: Any, scale: Any) -> Any:
            target = out[start:]
            for c in range(count):
                target[c] = kind(np.int32(row[c] * scale + half))

    return write


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def usable(values: Any, highest: Any) -> bool:
    """Whether all values are numbers from 0 to the highest. Not fast-math: it finds NaN."""
    good = True
    for i in range(values.size):
        good &= (values[i] >= 0) & (values[i] <= highest)
    return good


@njit(inline="always")  # type: ignore[untyped-decorator]
def _cell(value: Any, positions: Any, inverse_steps: Any, top: int, roots: int) -> Any:
    """The cell of a value in [0, 1] and how far it lies in it; nodes at (i / top)**(2**roots)."""
    even = value
    for _ in range(roots):
        even = np.sqrt(even)
    i = min(int(even * np.float32(top)), top - 1)
    return i, (value - positions[i]) * inverse_steps[i]


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")  # type: ignore[untyped-decorator]
def look_up_cube(
    rgb: Any,
    unit: Any,
    table: Any,
    positions: Any,
    inverse_steps: Any,
    roots: int,
    low: Any,
    high: Any,
    scale: Any,
    bands: int,
    out: Any,
) -> None:
    """Tetrahedral interpolation in a table over R, G, B.

    Args:
        rgb: shape (pixels, 3); times ``unit`` in [0, 1].
        unit: of the values.
        table: shape (n**3, padded bands), float32; R varies slowest.
        positions: of the nodes along an axis, shape (n,).
        inverse_steps: one over the distances between nodes, shape (n - 1,).
        roots: the nodes lie at equal distances after so many square roots.
        low: least value written.
        high: greatest value written.
        scale: codes for a value of one, where integers are written.
        bands: values a pixel.
        out: flat, pixels * bands values.
    """
    n = positions.size
    top = n - 1
    padded = table.shape[1]
    row = np.empty(padded, np.float32)
    for p in range(rgb.shape[0]):
        i, f0 = _cell(np.float32(rgb[p, 0]) * unit, positions, inverse_steps, top, roots)
        j, f1 = _cell(np.float32(rgb[p, 1]) * unit, positions, inverse_steps, top, roots)
        k, f2 = _cell(np.float32(rgb[p, 2]) * unit, positions, inverse_steps, top, roots)
        s0, s1, s2 = n * n, n, 1
        # From the near corner of the cell to the far one, along the largest fraction first.
        if f0 < f1:
            f0, f1, s0, s1 = f1, f0, s1, s0
        if f1 < f2:
            f1, f2, s1, s2 = f2, f1, s2, s1
        if f0 < f1:
            f0, f1, s0, s1 = f1, f0, s1, s0
        corner = (i * n + j) * n + k
        a, b = table[corner], table[corner + s0]
        c, d = table[corner + s0 + s1], table[corner + s0 + s1 + s2]
        w0, w1, w2, w3 = np.float32(1) - f0, f0 - f1, f1 - f2, f2
        for band in range(padded):
            value = w0 * a[band] + w1 * b[band] + w2 * c[band] + w3 * d[band]
            row[band] = min(max(value, low), high)
        start = p * bands
        _write(out, start, row, padded if start + padded <= out.size else bands, scale)


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")  # type: ignore[untyped-decorator]
def look_up_rays(
    rgb: Any,
    unit: Any,
    table: Any,
    positions: Any,
    inverse_steps: Any,
    roots: int,
    low: Any,
    high: Any,
    scale: Any,
    bands: int,
    out: Any,
) -> None:
    """Linear interpolation over the directions of R, G, B, times the largest of the three.

    The arguments are those of ``look_up_cube``, but the table has shape (3 n**2, padded bands):
    for each channel that can be the largest, the ratios of the two that follow it (R after B).
    """
    n = positions.size
    top = n - 1
    padded = table.shape[1]
    row = np.empty(padded, np.float32)
    for p in range(rgb.shape[0]):
        red, green, blue = rgb[p, 0], rgb[p, 1], rgb[p, 2]
        if red >= green and red >= blue:
            face, most, first, second = 0, red, green, blue
        elif green >= blue:
            face, most, first, second = 1, green, blue, red
        else:
            face, most, first, second = 2, blue, red, green
        level = np.float32(most)
        inverse = np.float32(1) / max(level, np.float32(1e-30))
        i, f0 = _cell(np.float32(first) * inverse, positions, inverse_steps, top, roots)
        j, f1 = _cell(np.float32(second) * inverse, positions, inverse_steps, top, roots)
        step = n
        if f0 < f1:
            f0, f1, step = f1, f0, 1
        corner = (face * n + i) * n + j
        a, b, c = table[corner], table[corner + step], table[corner + n + 1]
        level *= unit
        w0, w1, w2 = level * (np.float32(1) - f0), level * (f0 - f1), level * f1
        for band in range(padded):
            value = w0 * a[band] + w1 * b[band] + w2 * c[band]
            row[band] = min(max(value, low), high)
        start = p * bands
        _write(out, start, row, padded if start + padded <= out.size else bands, scale)
