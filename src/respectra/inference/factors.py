"""Spectra as weighted sums: what makes the weights, and the spectra that they weigh."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from respectra.typing import Float32Array

#: A function of pixels as the contract prepares them, (y, x, 3) -> (y, x, value).
Predictor = Callable[[Float32Array], Float32Array]
#: Methods of a network, besides its forward pass.
Output = Literal["coefficients", "uncertainty"]


@dataclass(frozen=True)
class Factors:
    """A method as coefficients of each pixel and the spectra that they weigh."""

    output: Output | Predictor
    """What gives the coefficients: a method of the network, or a function of pixels."""
    basis: Float32Array
    """Shape (component, band)."""
    mean: Float32Array | None
    """Shape (band,): what is added to the weighted sum."""
    clip: tuple[float | None, float | None]
    """Of the sum."""

    def expand(self, coefficients: Float32Array) -> Float32Array:
        """Spectra (..., band) of coefficients (..., component)."""
        spectra = coefficients.astype(np.float32, copy=False) @ self.basis
        if self.mean is not None:
            spectra += self.mean
        return spectra if self.clip == (None, None) else np.clip(spectra, *self.clip)
