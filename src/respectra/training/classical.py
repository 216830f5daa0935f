"""Fitting a classical method on the pixels of scenes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from respectra.cameras import get_track
from respectra.methods import Weights, build_classical
from respectra.methods.classical.base import ClassicalMethod
from respectra.training.recipe import ClassicalRecipe
from respectra.training.source import TrainingScenes, image_of
from respectra.training.validation import validate
from respectra.typing import Float32Array


def fit_classical(
    recipe: ClassicalRecipe, scenes: TrainingScenes, *, provenance: Mapping[str, Any]
) -> Weights:
    """Fit on measured pixels drawn from the scenes that train, and score on the others.

    Returns:
        the weights, their validation scores within.

    Raises:
        DataError: the method cannot be fitted to these pixels.
    """
    contract = recipe.contract()
    camera = get_track(recipe.track)
    rgb, spectra = draw_pixels(scenes, recipe.track, recipe.pixels, seed=recipe.seed)
    method = build_classical(recipe.method, preset=recipe.preset, **recipe.options)
    response = camera.response_matrix(contract.wavelengths_nm)
    method.fit(rgb, spectra, response=response, seed=recipe.seed)
    scores = _score(method, scenes, recipe)
    return method.to_weights(contract, {**provenance, "validation": dict(scores)})


def draw_pixels(
    scenes: TrainingScenes, track: str, count: int, *, seed: int
) -> tuple[Float32Array, Float32Array]:
    """Measured pixels, as many from each scene that trains as there are, up to an equal share.

    Returns:
        linear RGB values (n, 3) and spectra (n, band).
    """
    rng = np.random.default_rng(seed)
    share = max(1, count // len(scenes.train))
    rgb, spectra = [], []
    for number in range(len(scenes.train)):
        scene = scenes.train[number]
        places = np.flatnonzero(scene.valid)
        if places.size > share:
            places = np.sort(rng.choice(places, share, replace=False))
        rows, columns = np.unravel_index(places, scene.valid.shape)
        rgb.append(image_of(scene, track)[rows, columns])
        spectra.append(scene.cube[rows, columns].astype(np.float32))
    return np.concatenate(rgb), np.concatenate(spectra)


def _score(
    method: ClassicalMethod[Any], scenes: TrainingScenes, recipe: ClassicalRecipe
) -> Mapping[str, float]:
    if scenes.validation is None:
        return {}
    contract = recipe.contract()

    def predict(image: Float32Array, bounds: tuple[float, float]) -> Float32Array:
        return contract.finish(method.predict(image))

    return validate(predict, scenes.validation, recipe.validation, track=recipe.track)
