"""A correction as a table over chromaticity and brightness, compiled: a few operations a pixel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import numba
import numpy as np
import numpy.typing as npt

from respectra.notices import watch_compiler
from respectra.threads import for_blocks
from respectra.typing import FloatArray

watch_compiler()

Posterior = Callable[[FloatArray], tuple[FloatArray, FloatArray]]
#: Places of a table's nodes along both chromaticities and the logarithm of brightness.
Axes = tuple[FloatArray, FloatArray, FloatArray]

#: Nodes along each chromaticity, and along the logarithm of brightness.
_CHROMA_NODES, _BRIGHTNESS_NODES = 41, 13
#: Added to brightness over that of white before its logarithm, and the largest that is told apart.
_DARKEST, _BRIGHTEST = 1.0 / 512.0, 2.0
#: Lengths of chromaticity from the references to the ends of a table.
_REACH = 3.0
_BLOCK = 16384


def features(values: npt.ArrayLike, white: FloatArray) -> FloatArray:
    """Chromaticity (two shares) and log2 of brightness of linear values, each shape (n, 3)."""
    shares = np.maximum(np.asarray(values, np.float64), 0.0) / white
    total = shares.sum(axis=1, keepdims=True)
    chroma = np.where(total > 0, shares / np.maximum(total, 1e-12), 1.0 / 3.0)
    return np.hstack([chroma[:, :2], np.log2(total / 3.0 + _DARKEST)])


def axes(points: FloatArray, chroma: float) -> Axes:
    """Chromaticities and logarithms of brightness of a table's nodes.

    They reach as far as the process changes, whose length of chromaticity is given: it is even
    three lengths away from the features of all references, (n, 3).
    """
    low = np.maximum(points[:, :2].min(axis=0) - _REACH * chroma, 0.0)
    high = np.minimum(points[:, :2].max(axis=0) + _REACH * chroma, 1.0)
    first, second = (np.linspace(low[i], high[i], _CHROMA_NODES) for i in (0, 1))
    ends = np.log2(_DARKEST), np.log2(_BRIGHTEST + _DARKEST)
    return first, second, np.linspace(*ends, _BRIGHTNESS_NODES)


def corners(points: FloatArray, at: Axes) -> tuple[FloatArray, FloatArray]:
    """Nodes (n, 8, 3) around features (n, 3), and their weights (n, 8), which sum to one.

    A table with nodes on these axes interpolates between them so.
    """
    nodes, weights = np.empty((len(points), 8, 3)), np.ones((len(points), 8))
    which = np.arange(8)
    for axis, places in enumerate(at):
        place = (points[:, axis] - places[0]) / (places[1] - places[0])
        place = np.clip(place, 0.0, len(places) - 1)
        first = np.minimum(place.astype(int), len(places) - 2)
        beyond = (place - first)[:, None]
        side = (which >> (2 - axis)) & 1
        nodes[:, :, axis] = places[first[:, None] + side]
        weights *= np.where(side, beyond, 1.0 - beyond)
    return nodes, weights


AnyArray = TypeVar("AnyArray")


class TableArrays(NamedTuple, Generic[AnyArray]):
    """What a table is made of, on this machine or on a device."""

    white: AnyArray
    """Shape (3,)."""
    starts: AnyArray
    """Shape (3,): the first node along both chromaticities and the logarithm of brightness."""
    steps: AnyArray
    """Shape (3,): nodes for each unit of these."""
    factors: AnyArray
    """Shape (node, node, level, band)."""
    pinned: AnyArray
    """Shape (n, 3), sorted by R."""
    left: AnyArray
    """Shape (n, band): factors of pinned colours."""
    tolerance: AnyArray
    """By how much pinned colours may differ from a pixel's."""


