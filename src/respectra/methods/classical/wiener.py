"""Wiener estimation: the linear estimate of least expected error, given the camera's noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydantic import Field

from respectra.config import Config
from respectra.errors import DataError
from respectra.methods.card import Decision
from respectra.methods.classical.base import Array, ClassicalCard, ClassicalMethod

#: Standard deviation of the rounding of 8-bit codes, in units of the full range.
_QUANTISATION = 1.0 / 255.0 / 12.0**0.5


class WienerConfig(Config):
    """Options of Wiener estimation."""

    noise: tuple[float, float, float] = (_QUANTISATION, _QUANTISATION, _QUANTISATION)
    """Standard deviation of the noise of R, G, B, in the images' units (full range 1)."""
    noise_correlation: tuple[float, float, float] = Field(default=(0.0, 0.0, 0.0))
    """Correlation of the noise between R and G, R and B, G and B, each in [-1, 1]."""
    centred: bool = False
    """Estimate departures from the mean spectrum; the estimate then depends on the exposure."""


class Wiener(ClassicalMethod[WienerConfig]):
    """s = K F' (F K F' + N)^-1 rgb, with K the second moments of the training spectra."""

    card = ClassicalCard(
        name="wiener",
        title="Wiener estimation",
        summary="The linear estimate with the least expected squared error when the camera and its "
        "noise are known. One matrix; any exposure.",
        reference="Haneishi et al., Applied Optics 39(35), 2000",
        year=2000,
        decisions=(
            Decision.published(
                "estimate from the spectra's second moments, the response, the noise", "textbook"
            ),
            Decision.reading("noise of 8-bit rounding unless told otherwise"),
        ),
    )
    config = WienerConfig
    needs_response = True

    @property
    def exposure_equivariant(self) -> bool:
        """True unless the mean spectrum is added."""
        return not self.options.centred

    def _fit(
        self, rgb: Array, spectra: Array, response: Array | None, rng: np.random.Generator
    ) -> None:
        options = self.options
        assert response is not None
        mean = spectra.mean(axis=0) if options.centred else np.zeros(spectra.shape[1])
        departures = spectra - mean
        projected = departures @ response
        cross = projected.T @ departures / len(spectra)
        signal = projected.T @ projected / len(spectra)
        total = signal + noise_covariance(options)
        if np.linalg.cond(total) > 1e12:
            raise DataError(
                "the training spectra do not span the camera's three channels; "
                "give more varied spectra or a positive noise"
            )
        matrix = np.linalg.solve(total, cross)
        self.tensors = {"matrix": matrix, "offset": mean - mean @ response @ matrix}

    def _predictor(self) -> Callable[[Array], Array]:
        matrix, offset = self.tensors["matrix"], self.tensors["offset"]
        return lambda rgb: rgb @ matrix + offset


def noise_covariance(options: WienerConfig) -> Array:
    """Covariance (3, 3) of the noise.

    Raises:
        DataError: the standard deviations and correlations form no covariance.
    """
    rg, rb, gb = options.noise_correlation
    deviation = np.array(options.noise)
    correlation = np.array([[1.0, rg, rb], [rg, 1.0, gb], [rb, gb, 1.0]])
    if not (np.isfinite(deviation).all() and (deviation >= 0).all()):
        raise DataError(f"noise holds three standard deviations >= 0; got {options.noise}")
    if not np.isfinite(correlation).all() or np.linalg.eigvalsh(correlation)[0] < -1e-12:
        raise DataError(f"{options.noise_correlation} are not correlations of three channels")
    covariance: Array = np.outer(deviation, deviation) * correlation
    return covariance


METHOD = Wiener
