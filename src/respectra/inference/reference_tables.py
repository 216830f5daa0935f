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

#: Nodes along each chromaticity, and along the logarithm of brightness.
_CHROMA_NODES, _BRIGHTNESS_NODES = 41, 13
#: Added to brightness over that of white before its logarithm, and the largest that is told apart.
_DARKEST, _BRIGHTEST = 1.0 / 512.0, 2.0
_BLOCK = 16384


def features(values: npt.ArrayLike, white: FloatArray) -> FloatArray:
    """Chromaticity (two shares) and log2 of brightness of linear values, each shape (n, 3)."""
    shares = np.maximum(np.asarray(values, np.float64), 0.0) / white
    total = shares.sum(axis=1, keepdims=True)
    chroma = np.where(total > 0, shares / np.maximum(total, 1e-12), 1.0 / 3.0)
    return np.hstack([chroma[:, :2], np.log2(total / 3.0 + _DARKEST)])


AnyArray = TypeVar("AnyArray")


class TableArrays(NamedTuple, Generic[AnyArray]):
    """What a table is made of, on this machine or on a device."""

    white: AnyArray
    """Shape (3,)."""
    ends: AnyArray
    """Logarithms of the least and the largest brightness of the nodes."""
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
    """

    def __init__(self, white: FloatArray, bands: int, posterior: Posterior) -> None:
        chroma = np.linspace(0.0, 1.0, _CHROMA_NODES)
        low, high = np.log2(_DARKEST), np.log2(_BRIGHTEST + _DARKEST)
        brightness = np.linspace(low, high, _BRIGHTNESS_NODES)
        nodes = np.stack(np.meshgrid(chroma, chroma, brightness, indexing="ij"), axis=-1)
        logs, spread = posterior(nodes.reshape(-1, 3))
        shape = nodes.shape[:3]
        self._factors = np.exp(logs).astype(np.float32).reshape(*shape, bands)
        self._spread = spread.astype(np.float32).reshape(*shape, 1)
        self._white = white.astype(np.float32)
        self._ends = np.array([low, high], np.float32)
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
            self._white, self._ends, self._factors, self._pinned, self._left, tolerance
        )

    def multiply(self, spectra: npt.NDArray[np.float32], rgb: npt.NDArray[np.float32]) -> bool:
        """Multiply spectra (n, band) in place by the factors of their colours (n, 3).

        Returns:
            whether others than the pinned colours may have changed.
        """
        if self.unchanged:
            return False

        def work(start: int, stop: int) -> None:
            _multiply(
                spectra[start:stop],
                rgb[start:stop],
                self._white,
                self._ends,
                self._factors,
                self._pinned,
                self._left,
                self._tolerance,
            )

        for_blocks(work, len(spectra), _BLOCK)
        return not self.trivial

    def spread(self, rgb: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The share of the uncertainty that is left at colours (n, 3); shape (n,)."""
        out = np.ones((len(rgb), 1), np.float32)

        def work(start: int, stop: int) -> None:
            _multiply(
                out[start:stop],
                rgb[start:stop],
                self._white,
                self._ends,
                self._spread,
                self._pinned[:0],
                self._left[:0, :1],
                np.float32(0.0),
            )

        for_blocks(work, len(rgb), _BLOCK)
        return np.asarray(out[:, 0])


@numba.njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz", "arcp"})  # type: ignore[untyped-decorator]
def _multiply(
    spectra: Any,
    rgb: Any,
    white: Any,
    ends: Any,
    table: Any,
    pinned: Any,
    left: Any,
    tolerance: Any,
) -> None:
    pixels, bands = spectra.shape
    nodes, levels = table.shape[0], table.shape[2]
    zero, third = np.float32(0.0), np.float32(1.0 / 3.0)
    step = (levels - 1) / (ends[1] - ends[0])
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
        z = (np.log2(total * third + np.float32(1.0 / 512.0)) - ends[0]) * step
        x, y = x * (nodes - 1), y * (nodes - 1)
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
