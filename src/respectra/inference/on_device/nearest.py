"""``nearest_spectra.move_into`` for spectra on a device: all pixels of a block at once.

The programme, its bounds and its steps are those described there; sums are taken in float64. Each
Newton step tries all 27 combinations of channels that are free, at their lower or at their upper
bound, instead of an active set, and pixels that are done leave the block. Those that the first
steps do not bring into their bounds, most of them because no spectrum lies there, are left to the
compiled loop of the processor.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from respectra.devices import free_device_bytes
from respectra.inference import nearest_spectra
from respectra.inference.nearest_spectra import KEPT, METRIC_FLOOR, MOVED, NOT_FINITE, UNBOUNDED

#: Pixels that are worked on at a time: at most a gigabyte, or so much of what is free.
BLOCK, _BLOCK_BYTES_A_PIXEL = 1 << 18, 8 * 27 * 40
_STEPS = 40
#: Steps end where so few of a block's pixels are left, or where this many steps brought in less
#: than a fiftieth of them: a processor is faster with what is left than a device with few pixels.
_FEW, _WINDOW = 1 / 500, 5
#: Rows and columns of the entries of a symmetric matrix that is held as six numbers.
_PRODUCTS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
_DIAGONAL = (0, 3, 5)
#: Free, at the lower bound, at the upper bound: of each channel.
_STATES = tuple(itertools.product((0, 1, 2), repeat=3))


def move_into(
    spectra: Tensor,
    camera: npt.NDArray[np.float64],
    low: npt.NDArray[np.float64] | Tensor,
    high: npt.NDArray[np.float64] | Tensor,
    *,
    non_negative: bool = False,
    metric_floor: float = METRIC_FLOOR,
) -> Tensor:
    """``nearest_spectra.move_into`` in place for spectra (n, band), float32, of a device.

    The bounds, (n, 3), may lie here or there. The status, (n,), is uint8.
    """
    response = torch.as_tensor(camera, dtype=torch.float64, device=spectra.device)
    status = torch.full((len(spectra),), KEPT, dtype=torch.uint8, device=spectra.device)
    block = _block(spectra.device)
    for start in range(0, len(spectra), block):
        part = slice(start, start + block)
        lower, upper = (
            torch.as_tensor(bounds[part]).to(spectra.device, torch.float64)
            for bounds in (low, high)
        )
        found = torch.isfinite(spectra[part].sum(dim=1))
        status[part][~found] = NOT_FINITE
        which = found.nonzero()[:, 0]
        before, lower, upper = spectra[part][which], lower[which], upper[which]
        weights = _weights(before.double(), lower, metric_floor)
        bounds = lower, upper.clamp_max(UNBOUNDED)
        moved, steps = _solve(before.double(), weights, response, *bounds, non_negative)
        after, became = moved.float(), (steps > 0).to(torch.uint8) * MOVED
        left = (steps < 0).nonzero()[:, 0]
        if len(left):
            few = before[left].cpu().numpy()
            there = nearest_spectra.move_into(
                few,
                camera,
                lower[left].cpu().numpy(),
                upper[left].cpu().numpy(),
                non_negative=non_negative,
                metric_floor=metric_floor,
            )
            after[left] = torch.from_numpy(few).to(after.device)
            became[left] = torch.from_numpy(there).to(after.device)
        spectra[part][which] = after
        status[part][which] = became
    return status


def _block(device: torch.device) -> int:
    if device.type == "cpu":
        return BLOCK
    room = free_device_bytes(str(device)) // _BLOCK_BYTES_A_PIXEL
    return max(1 << 12, min(BLOCK, room))


def _weights(spectra: Tensor, low: Tensor, floor: float) -> Tensor:
    """w² of each band: changes count relative to it."""
    top = torch.maximum(spectra.abs().amax(dim=1), low.amax(dim=1).clamp_min(1e-4))
    return torch.maximum(spectra.abs(), (floor * top)[:, None]).square()


def _solve(
    start: Tensor, weights: Tensor, response: Tensor, low: Tensor, high: Tensor, cut: bool
) -> tuple[Tensor, Tensor]:
    """Newton's steps until each spectrum lies in its bounds, and their number; −1: never."""
    products = torch.stack([response[:, i] * response[:, j] for i, j in _PRODUCTS], dim=1)
    spectra = start.clamp_min(0.0) if cut else start.clone()
    count = torch.full((len(start),), -1, dtype=torch.int64, device=start.device)
    which = torch.arange(len(start), device=start.device)
    inner, mu = start, torch.zeros_like(low)
    whole = weights @ products
    left: list[int] = []
    for step in range(_STEPS):
        outer = inner.clamp_min(0.0) if cut else inner
        values = outer @ response
        met = _met(values, mu, low, high, strict=step < _STEPS // 2)
        spectra[which] = outer
        count[which[met]] = step
        open_ = ~met
        left.append(int(open_.sum()))
        stalled = step >= _WINDOW and left[step] > 0.98 * left[step - _WINDOW]
        if stalled or left[step] <= _FEW * len(start):
            break
        which, inner, mu, values = which[open_], inner[open_], mu[open_], values[open_]
        weights, whole, low, high = weights[open_], whole[open_], low[open_], high[open_]
        slope = whole
        if cut:
            slope = (weights * (inner >= 0.0)) @ products
            slope[:, _DIAGONAL] += 1e-5 * whole[:, _DIAGONAL]
        change = _change(values, slope, mu, low, high)
        if step > 10:  # steps can circle around the corners that the cut makes: shorten them
            change = 0.5 * change
        mu = mu + change
        inner = inner + weights * (change @ response.T)
    return spectra, count


def _margin(low: Tensor, high: Tensor) -> Tensor:
    """By how much bounds are drawn in, so that rounding does not cross them; 0 for one value."""
    return torch.minimum(4e-6 * (low + 0.01), 0.05 * (high - low))


def _met(values: Tensor, mu: Tensor, low: Tensor, high: Tensor, *, strict: bool) -> Tensor:
    """Whether values lie in their bounds and, if strict, on those that hold them back."""
    margin = 0.5 * _margin(low, high)
    inside = (values >= low + margin) & (values <= high - margin)
    if strict:
        inside &= ~((mu > 0.0) & (values > low + 4.0 * margin))
        inside &= ~((mu < 0.0) & (values < high - 4.0 * margin))
    exact = (values - low).abs() <= 2e-6 * (low.abs() + 1e-3)
    return torch.where(low >= high, exact, inside).all(dim=1)


def _change(values: Tensor, slope: Tensor, mu: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """From μ to the solution of the problem in which the values are linear in μ, shape (n, 3)."""
    places = torch.tensor(_STATES, device=values.device).T[:, :, None]  # (3, 27, 1)
    active = places > 0
    g = dict(zip(_PRODUCTS, slope.T, strict=True))
    g.update({(j, i): entry for (i, j), entry in list(g.items())})
    margin = _margin(low, high)
    now = [values[:, i] - sum(g[i, j] * mu[:, j] for j in range(3)) for i in range(3)]
    at = [
        torch.where(places[i] == 1, (low + margin)[:, i], (high - margin)[:, i]) for i in range(3)
    ]
    gap = [torch.where(active[i], at[i] - now[i], 0.0) for i in range(3)]
    step = _newton(g, gap, active)
    wrong = torch.zeros_like(step[0])
    for i in range(3):
        loose = low[:, i] < high[:, i]
        pulls = ((step[i] < 0.0) == (places[i] == 1)) & loose
        pull = torch.where(pulls, step[i].abs() * g[i, i], 0.0)
        there = now[i] + sum(g[i, j] * step[j] for j in range(3))
        off = (low[:, i] - there).clamp_min(0.0) + (there - high[:, i]).clamp_min(0.0)
        wrong += torch.where(active[i], pull, off)
    best = wrong.argmin(dim=0)[None]
    return torch.stack([s.gather(0, best)[0] for s in step], dim=1) - mu


def _newton(g: dict[tuple[int, int], Tensor], gap: list[Tensor], active: Tensor) -> list[Tensor]:
    """Solve the rows and columns of symmetric 3 × 3 systems that are active; 0 elsewhere."""
    a = {
        (i, j): torch.where(active[i] & active[j], g[i, j], 1.0 if i == j else 0.0)
        for i, j in _PRODUCTS
    }
    # A Cholesky decomposition; a vanishing pivot gets a small one instead.
    l00 = a[0, 0].clamp_min(1e-30).sqrt()
    l10, l20 = a[0, 1] / l00, a[0, 2] / l00
    l11 = torch.maximum(a[1, 1] - l10 * l10, 1e-9 * a[1, 1] + 1e-30).sqrt()
    l21 = (a[1, 2] - l10 * l20) / l11
    l22 = torch.maximum(a[2, 2] - l20 * l20 - l21 * l21, 1e-9 * a[2, 2] + 1e-30).sqrt()
    y0 = gap[0] / l00
    y1 = (gap[1] - l10 * y0) / l11
    s2 = (gap[2] - l20 * y0 - l21 * y1) / (l22 * l22)
    s1 = (y1 - l21 * s2) / l11
    s0 = (y0 - l10 * s1 - l20 * s2) / l00
    return [torch.where(active[i], s, 0.0) for i, s in enumerate((s0, s1, s2))]
