"""A+: anchored regressions, one matrix for each neighbourhood of colours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydantic import Field
from scipy.spatial import cKDTree

from respectra.config import Config
from respectra.errors import DataError
from respectra.methods.card import Decision
from respectra.methods.classical.base import Array, ClassicalCard, ClassicalMethod
from respectra.methods.classical.dictionary import k_svd, unit_directions

_A_PLUS = "Aeschbacher, Wu and Timofte, In defense of shallow learned spectral reconstruction, 2017"


class APlusConfig(Config):
    """Options of A+."""

    anchors: int = Field(default=1024, ge=1)
    """Number of anchors, learned by K-SVD from the spectra."""
    neighbours: int = Field(default=1024, ge=3)
    """Training pairs nearest to an anchor that its matrix is fitted on."""
    ridge: float = Field(default=0.1, gt=0)
    """Strength of the penalty of each regression, on RGB values of unit norm."""
    iterations: int = Field(default=5, ge=0)
    """Rounds of K-SVD."""
    sparsity: int = Field(default=3, ge=1)
    """Atoms a spectrum may use while the anchors are learned."""
    samples: int = Field(default=5000, ge=1)
    """Training spectra that the anchors are learned from; the regressions use all pairs."""


class APlus(ClassicalMethod[APlusConfig]):
    """The matrix of the anchor that correlates best with the pixel."""

    card = ClassicalCard(
        name="a-plus",
        title="A+ (Aeschbacher et al.)",
        summary="A ridge regression for each of 1024 anchor colours; a pixel takes that of the "
        "anchor nearest in direction. Local accuracy; any exposure.",
        reference=_A_PLUS,
        year=2017,
        decisions=(
            Decision.published(
                "anchors by K-SVD; a ridge regression from RGB to spectrum over each anchor's "
                "nearest training pairs; nearest anchor by correlation",
                _A_PLUS,
            ),
            Decision.reading(
                "1024 anchors, 1024 neighbours, strength 0.1, K-SVD with sparsity 3 on 5000 "
                "spectra in 5 iterations, pairs scaled to RGB of unit norm"
            ),
        ),
    )
    config = APlusConfig
    needs_response = True
    exposure_equivariant = True  # the anchor depends on the direction of the RGB value alone

    def _fit(
        self, rgb: Array, spectra: Array, response: Array | None, rng: np.random.Generator
    ) -> None:
        options = self.options
        assert response is not None
        directions, norms = unit_directions(rgb)
        lit = norms[:, 0] > 0
        directions, scaled = directions[lit], spectra[lit] / norms[lit]
        if len(directions) < options.neighbours:
            raise DataError(
                f"{options.neighbours} neighbours need as many pairs that are not black; "
                f"got {len(directions)}"
            )
        drawn = rng.permutation(len(scaled))[: options.samples]
        dictionary = k_svd(
            scaled[drawn], options.anchors, options.sparsity, options.iterations, rng
        )
        anchors, strengths = unit_directions(dictionary @ response)
        anchors = anchors[strengths[:, 0] > 0]
        # On the unit sphere the largest correlation is the smallest distance.
        tree = cKDTree(directions)
        matrices = np.empty((len(anchors), 3, spectra.shape[1]))
        for k, anchor in enumerate(anchors):
            _, near = tree.query(anchor, options.neighbours)
            x, s = directions[near], scaled[near]
            matrices[k] = np.linalg.solve(x.T @ x + options.ridge * np.eye(3), x.T @ s)
        self.tensors = {
            "anchors": anchors.astype(np.float32),
            "matrices": matrices.astype(np.float32),
        }

    def _predictor(self) -> Callable[[Array], Array]:
        anchors, matrices = self.tensors["anchors"], self.tensors["matrices"]
        if matrices.ndim != 3 or matrices.shape[:2] != (len(anchors), 3):
            raise ValueError(f"matrices {matrices.shape} do not go with anchors {anchors.shape}")
        tree = cKDTree(anchors)
        by_channel = [np.ascontiguousarray(matrices[:, channel]) for channel in range(3)]

        def predict(rgb: Array) -> Array:
            _, nearest = tree.query(unit_directions(rgb)[0])
            values = rgb.astype(np.float32)
            spectra: Array = values[:, :1] * by_channel[0][nearest]
            for channel in (1, 2):
                spectra += values[:, channel : channel + 1] * by_channel[channel][nearest]
            return spectra

        return predict


METHOD = APlus
