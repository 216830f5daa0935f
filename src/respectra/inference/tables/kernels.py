"""Compiled loops that look colours up and write spectra: vectorised, without the GIL.

Pixels are taken in small blocks. First the cells and weights of a block are computed, several
pixels at a time and without branches, which nobody could predict; then each pixel's rows are
summed, several bands at a time. Rows of a table are padded with zeros to whole vector registers,
and whole registers are written: what spills over the end of one pixel's spectrum is overwritten by
the next pixels'. Only the last pixels of a piece write their bands alone, so that pieces of a
picture can be written at the same time. The sum of rows is given to LLVM as vector instructions:
left to find them by itself, it spends more time on checks that arrays do not overlap than on the
sum.

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

from respectra.notices import watch_compiler

watch_compiler()

#: Floats that are handled at a time: one register of AVX2, two of SSE or NEON.
LANES = 8
#: Pixels of a block: its cells and weights stay in the first cache.
_BLOCK = 128
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
    registers: Any,
) -> Any:
    """out[start : start + padded] = the clipped sum of weights times rows, in the output's type.

    ``rows`` and ``weights`` are tuples of the same length, ``registers`` one as long as a row of
    the table has registers, which is thereby known when this is compiled. Nothing is checked.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        count = len(signature.args[3])
        padded = LANES * len(signature.args[8])
        target = context.make_array(signature.args[0])(context, builder, arguments[0])
        source = context.make_array(signature.args[2])(context, builder, arguments[2])
        chosen = cgutils.unpack_tuple(builder, arguments[3], count)
        begins = [builder.gep(source.data, [builder.mul(row, row.type(padded))]) for row in chosen]
        factors = [_spread(builder, w) for w in cgutils.unpack_tuple(builder, arguments[4], count)]
        least, most, unit = (_spread(builder, value) for value in arguments[5:8])
        kind = signature.args[0].dtype
        stored = _converted(builder, kind, least, unit).type
        end = builder.gep(target.data, [arguments[1]])
        for band in (ir.IntType(64)(first) for first in range(0, padded, LANES)):
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

    return types.void(out, start, table, rows, weights, low, high, scale, registers), generate


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def usable(values: Any, highest: Any) -> bool:
    """Whether all values are numbers from 0 to the highest. Not fast-math: it finds NaN."""
    good = True
    for i in range(values.size):
        good &= (values[i] >= 0) & (values[i] <= highest)
    return good


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")  # type: ignore[untyped-decorator]
def _locate(values: Any, top: int, roots: int, even: Any, cells: Any, fractions: Any) -> None:
    """The cells (n,), int32, of values (n,) in [0, 1], and how far they lie in them, (n,), float32.

    The nodes lie at (i / top)**(2**roots), with 0, 1 or 2 roots; ``even`` (n,) is working memory.
    """
    count = np.float32(top)
    last = np.float32(top - 1)
    step = np.float32(1) / count
    for q in range(values.size):
        even[q] = values[q]
    for _ in range(roots):
        for q in range(values.size):
            even[q] = np.sqrt(even[q])
    if roots == 0:
        for q in range(values.size):
            cell = np.int32(min(even[q] * count, last))
            cells[q] = cell
            fractions[q] = even[q] * count - np.float32(cell)
        return
    for q in range(values.size):
        cell = np.int32(min(even[q] * count, last))
        cells[q] = cell
        near = np.float32(cell) * step
        far = (np.float32(cell) + np.float32(1)) * step
        near, far = near * near, far * far
        if roots == 2:
            near, far = near * near, far * far
        fractions[q] = (values[q] - near) / (far - near)


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")  # type: ignore[untyped-decorator]
def _tetrahedra(n: int, cells: Any, fractions: Any, rows: Any, weights: Any) -> None:
    """Rows and weights, (4, pixels), of the corners of the tetrahedra that colours lie in.

    From the near corner of the cell to the far one, along the largest fraction first. Steps are
    chosen as floats, which hold them exactly: as integers they would be 64 bits wide. There are
    ``n`` nodes along an axis; cells and fractions, (3 pixels,), are along R, G, B.
    """
    red, green, blue = np.float32(n * n), np.float32(n), np.float32(1)
    across = np.int32(n * n + n + 1)
    for p in range(rows.shape[1]):
        f0, f1, f2 = fractions[3 * p], fractions[3 * p + 1], fractions[3 * p + 2]
        most, least = max(max(f0, f1), f2), min(min(f0, f1), f2)
        middle = max(min(f0, f1), min(max(f0, f1), f2))
        first = red if (f0 >= f1) & (f0 >= f2) else (green if f1 >= f2 else blue)
        last = blue if (f0 >= f2) & (f1 >= f2) else (green if f0 >= f1 else red)
        near = np.int32((cells[3 * p] * n + cells[3 * p + 1]) * n + cells[3 * p + 2])
        far = np.int32(near + across)
        rows[0, p] = near
        rows[1, p] = near + np.int32(first)
        rows[2, p] = far - np.int32(last)
        rows[3, p] = far
        weights[0, p] = np.float32(1) - most
        weights[1, p] = most - middle
        weights[2, p] = middle - least
        weights[3, p] = least


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")  # type: ignore[untyped-decorator]
def _directions(colours: Any, unit: Any, faces: Any, levels: Any, ratios: Any) -> None:
    """Where the rays of colours, (3 pixels,), meet the faces of the RGB cube.

    The results are, for each pixel, the largest channel, its value in ``unit``, and the ratios,
    (2 pixels,), of the two channels that follow it, R after B.
    """
    for p in range(levels.size):
        red, green, blue = colours[3 * p], colours[3 * p + 1], colours[3 * p + 2]
        by_red = (red >= green) & (red >= blue)
        by_green = green >= blue
        level = max(max(red, green), blue)
        inverse = np.float32(1) / max(level, np.float32(1e-30))
        first = green if by_red else (blue if by_green else red)
        second = blue if by_red else (red if by_green else green)
        faces[p] = np.float32(0) if by_red else (np.float32(1) if by_green else np.float32(2))
        levels[p] = level * unit
        ratios[2 * p] = first * inverse
        ratios[2 * p + 1] = second * inverse


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")  # type: ignore[untyped-decorator]
def _triangles(
    n: int, faces: Any, levels: Any, cells: Any, fractions: Any, rows: Any, weights: Any
) -> None:
    """Rows and weights, (3, pixels), times the level, of the corners of the triangles of rays.

    There are ``n`` nodes along an axis; cells and fractions are (2 pixels,).
    """
    first, second = np.float32(n), np.float32(1)
    for p in range(rows.shape[1]):
        f0, f1 = fractions[2 * p], fractions[2 * p + 1]
        near = np.int32((np.int32(faces[p]) * n + cells[2 * p]) * n + cells[2 * p + 1])
        rows[0, p] = near
        rows[1, p] = near + np.int32(first if f0 >= f1 else second)
        rows[2, p] = near + np.int32(n + 1)
        weights[0, p] = levels[p] * (np.float32(1) - max(f0, f1))
        weights[1, p] = levels[p] * (max(f0, f1) - min(f0, f1))
        weights[2, p] = levels[p] * min(f0, f1)


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")  # type: ignore[untyped-decorator]
def look_up_cube(
    rgb: Any,
    unit: Any,
    table: Any,
    nodes: int,
    roots: int,
    low: Any,
    high: Any,
    scale: Any,
    bands: int,
    registers: Any,
    out: Any,
) -> None:
    """Tetrahedral interpolation in a table over R, G, B.

    Args:
        rgb: shape (3 pixels,); times ``unit`` in [0, 1].
        unit: of the values.
        table: shape (nodes**3, padded bands), float32; R varies slowest.
        nodes: along an axis.
        roots: the nodes lie at equal distances after so many square roots.
        low: least value written.
        high: greatest value written.
        scale: codes for a value of one, where integers are written.
        bands: values a pixel.
        registers: a tuple of integers, as many as ``LANES`` goes into the padded bands.
        out: flat, pixels * bands values: float32, int16 for the bits of float16, or codes.
    """
    pixels = rgb.size // 3
    colours = np.zeros(3 * _BLOCK, np.float32)
    even, fractions = np.empty(colours.size, np.float32), np.empty(colours.size, np.float32)
    cells = np.empty(colours.size, np.int32)
    rows, weights = np.empty((4, _BLOCK), np.int32), np.empty((4, _BLOCK), np.float32)
    tail = np.empty(table.shape[1], out.dtype)
    for begin in range(0, pixels, _BLOCK):
        count = min(_BLOCK, pixels - begin)
        for q in range(3 * count):
            colours[q] = np.float32(rgb[3 * begin + q]) * unit
        _locate(colours, nodes - 1, roots, even, cells, fractions)
        _tetrahedra(nodes, cells, fractions, rows, weights)
        for p in range(count):
            corners = (
                np.int64(rows[0, p]),
                np.int64(rows[1, p]),
                np.int64(rows[2, p]),
                np.int64(rows[3, p]),
            )
            shares = (weights[0, p], weights[1, p], weights[2, p], weights[3, p])
            start = (begin + p) * bands
            if start + tail.size <= out.size:
                _blend(out, start, table, corners, shares, low, high, scale, registers)
            else:
                _blend(tail, 0, table, corners, shares, low, high, scale, registers)
                out[start : start + bands] = tail[:bands]


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")  # type: ignore[untyped-decorator]
def look_up_rays(
    rgb: Any,
    unit: Any,
    table: Any,
    nodes: int,
    roots: int,
    low: Any,
    high: Any,
    scale: Any,
    bands: int,
    registers: Any,
    out: Any,
) -> None:
    """Linear interpolation over the directions of R, G, B, times the largest of the three.

    The arguments are those of ``look_up_cube``, but the table has shape (3 nodes**2, padded bands):
    for each channel that can be the largest, the ratios of the two that follow it (R after B).
    """
    pixels = rgb.size // 3
    colours, ratios = np.zeros(3 * _BLOCK, np.float32), np.zeros(2 * _BLOCK, np.float32)
    faces, levels = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.float32)
    even, fractions = np.empty(ratios.size, np.float32), np.empty(ratios.size, np.float32)
    cells = np.empty(ratios.size, np.int32)
    rows, weights = np.empty((3, _BLOCK), np.int32), np.empty((3, _BLOCK), np.float32)
    tail = np.empty(table.shape[1], out.dtype)
    for begin in range(0, pixels, _BLOCK):
        count = min(_BLOCK, pixels - begin)
        for q in range(3 * count):
            colours[q] = np.float32(rgb[3 * begin + q])
        _directions(colours, unit, faces, levels, ratios)
        _locate(ratios, nodes - 1, roots, even, cells, fractions)
        _triangles(nodes, faces, levels, cells, fractions, rows, weights)
        for p in range(count):
            corners = (np.int64(rows[0, p]), np.int64(rows[1, p]), np.int64(rows[2, p]))
            shares = (weights[0, p], weights[1, p], weights[2, p])
            start = (begin + p) * bands
            if start + tail.size <= out.size:
                _blend(out, start, table, corners, shares, low, high, scale, registers)
            else:
                _blend(tail, 0, table, corners, shares, low, high, scale, registers)
                out[start : start + bands] = tail[:bands]
