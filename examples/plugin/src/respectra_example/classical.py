"""A classical method: a least-squares fit on R, G, B and their geometric means."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from respectra.methods.card import Card, Decision, Tiling
from respectra.methods.classical.base import PER_PIXEL, Array, ClassicalMethod


class Ratios(ClassicalMethod):
    """R, G, B, and the square roots of their products."""

    card = Card(
        name="ratios",
        title="Ratios",
        kind="classical",
        summary="Least squares on R, G, B and the square roots of their products; any exposure.",
        reference="Respectra, examples/plugin",
        year=2026,
        decisions=(Decision.reading("the six terms"),),
        tiling=Tiling.EXACT,
        tiling_reason=PER_PIXEL,
        exports_onnx=False,
    )

    @property
    def exposure_equivariant(self) -> bool:
        """True: k times the light gives k times every term."""
        return True

    def _fit(
        self, rgb: Array, spectra: Array, response: Array | None, rng: np.random.Generator
    ) -> None:
        self.tensors = {"matrix": np.linalg.lstsq(_terms(rgb), spectra, rcond=None)[0]}

    def _predictor(self) -> Callable[[Array], Array]:
        matrix = self.tensors["matrix"].astype(np.float64)
        return lambda rgb: _terms(rgb) @ matrix


def _terms(rgb: Array) -> Array:
    """(n, 3) -> (n, 6)."""
    r, g, b = np.maximum(rgb, 0.0).T
    return np.stack([*rgb.T, np.sqrt(r * g), np.sqrt(g * b), np.sqrt(b * r)], axis=1)
