"""The metamer in the span of three principal components."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from respectra.config import Config
from respectra.errors import DataError
from respectra.methods.card import Decision
from respectra.methods.classical.base import Array, ClassicalCard, ClassicalMethod


class PCAConfig(Config):
    """Options of the principal-component metamer."""

    centred: bool = False
    """Add the mean spectrum to the basis's combinations; the estimate then depends on exposure."""


class PCA(ClassicalMethod[PCAConfig]):
    """s = B (F'B)^-1 rgb: the one combination of three basis spectra that has this RGB."""

    card = ClassicalCard(
        name="pca",
        title="Principal-component metamer",
        summary="Three basis spectra, combined so that the camera sees exactly the given RGB. "
        "Physically consistent by construction.",
        reference="Maloney and Wandell, J. Opt. Soc. Am. A 3(1), 1986",
        year=1986,
        decisions=(
            Decision.published(
                "three basis spectra and the inverse of their projection",
                "Maloney and Wandell 1986",
            ),
            Decision.reading(
                "basis from the second moments of the training spectra, mean not removed"
            ),
        ),
    )
    config = PCAConfig
    needs_response = True

    @property
    def exposure_equivariant(self) -> bool:
        """True unless the mean spectrum is added."""
        return not self.options.centred

    def _fit(
        self, rgb: Array, spectra: Array, response: Array | None, rng: np.random.Generator
    ) -> None:
        assert response is not None
        mean = spectra.mean(axis=0) if self.options.centred else np.zeros(spectra.shape[1])
        departures = spectra - mean
        values, vectors = np.linalg.eigh(departures.T @ departures)
        basis = vectors[:, ::-1][:, :3]
        seen = response.T @ basis
        spanned = int((values > 1e-12 * values[-1]).sum())
        if spanned < 3 or np.linalg.cond(seen) > 1e6:
            raise DataError(
                "three principal components do not determine this camera's RGB; "
                "give more varied training spectra"
            )
        matrix = np.linalg.solve(seen.T, basis.T)
        self.tensors = {
            "matrix": matrix,
            "offset": mean - mean @ response @ matrix,
            "basis": basis,
        }

    def _predictor(self) -> Callable[[Array], Array]:
        matrix, offset = self.tensors["matrix"], self.tensors["offset"]
        return lambda rgb: rgb @ matrix + offset


METHOD = PCA
