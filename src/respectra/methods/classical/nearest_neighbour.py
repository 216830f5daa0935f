"""Nearest neighbours: the spectra of the training pixels whose colour is nearest."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydantic import Field
from scipy.spatial import cKDTree

from respectra.config import Config
from respectra.errors import DataError
from respectra.methods.card import Decision
from respectra.methods.classical.base import Array, ClassicalCard, ClassicalMethod
from respectra.methods.classical.dictionary import unit_directions


class NearestNeighbourConfig(Config):
    """Options of nearest neighbours."""

    neighbours: int = Field(default=1, ge=1)
    """Spectra that are averaged."""
    any_exposure: bool = False
    """Compare the directions of RGB values, and scale what is found to the pixel's norm."""
    stored: int = Field(default=20_000, ge=1)
    """Training pairs kept, drawn at random from those given."""


class NearestNeighbour(ClassicalMethod[NearestNeighbourConfig]):
    """Answers with spectra that were measured, never with others (or with their mean)."""

    card = ClassicalCard(
        name="nearest-neighbour",
        title="Nearest neighbour",
        summary="The spectrum of the training pixel whose RGB is nearest. A baseline that shows "
        "how much of a score is memory.",
        reference="Cover and Hart, IEEE Trans. Information Theory 13(1), 1967",
        year=1967,
        decisions=(
            Decision.published("Euclidean distance in linear RGB", "textbook"),
            Decision.reading("one neighbour among 20 000 stored pairs"),
        ),
    )
    config = NearestNeighbourConfig

    @property
    def exposure_equivariant(self) -> bool:
        """True with ``any_exposure``."""
        return self.options.any_exposure

    def _fit(
        self, rgb: Array, spectra: Array, response: Array | None, rng: np.random.Generator
    ) -> None:
        options = self.options
        if options.any_exposure:
            rgb, norms = unit_directions(rgb)
            lit = norms[:, 0] > 0
            rgb, spectra = rgb[lit], spectra[lit] / norms[lit]
        if len(rgb) > options.stored:
            drawn = rng.choice(len(rgb), options.stored, replace=False)
            rgb, spectra = rgb[drawn], spectra[drawn]
        if len(rgb) < options.neighbours:
            raise DataError(
                f"{options.neighbours} neighbours need as many pairs that are not black; "
                f"got {len(rgb)}"
            )
        self.tensors = {"rgb": rgb.astype(np.float32), "spectra": spectra.astype(np.float32)}

    def _predictor(self) -> Callable[[Array], Array]:
        options = self.options
        spectra, count = self.tensors["spectra"], options.neighbours
        if not count <= len(self.tensors["rgb"]) == len(spectra):
            raise ValueError(f"{len(self.tensors['rgb'])} colours, {len(spectra)} spectra")
        tree = cKDTree(self.tensors["rgb"])

        def predict(rgb: Array) -> Array:
            norms = None
            if options.any_exposure:
                rgb, norms = unit_directions(rgb)
            _, near = tree.query(rgb, count)
            found = spectra[near] if count == 1 else spectra[near].mean(axis=1)
            return found if norms is None else found * norms

        return predict


METHOD = NearestNeighbour
