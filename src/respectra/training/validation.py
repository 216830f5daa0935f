"""Scoring on scenes that are not trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from respectra.datasets.patches import SceneSource
from respectra.methods import Contract, Tiling, get_card
from respectra.training.losses import relative_error
from respectra.training.module import prepare
from respectra.training.recipe import Recipe, ValidationRecipe
from respectra.training.source import image_of
from respectra.typing import Float32Array

#: The score by which the best weights are chosen; lower is better.
SELECTED_BY = "mrae"
#: Image (y, x, 3) and the bounds of the whole scene's image -> spectra (y, x, band).
Predict = Callable[[Float32Array, tuple[float, float]], Float32Array]


def validate(
    predict: Predict,
    scenes: SceneSource,
    recipe: ValidationRecipe,
    *,
    track: str,
    tile: int | None = None,
    least: int = 1,
) -> Mapping[str, float]:
    """MRAE and RMSE over the centres of scenes: of each scene, then averaged.

    Only measured pixels count. Where the recipe's floor is 0, values whose truth is zero do not.

    Args:
        predict: what is scored.
        scenes: those that are :func:`too_small` are passed over.
        recipe: how much of each scene, and the floor.
        track: whose images are given to ``predict``.
        tile: the centre is a whole number of tiles of this side.
        least: rows and columns that the method needs.

    Returns:
        ``mrae`` and ``rmse``; nothing when there is no scene to score.
    """
    scores: list[tuple[float, float]] = []
    for number in range(len(scenes)):
        scene = scenes[number]
        if too_small(scene.valid.shape, recipe, tile=tile, least=least):
            continue
        rows, columns = (_centre(size, recipe.side, tile) for size in scene.valid.shape)
        valid = scene.valid[rows, columns]
        if not valid.any():
            continue
        image = image_of(scene, track)
        bounds = float(image.min()), float(image.max())
        estimate = predict(image[rows, columns], bounds)[valid].astype(np.float64)
        truth = scene.cube[rows, columns][valid].astype(np.float64)
        scores.append(_score(torch.from_numpy(estimate), torch.from_numpy(truth), recipe.floor))
    if not scores:
        return {}
    means = np.mean(np.array(scores), axis=0)
    return {"mrae": float(means[0]), "rmse": float(means[1])}


def tile_and_least(recipe: Recipe) -> tuple[int | None, int]:
    """The only tile that a network takes, if it has one, and the rows and columns that it needs."""
    card = get_card(recipe.method)
    return card.native_tile if card.tiling is Tiling.NATIVE else None, card.size_minimum


def too_small(
    shape: tuple[int, ...], recipe: ValidationRecipe, *, tile: int | None, least: int
) -> bool:
    """Whether a scene of this many rows and columns cannot be scored: see :func:`validate`."""
    centres = [_centre(size, recipe.side, tile) for size in shape]
    shortest: int = min(part.stop - part.start for part in centres)
    return shortest < max(least, 1)


def network_predictor(
    network: nn.Module, contract: Contract, *, tile: int | None, device: torch.device
) -> Predict:
    """A network as it will be used: in evaluation mode, on its own tiles, with its own clip."""

    def predict(image: Float32Array, bounds: tuple[float, float]) -> Float32Array:
        was_training = network.training
        network.eval()
        with torch.no_grad():
            pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
            prepared = prepare(pixels, torch.tensor([bounds]), contract).to(device)
            estimate = _run(network, prepared, tile)
            spectra: Float32Array = estimate[0].permute(1, 2, 0).float().cpu().numpy()
        network.train(was_training)
        return contract.finish(spectra)

    return predict


def _run(network: nn.Module, image: Tensor, tile: int | None) -> Tensor:
    if tile is None:
        return torch.as_tensor(network(image))
    bands = [
        torch.cat([network(piece) for piece in torch.split(row, tile, dim=3)], dim=3)
        for row in torch.split(image, tile, dim=2)
    ]
    return torch.cat(bands, dim=2)


def _score(estimate: Tensor, truth: Tensor, floor: float) -> tuple[float, float]:
    relative = relative_error(estimate, truth, floor)
    if floor == 0:
        relative = relative[truth != 0]
    return float(relative.mean()), float((estimate - truth).square().mean().sqrt())


def _centre(size: int, side: int | None, tile: int | None) -> slice:
    length = size if side is None else min(size, side)
    if tile is not None:
        length -= length % tile
    start = (size - length) // 2
    return slice(start, start + length)