class FactorTable:
    """Factors for each band, and the share of uncertainty that is left, by colour.

    Args:
        white: shape (3,), R, G, B of a perfect white.
        bands: of the spectra.
        posterior: from features (n, 3) to logarithms of the factors (n, band) and shares (n,).
        at: the nodes' axes.
    """

    def __init__(self, white: FloatArray, bands: int, posterior: Posterior, at: Axes) -> None:
        nodes = np.stack(np.meshgrid(*at, indexing="ij"), axis=-1)
        logs, spread = posterior(nodes.reshape(-1, 3))
        shape = nodes.shape[:3]
        self._factors = np.exp(logs).astype(np.float32).reshape(*shape, bands)
        self._spread = spread.astype(np.float32).reshape(*shape, 1)
        self._white = white.astype(np.float32)
        self._starts = np.array([places[0] for places in at], np.float32)
        self._steps = np.array([1.0 / (places[1] - places[0]) for places in at], np.float32)
        self.trivial = bool((logs == 0).all())
        self._tolerance = np.float32(0.0)
        self._pinned = np.zeros((0, 3), np.float32)
        self._left = np.ones((0, bands), np.float32)

    def pin(self, values: FloatArray, logs: FloatArray, tolerance: float) -> None:
        """Make the factors of these very colours these ones, whatever the table says.

        Colours that are the same within the tolerance get their mean.
        """
        order = np.lexsort(values.T[::-1])
        values, logs = values[order], logs[order]
        groups = np.cumsum(np.r_[False, (np.abs(np.diff(values, axis=0)) > tolerance).any(axis=1)])
        count = int(groups[-1]) + 1 if len(groups) else 0
        self._pinned = np.stack([values[groups == g][0] for g in range(count)]).astype(np.float32)
        means = np.stack([logs[groups == g].mean(axis=0) for g in range(count)])
        self._left = np.exp(means).astype(np.float32)
        self._tolerance = np.float32(tolerance)

    @property
    def unchanged(self) -> bool:
        """Whether every factor is one."""
        return self.trivial and bool((self._left == 1.0).all())

    @property
    def arrays(self) -> TableArrays[npt.NDArray[np.float32]]:
        """What it is made of."""
        tolerance = np.asarray(self._tolerance, np.float32)
        return TableArrays(
            self._white,
            self._starts,
            self._steps,
            self._factors,
            self._pinned,
            self._left,
            tolerance,
        )

    def multiply(self, spectra: npt.NDArray[np.float32], rgb: npt.NDArray[np.float32]) -> bool:
        """Multiply spectra (n, band) in place by the factors of their colours (n, 3).

        Returns:
            whether others than the pinned colours may have changed.
        """
        if self.unchanged:
            return False
        self._apply(spectra, rgb, self._factors, self._left)
        return not self.trivial

    def spread(self, rgb: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The share of the uncertainty that is left at colours (n, 3); shape (n,)."""
        out = np.ones((len(rgb), 1), np.float32)
        self._apply(out, rgb, self._spread, self._left[:0, :1])
        return np.asarray(out[:, 0])

    def _apply(
        self,
        values: npt.NDArray[np.float32],
        rgb: npt.NDArray[np.float32],
        table: npt.NDArray[np.float32],
        left: npt.NDArray[np.float32],
    ) -> None:
        """Multiply values (n, band) in place by a table's; by ``left`` where colours are pinned."""
        steps = self._white, self._starts, self._steps, table, self._pinned[: len(left)], left

        def work(start: int, stop: int) -> None:
            _multiply(values[start:stop], rgb[start:stop], *steps, self._tolerance)

        for_blocks(work, len(values), _BLOCK)


@numba.njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz", "arcp"})  # type: ignore[untyped-decorator]
def _multiply(
    spectra: Any,
    rgb: Any,
    white: Any,
    starts: Any,
    steps: Any,
    table: Any,
    pinned: Any,
    left: Any,
    tolerance: Any,
) -> None:
    pixels, bands = spectra.shape
    nodes, levels = table.shape[0], table.shape[2]
    zero, third = np.float32(0.0), np.float32(1.0 / 3.0)
    most = np.float32(nodes - 1)
    factor = np.empty(bands, np.float32)
    for p in range(pixels):
        hit = -1
        # The pinned colours are sorted by R.
        first, last = 0, pinned.shape[0]
        lowest = rgb[p, 0] - tolerance
        while first < last:
            middle = (first + last) // 2
            if pinned[middle, 0] < lowest:
                first = middle + 1
            else:
                last = middle
        while first < pinned.shape[0] and pinned[first, 0] <= rgb[p, 0] + tolerance:
            if (
                abs(pinned[first, 1] - rgb[p, 1]) <= tolerance
                and abs(pinned[first, 2] - rgb[p, 2]) <= tolerance
            ):
                hit = first
                break
            first += 1
        if hit >= 0:
            for b in range(bands):
                spectra[p, b] *= left[hit, b]
            continue
        r = max(rgb[p, 0], zero) / white[0]
        g = max(rgb[p, 1], zero) / white[1]
        total = r + g + max(rgb[p, 2], zero) / white[2]
        x = r / total if total > zero else third
        y = g / total if total > zero else third
        z = (np.log2(total * third + np.float32(1.0 / 512.0)) - starts[2]) * steps[2]
        x = min(max((x - starts[0]) * steps[0], zero), most)
        y = min(max((y - starts[1]) * steps[1], zero), most)
        i, j = min(int(x), nodes - 2), min(int(y), nodes - 2)
        k = min(max(int(z), 0), levels - 2)
        u, v = np.float32(x - i), np.float32(y - j)
        w = np.float32(min(max(z - k, 0.0), 1.0))
        for b in range(bands):
            factor[b] = zero
        for corner in range(8):
            di, dj, dk = corner >> 2, (corner >> 1) & 1, corner & 1
            share = (u if di else 1 - u) * (v if dj else 1 - v) * (w if dk else 1 - w)
            share = np.float32(share)
            for b in range(bands):
                factor[b] += share * table[i + di, j + dj, k + dk, b]
        for b in range(bands):
            spectra[p, b] *= factor[b]
