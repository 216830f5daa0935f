"""Sparse coding: a learned dictionary of spectra, seen through the camera."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydantic import Field

from respectra.config import Config
from respectra.methods.card import Decision
from respectra.methods.classical.base import Array, ClassicalCard, ClassicalMethod
from respectra.methods.classical.dictionary import k_svd, matching_pursuit, unit_directions

_ARAD = "Arad and Ben-Shahar, Sparse recovery of hyperspectral signal from natural RGB images, 2016"
_SHRED = "icvl/shred, example scripts"


class SparseCodingConfig(Config):
    """Options of sparse coding."""

    atoms: int = Field(default=1000, ge=3)
    """Size of the dictionary."""
    iterations: int = Field(default=5, ge=0)
    """Rounds of K-SVD."""
    sparsity: int = Field(default=28, ge=1)
    """Atoms a spectrum may use while the dictionary is learned, and a pixel when it is coded; an
    RGB value has use for three at most."""
    samples: int = Field(default=5000, ge=3)
    """Training spectra used, drawn at random from those given."""


class SparseCoding(ClassicalMethod[SparseCodingConfig]):
    """Code a pixel with the projected dictionary; rebuild it with the spectral one."""

    card = ClassicalCard(
        name="sparse-coding",
        title="Sparse coding (Arad and Ben-Shahar)",
        summary="A dictionary of spectra learned by K-SVD; a pixel is written with at most three "
        "of its atoms as the camera sees them. Reproduces the RGB; any exposure.",
        reference=_ARAD,
        year=2016,
        decisions=(
            Decision.code("1000 atoms, 5 iterations of K-SVD, sparsity 28", _SHRED),
            Decision.code(
                "pixels coded by orthogonal matching pursuit on the projected, normalised "
                "dictionary with the same sparsity",
                _SHRED,
            ),
            Decision.reading(
                "5000 training spectra; the first dictionary drawn from them; atoms that the "
                "camera sees at less than a thousandth of the strongest are never chosen"
            ),
        ),
    )
    config = SparseCodingConfig
    needs_response = True
    exposure_equivariant = True  # atoms are chosen by the direction of the RGB value alone

    def _fit(
        self, rgb: Array, spectra: Array, response: Array | None, rng: np.random.Generator
    ) -> None:
        options = self.options
        assert response is not None
        if len(spectra) > options.samples:
            spectra = spectra[rng.choice(len(spectra), options.samples, replace=False)]
        dictionary = k_svd(spectra, options.atoms, options.sparsity, options.iterations, rng)
        projected = dictionary @ response
        norms = np.linalg.norm(projected, axis=1)
        seen = norms > 1e-3 * norms.max()
        self.tensors = {
            "projected": projected[seen] / norms[seen, None],
            "dictionary": dictionary[seen] / norms[seen, None],
        }

    def _predictor(self) -> Callable[[Array], Array]:
        options = self.options
        projected, dictionary = self.tensors["projected"], self.tensors["dictionary"]

        def predict(rgb: Array) -> Array:
            directions, norms = unit_directions(rgb)
            chosen, coefficients = matching_pursuit(projected, directions, options.sparsity)
            spectra = sum(
                (coefficients[:, k, None] * norms) * dictionary[chosen[:, k]]
                for k in range(chosen.shape[1])
            )
            return np.asarray(spectra)

        return predict


METHOD = SparseCoding
