"""Regression on radial basis functions of RGB."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from pydantic import Field
from scipy.spatial.distance import cdist

from respectra.errors import DataError
from respectra.methods.card import Decision
from respectra.methods.classical.base import Array, ClassicalCard
from respectra.methods.classical.polynomial import REGRESSION_DECISIONS
from respectra.methods.classical.regression import Regression, RegressionConfig

_NGUYEN = "Nguyen, Prasad and Brown, Training-based spectral reconstruction from a single RGB, 2014"


class RBFConfig(RegressionConfig):
    """Options of the radial-basis-function network."""

    centres: int = Field(default=50, ge=1, le=50)
    """Number of centres, found by k-means."""
    kernel: Literal["gaussian", "multiquadric"] = "gaussian"
    """exp(-(d / width)**2), or sqrt(1 + (d / width)**2)."""
    width: float | None = Field(default=None, gt=0)
    """Width of the kernel in the units of the RGB values; without it, three times the mean
    distance between a centre and its nearest neighbour."""


class RBF(Regression[RBFConfig]):
    """A linear function of distances to a few centres, and a constant."""

    card = ClassicalCard(
        name="rbf",
        title="Radial basis functions (Nguyen et al.)",
        summary="A network of at most 50 radial basis functions of RGB. Smooth and accurate at "
        "the exposures and lights it was fitted on, not beyond.",
        reference=_NGUYEN,
        year=2014,
        decisions=(
            Decision.published("radial basis functions of RGB, at most 50 centres", _NGUYEN),
            Decision.reading(
                "centres by k-means, Gaussian kernel, its width from the distances between "
                "centres, a constant term, a penalty; RGB as it is, without white balance"
            ),
            *REGRESSION_DECISIONS,
        ),
    )
    config = RBFConfig

    def _learn_features(self, rgb: Array, rng: np.random.Generator) -> None:
        from sklearn.cluster import KMeans

        options = self.options
        if len(np.unique(rgb, axis=0)) < options.centres:
            raise DataError(
                f"{options.centres} centres need as many different colours; "
                "give more pairs or fewer centres"
            )
        seed = int(rng.integers(2**31))
        means = KMeans(options.centres, n_init=1, random_state=seed).fit(rgb).cluster_centers_
        width = options.width
        if width is None:
            apart = cdist(means, means) + np.diag(np.full(len(means), np.inf))
            width = 3.0 * float(apart.min(axis=1).mean()) if len(means) > 1 else float(rgb.std())
        self.tensors = {"centres": means, "width": np.array([width])}

    def _features(self) -> Callable[[Array], Array]:
        options = self.options
        centres, width = self.tensors["centres"], float(self.tensors["width"][0])
        gaussian = options.kernel == "gaussian"

        def features(rgb: Array) -> Array:
            squared = cdist(rgb, centres, "sqeuclidean") / width**2
            kernels = np.exp(-squared) if gaussian else np.sqrt(1.0 + squared)
            return np.hstack([kernels, np.ones((len(rgb), 1))])

        return features


METHOD = RBF
