"""The nearest spectrum that a camera maps into given bounds: compiled, pixel by pixel.

For an estimate s₀ of a spectrum, a response A (band, 3) and bounds low ≤ high of the three linear
values, each pixel is the small quadratic programme

    minimise  Σ_b ((s_b − s₀_b) / w_b)²   subject to  low ≤ Aᵀs ≤ high  and, if asked for,  s ≥ 0

with w_b = max(|s₀_b|, φ), so that the change is relative to the spectrum. It is solved in its dual,
which has one multiplier μ a channel: s = s₀ + w² · (A μ), cut off at 0 where that is asked for.
Each Newton step solves the 3 × 3 problem with all its bounds (an active set); without the cut one
step is exact, with it a few are. Arithmetic is float32 on bands padded to the width of the vector
units; bounds are drawn in by a few millionths of the values, more than its rounding.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from respectra.notices import watch_compiler
from respectra.threads import for_blocks

watch_compiler()

#: Changes are measured relative to each band, but not below this share of the pixel's largest.
METRIC_FLOOR = 0.02
#: What became of a pixel.
KEPT, MOVED, UNREACHABLE, NOT_FINITE = 0, 1, 2, 3

#: The largest float32, standing for infinity: the kernel's arithmetic is compiled without one.
UNBOUNDED = 3.0e38
_STEPS = 40
_WIDENINGS = 24
_BLOCK = 8192
_LANES = 32
_PRODUCTS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
# "nnan" and "ninf" are left out: the kernel tests for both.
_FAST = {"contract", "reassoc", "nsz", "arcp"}


def move_into(
    spectra: npt.NDArray[np.float32],
    camera: npt.NDArray[np.float64],
    low: npt.NDArray[np.float64],
    high: npt.NDArray[np.float64],
    *,
    non_negative: bool = False,
    metric_floor: float = METRIC_FLOOR,
) -> npt.NDArray[np.uint8]:
    """Move each spectrum, in place, by the least relative change into its bounds.

    Args:
        spectra: shape (n, band), contiguous.
        camera: shape (band, 3); linear value = spectrum @ camera.
        low: shape (n, 3); least linear values.
        high: shape (n, 3); values stay below it unless it equals ``low``, which asks for that
            value; infinite where there is no upper bound.
        non_negative: whether spectra may not fall below 0.
        metric_floor: φ as a share of the largest value of the pixel's estimate.

    Returns:
        shape (n,): KEPT, MOVED, UNREACHABLE where no such spectrum exists (the bounds were then
        widened until one did), or NOT_FINITE.
    """
    status = np.zeros(len(spectra), np.uint8)
    bands = camera.shape[0]
    rows = np.zeros((9, -(-bands // _LANES) * _LANES), np.float32)
    rows[:3, :bands] = camera.T
    for k, (i, j) in enumerate(_PRODUCTS):
        rows[3 + k, :bands] = camera[:, i] * camera[:, j]
    ceiling = np.minimum(high, UNBOUNDED)
    floor = np.float32(metric_floor)

    def move(values: Any, low: Any, ceiling: Any, status: Any) -> None:
        def some(start: int, stop: int) -> None:
            part = slice(start, stop)
            _move(values[part], rows, low[part], ceiling[part], non_negative, floor, status[part])

        for_blocks(some, len(values), _BLOCK)

    move(spectra, low, ceiling, status)
    # A few of a hundred thousand end just beside bounds that can be met: once more from there.
    left = np.flatnonzero(status == UNREACHABLE)
    if left.size:
        again, second = np.ascontiguousarray(spectra[left]), np.zeros(left.size, np.uint8)
        move(again, np.ascontiguousarray(low[left]), np.ascontiguousarray(ceiling[left]), second)
        reached = second <= MOVED
        spectra[left[reached]] = again[reached]
        status[left[reached]] = MOVED
    return status


@numba.njit(cache=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
def _values(s: Any, c: Any, v: Any) -> None:
    """Linear values of a spectrum."""
    v0 = v1 = v2 = np.float32(0.0)
    for b in range(s.size):
        v0 += c[0, b] * s[b]
        v1 += c[1, b] * s[b]
        v2 += c[2, b] * s[b]
    v[0], v[1], v[2] = v0, v1, v2


@numba.njit(cache=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
def _derivative(w: Any, c: Any, g: Any) -> None:
    """Derivative of the linear values by the multipliers: Aᵀ diag(w) A, upper triangle."""
    g0 = g1 = g2 = g3 = g4 = g5 = np.float32(0.0)
    for b in range(w.size):
        g0 += c[3, b] * w[b]
        g1 += c[4, b] * w[b]
        g2 += c[5, b] * w[b]
        g3 += c[6, b] * w[b]
        g4 += c[7, b] * w[b]
        g5 += c[8, b] * w[b]
    g[0], g[1], g[2], g[3], g[4], g[5] = g0, g1, g2, g3, g4, g5


@numba.njit(cache=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
def _add(t: Any, w: Any, c: Any, step: Any) -> None:
    """t += w · (A step)."""
    d0, d1, d2 = np.float32(step[0]), np.float32(step[1]), np.float32(step[2])
    for b in range(t.size):
        t[b] += w[b] * (c[0, b] * d0 + c[1, b] * d1 + c[2, b] * d2)


@numba.njit(cache=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
def _cut(t: Any, w: Any, s: Any, kept: Any) -> None:
    """s = max(t, 0), and the weights of the bands that were not cut off."""
    zero = np.float32(0.0)
    for b in range(t.size):
        s[b] = max(t[b], zero)
        kept[b] = w[b] if t[b] >= zero else zero


@numba.njit(cache=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
def _newton(g: Any, gap: Any, active: Any, step: Any) -> None:
    """Solve the rows and columns of a symmetric 3 × 3 system that are active; 0 elsewhere."""
    a00 = g[0] if active[0] else 1.0
    a11 = g[3] if active[1] else 1.0
    a22 = g[5] if active[2] else 1.0
    a01 = g[1] if active[0] and active[1] else 0.0
    a02 = g[2] if active[0] and active[2] else 0.0
    a12 = g[4] if active[1] and active[2] else 0.0
    b0 = gap[0] if active[0] else 0.0
    b1 = gap[1] if active[1] else 0.0
    b2 = gap[2] if active[2] else 0.0
    # A Cholesky decomposition; a vanishing pivot gets a small one instead.
    l00 = np.sqrt(max(a00, 1e-30))
    l10, l20 = a01 / l00, a02 / l00
    l11 = np.sqrt(max(a11 - l10 * l10, 1e-9 * a11 + 1e-30))
    l21 = (a12 - l10 * l20) / l11
    l22 = np.sqrt(max(a22 - l20 * l20 - l21 * l21, 1e-9 * a22 + 1e-30))
    y0 = b0 / l00
    y1 = (b1 - l10 * y0) / l11
    step[2] = (b2 - l20 * y0 - l21 * y1) / (l22 * l22)
    step[1] = (y1 - l21 * step[2]) / l11
    step[0] = (y0 - l10 * step[1] - l20 * step[2]) / l00


@numba.njit(cache=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
def _margin(lo: float, hi: float) -> float:
    """By how much bounds are drawn in, so that rounding does not cross them; 0 for one value."""
    return float(min(4e-6 * (lo + 0.01), 0.05 * (hi - lo)))


@numba.njit(cache=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
def _try_all(v: Any, g: Any, mu: Any, lo: Any, hi: Any, work: Any, active: Any) -> None:
    """The solution of the linear problem by trial: each channel free, at its low or high bound."""
    total, step, gap, best = work[0], work[1], work[2], work[3]
    least = np.inf
    for state in range(27):
        code = state
        for i in range(3):
            margin = _margin(lo[i], hi[i])
            place, code = code % 3, code // 3
            active[i] = place > 0
            step[i] = 0.0
            # Without this channel its multiplier is 0: the change takes back what there is.
            best[i] = -mu[i]
            gap[i] = lo[i] + margin if place == 1 else hi[i] - margin
        now0 = v[0] - g[0] * mu[0] - g[1] * mu[1] - g[2] * mu[2]
        now1 = v[1] - g[1] * mu[0] - g[3] * mu[1] - g[4] * mu[2]
        now2 = v[2] - g[2] * mu[0] - g[4] * mu[1] - g[5] * mu[2]
        gap[0] -= now0
        gap[1] -= now1
        gap[2] -= now2
        _newton(g, gap, active, step)
        wrong = 0.0
        code = state
        for i in range(3):
            at_low = code % 3 == 1
            code = code // 3
            if active[i]:
                if lo[i] < hi[i] and (step[i] < 0.0) == at_low:
                    wrong += abs(step[i]) * g[0 if i == 0 else (3 if i == 1 else 5)]
            else:
                if i == 0:
                    now = now0 + g[0] * step[0] + g[1] * step[1] + g[2] * step[2]
                elif i == 1:
                    now = now1 + g[1] * step[0] + g[3] * step[1] + g[4] * step[2]
                else:
                    now = now2 + g[2] * step[0] + g[4] * step[1] + g[5] * step[2]
                wrong += max(0.0, lo[i] - now) + max(0.0, now - hi[i])
        if wrong < least:
            least = wrong
            for i in range(3):
                total[i] = best[i] + (step[i] if active[i] else 0.0)


@numba.njit(cache=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
def _multipliers(v: Any, g: Any, mu: Any, lo: Any, hi: Any, work: Any, active: Any) -> None:
    """Move μ to the solution of the problem in which v is linear in μ; the change is work[0]."""
    total, step, gap, now, side = work[0], work[1], work[2], work[3], work[7]
    for i in range(3):
        total[i] = 0.0
        now[i] = v[i]
        active[i] = lo[i] >= hi[i] or mu[i] != 0.0
        side[i] = 1.0 if mu[i] > 0.0 else -1.0
    for _ in range(12):
        settled = True
        for i in range(3):
            margin = _margin(lo[i], hi[i])
            low_i, high_i = lo[i] + margin, hi[i] - margin
            if not active[i] and not low_i <= now[i] <= high_i:
                active[i], settled = True, False
                side[i] = 1.0 if now[i] < low_i else -1.0
            gap[i] = (low_i if side[i] > 0.0 else high_i) - now[i]
        _newton(g, gap, active, step)
        for i in range(3):
            if not active[i]:
                continue
            total[i] += step[i]
            if lo[i] < hi[i] and (mu[i] + total[i]) * side[i] < 0.0:
                # It would pull away from its bound: let go of it.
                active[i], settled = False, False
                total[i] = -mu[i]
        now[0] = v[0] + g[0] * total[0] + g[1] * total[1] + g[2] * total[2]
        now[1] = v[1] + g[1] * total[0] + g[3] * total[1] + g[4] * total[2]
        now[2] = v[2] + g[2] * total[0] + g[4] * total[1] + g[5] * total[2]
        if settled:
            break
    if not settled:
        _try_all(v, g, mu, lo, hi, work, active)
    for i in range(3):
        mu[i] += total[i]


@numba.njit(cache=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
def _met(v: Any, mu: Any, lo: Any, hi: Any, strict: bool) -> bool:
    """Whether values lie in their bounds and, if strict, on those that hold them back."""
    for i in range(3):
        if lo[i] >= hi[i]:
            if abs(v[i] - lo[i]) > 2e-6 * (abs(lo[i]) + 1e-3):
                return False
            continue
        margin = 0.5 * _margin(lo[i], hi[i])
        if not lo[i] + margin <= v[i] <= hi[i] - margin:
            return False
        if strict and mu[i] > 0.0 and v[i] > lo[i] + 4.0 * margin:
            return False
        if strict and mu[i] < 0.0 and v[i] < hi[i] - 4.0 * margin:
            return False
    return True


@numba.njit(cache=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
def _solve(s0: Any, w: Any, c: Any, lo: Any, hi: Any, cut: bool, rows: Any, work: Any) -> int:
    """Newton steps until the spectrum, rows[1], lies in its bounds.

    Returns the number of steps; 0 when nothing had to move, -1 without an answer.
    """
    t, s, kept = rows[0], rows[1], rows[2]
    v, g, mu, full = work[4], work[5], work[6], work[8]
    active = np.zeros(3, np.bool_)
    mu[:3] = 0.0
    for b in range(t.size):
        t[b] = s0[b]
    _derivative(w, c, g)
    full[:] = g
    for n in range(_STEPS):
        if cut:
            _cut(t, w, s, kept)
            _values(s, c, v)
        else:
            _values(t, c, v)
        if _met(v, mu, lo, hi, n < _STEPS // 2):
            if not cut:
                for b in range(t.size):
                    s[b] = t[b]
            return n
        if cut:
            _derivative(kept, c, g)
            for i in (0, 3, 5):
                g[i] += 1e-5 * full[i]
        _multipliers(v, g, mu, lo, hi, work, active)
        step = work[0]
        if n > 10:
            # Newton's steps can circle around the corners that the cut makes: shorten them.
            for i in range(3):
                mu[i] -= 0.5 * step[i]
                step[i] *= 0.5
        _add(t, w, c, step)
    return -1


@numba.njit(cache=True, nogil=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
def _move(spectra: Any, c: Any, low: Any, high: Any, cut: bool, floor: Any, status: Any) -> None:
    pixels, bands = spectra.shape
    s0 = np.zeros(c.shape[1], np.float32)
    w = np.zeros(c.shape[1], np.float32)
    rows = np.zeros((3, c.shape[1]), np.float32)
    work = np.zeros((9, 6))
    lo, hi, wide_lo, wide_hi = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    for p in range(pixels):
        top = total = np.float32(0.0)
        for b in range(bands):
            s0[b] = spectra[p, b]
        for b in range(s0.size):
            top = max(top, abs(s0[b]))
            total += s0[b]
        if not np.isfinite(total):
            status[p] = NOT_FINITE
            continue
        need = np.float32(1e-4)
        for i in range(3):
            lo[i], hi[i] = low[p, i], high[p, i]
            need = max(need, np.float32(lo[i]))
        least = floor * max(top, need)
        for b in range(s0.size):
            size = max(abs(s0[b]), least)
            w[b] = size * size
        steps = _solve(s0, w, c, lo, hi, cut, rows, work)
        if steps < 0:
            status[p] = UNREACHABLE
            width = 1e-5
            for _ in range(_WIDENINGS):
                for i in range(3):
                    wide_lo[i] = max(lo[i] - width, 0.0)
                    wide_hi[i] = min(hi[i], 1e30) + width
                if _solve(s0, w, c, wide_lo, wide_hi, cut, rows, work) >= 0:
                    break
                width *= 2.0
        elif steps > 0:
            status[p] = MOVED
        for b in range(bands):
            spectra[p, b] = rows[1, b]
