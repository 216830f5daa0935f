"""Looked at before the first step: scenes that are too small, networks that cannot run."""

from __future__ import annotations

import copy
import warnings

import torch

from respectra.datasets.patches import Patches, SceneSource
from respectra.errors import ConfigError, RespectraError, RespectraWarning
from respectra.training.data import StepBatches
from respectra.training.module import TrainingModule, prepare
from respectra.training.recipe import Recipe
from respectra.training.source import TrainingScenes
from respectra.training.validation import tile_and_least, too_small


def leave_out_small(scenes: TrainingScenes, patches: Patches, recipe: Recipe) -> TrainingScenes:
    """The scenes without those that no patch is cut from and those that are too small to score.

    A warning names them. They are absent from the provenance of the weights.
    """
    size = patches.options.size
    skipped = {
        scenes.train[number].name: f"no patch of {size} x {size} measured pixels fits into it"
        for number in patches.unused
    }
    if scenes.validation is not None:
        skipped |= _too_small_to_score(scenes.validation, recipe)
    if not skipped:
        return scenes
    for reason in dict.fromkeys(skipped.values()):
        names = [name for name, why in skipped.items() if why == reason]
        shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
        warnings.warn(f"{len(names)} left out: {shown}; {reason}", RespectraWarning, stacklevel=3)
    return scenes.without(skipped)


def _too_small_to_score(source: SceneSource, recipe: Recipe) -> dict[str, str]:
    tile, least = tile_and_least(recipe)
    side = max(tile or 1, least)
    reason = f"it is smaller than the {side} x {side} pixels that {recipe.method} needs to validate"
    return {
        scene.name: reason
        for scene in (source[k] for k in range(len(source)))
        if too_small(scene.valid.shape, recipe.validation, tile=tile, least=least)
    }


def require_trainable(module: TrainingModule, patches: Patches, *, processes: int) -> None:
    """See that a step of this recipe can be taken at all, on a copy of the network.

    Raises:
        ConfigError: the batch cannot be shared, a patch is smaller than the network needs, or the
            network cannot be trained on a batch of this size.
    """
    recipe, size = module.recipe, patches.options.size
    if recipe.batch % processes:
        raise ConfigError(
            f"a batch of {recipe.batch} patches cannot be shared equally by {processes} "
            "processes; change batch"
        )
    _, least = tile_and_least(recipe)
    if size < least:
        raise ConfigError(
            f"{recipe.method} needs patches of at least {least} x {least} pixels; got {size}: set "
            "patches.size"
        )
    few = min(2, recipe.batch // processes)
    sample = StepBatches(patches, few)[0]
    network = copy.deepcopy(module.network)
    try:
        with torch.no_grad():
            network.train()(prepare(sample.image, sample.bounds, module.contract))
    except RespectraError:
        raise
    except (RuntimeError, ValueError, IndexError) as error:
        raise ConfigError(
            f"{recipe.method} cannot be trained on batches of {recipe.batch // processes} patches "
            f"of {size} x {size} pixels ({' '.join(str(error).split())}); set a larger "
            "patches.size or batch"
        ) from None
