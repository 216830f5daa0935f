"""Compiled loops that look colours up and write spectra: vectorised over bands, without the GIL.

Rows of a table are padded with zeros to whole vector registers, and whole registers are written:
what spills over the end of one pixel's spectrum is overwritten by the next pixels'. Only the last
pixels of a piece write their bands alone, so that pieces of a picture can be written at the same
time. The innermost step, a weighted sum of rows, is given to LLVM as vector instructions: left to
find them by itself, it spends more time on checks that arrays do not overlap than on the sum.

Threads are Python's: numba's own layers abort the process when two threads of a program call them
at once, as a server does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

#: Floats that are handled at a time: one register of AVX2, two of SSE or NEON.
LANES = 8
#: May fuse multiplications and additions and ignore the sign of zero; values are finite, which
#: ``usable`` has made sure of.
_FAST = {"contract", "nsz", "nnan", "ninf", "reassoc"}
_FLAGS = ("contract", "nsz", "nnan", "ninf")
_FLOATS = ir.VectorType(ir.FloatType(), LANES)


def _spread(builder: Any, value: Any) -> Any:
    """One float in all lanes."""
    first = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), value, ir.IntType(32)(0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, ir.Constant(_FLOATS, ir.Undefined), mask)


def _converted(builder: Any, kind: Any, values: Any, scale: Any) -> Any:
    """Floats as the elements of the output."""
    if kind == types.float32:
        return values
    if kind == types.int16:  # the bits of float16, rounded as numpy rounds
        halves = builder.fptrunc(values, ir.VectorType(ir.HalfType(), LANES))
        return builder.bitcast(halves, ir.VectorType(ir.IntType(16), LANES))
    # Codes: adding a half and truncating rounds, as the values are not negative.
    half = _spread(builder, ir.FloatType()(0.5))
    codes = builder.fadd(builder.fmul(values, scale, flags=_FLAGS), half, flags=_FLAGS)
    wide = builder.fptosi(codes, ir.VectorType(ir.IntType(32), LANES))
    return builder.trunc(wide, ir.VectorType(ir.IntType(kind.bitwidth), LANES))


@intrinsic  # type: ignore[untyped-decorator]
def _blend(
    typing_context: Any,
    out: Any,
    start: Any,
    table: Any,
    rows: Any,
    weights: Any,
    low: Any,
    high: Any,
    scale: Any,
) -> Any:
    """out[start : start + padded] = the clipped sum of weights times rows, in the output's type.

    ``rows`` and ``weights`` are tuples of the same length; nothing is checked.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        count = len(signature.args[3])
        target = context.make_array(signature.args[0])(context, builder, arguments[0])
        source = context.make_array(signature.args[2])(context, builder, arguments[2])
        padded = cgutils.unpack_tuple(builder, source.shape)[1]
        chosen = cgutils.unpack_tuple(builder, arguments[3], count)
        begins = [builder.gep(source.data, [builder.mul(row, padded)]) for row in chosen]
        factors = [_spread(builder, w) for w in cgutils.unpack_tuple(builder, arguments[4], count)]
        least, most, unit = (_spread(builder, value) for value in arguments[5:])
        kind = signature.args[0].dtype
        stored = _converted(builder, kind, least, unit).type
        end = builder.gep(target.data, [arguments[1]])
        with cgutils.for_range_slice(
            builder, padded.type(0), padded, padded.type(LANES), inc=True
        ) as (band, _):
            total = None
            for begin, factor in zip(begins, factors, strict=True):
                place = builder.bitcast(builder.gep(begin, [band]), _FLOATS.as_pointer())
                term = builder.fmul(builder.load(place, align=4), factor, flags=_FLAGS)
                total = term if total is None else builder.fadd(total, term, flags=_FLAGS)
            above = builder.fcmp_ordered(">", total, least, flags=_FLAGS)
            total = builder.select(above, total, least)
            below = builder.fcmp_ordered("<", total, most, flags=_FLAGS)
            total = builder.select(below, total, most)
            place = builder.bitcast(builder.gep(end, [band]), stored.as_pointer())
            builder.store(_converted(builder, kind, total, unit), place, align=kind.bitwidth // 8)

    return types.void(out, start, table, rows, weights, low, high, scale), generate


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
    i = min(np.int64(np.int32(even * np.float32(top))), top - 1)
    return i, (value - positions[i]) * inverse_steps[i]


@njit(inline="always")  # type: ignore[untyped-decorator]
def _sorted(a: Any, step_a: int, b: Any, step_b: int) -> Any:
    """The larger fraction with its step first; choices instead of branches nobody can predict."""
    ahead = a >= b
    first = (a if ahead else b, step_a if ahead else step_b)
    return first, (b if ahead else a, step_b if ahead else step_a)


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
        out: flat, pixels * bands values: float32, int16 for the bits of float16, or codes.
    """
    n = positions.size
    top = n - 1
    padded = table.shape[1]
    tail = np.empty(padded, out.dtype)
    for p in range(rgb.shape[0]):
        i, f0 = _cell(np.float32(rgb[p, 0]) * unit, positions, inverse_steps, top, roots)
        j, f1 = _cell(np.float32(rgb[p, 1]) * unit, positions, inverse_steps, top, roots)
        k, f2 = _cell(np.float32(rgb[p, 2]) * unit, positions, inverse_steps, top, roots)
        # From the near corner of the cell to the far one, along the largest fraction first.
        (f0, s0), (f1, s1) = _sorted(f0, n * n, f1, n)
        (f1, s1), (f2, s2) = _sorted(f1, s1, f2, 1)
        (f0, s0), (f1, s1) = _sorted(f0, s0, f1, s1)
        near = (i * n + j) * n + k
        rows = (near, near + s0, near + s0 + s1, near + s0 + s1 + s2)
        weights = (np.float32(1) - f0, f0 - f1, f1 - f2, f2)
        start = p * bands
        if start + padded <= out.size:
            _blend(out, start, table, rows, weights, low, high, scale)
        else:
            _blend(tail, 0, table, rows, weights, low, high, scale)
            out[start : start + bands] = tail[:bands]


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
    tail = np.empty(padded, out.dtype)
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
        (f0, step), (f1, _) = _sorted(f0, n, f1, 1)
        near = (face * n + i) * n + j
        rows = (near, near + step, near + n + 1)
        level *= unit
        weights = (level * (np.float32(1) - f0), level * (f0 - f1), level * f1)
        start = p * bands
        if start + padded <= out.size:
            _blend(out, start, table, rows, weights, low, high, scale)
        else:
            _blend(tail, 0, table, rows, weights, low, high, scale)
            out[start : start + bands] = tail[:bands]
