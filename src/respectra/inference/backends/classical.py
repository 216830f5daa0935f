"""Fitted classical methods, in NumPy."""

from __future__ import annotations

from respectra.inference.backends.base import Backend
from respectra.methods import Weights, get_classical
from respectra.typing import Float32Array


class ClassicalBackend(Backend):
    """A fitted classical method."""

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self._method = get_classical(weights.method).from_weights(weights)

    def __call__(self, pixels: Float32Array) -> Float32Array:
        """(y, x, 3) -> (y, x, band)."""
        return self._method.predict(pixels)
