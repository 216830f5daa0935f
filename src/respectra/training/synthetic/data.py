"""Synthetic scenes as a run's data: batch t depends on the seed and on t alone."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from torch.utils.data import Dataset

from respectra.errors import ConfigError
from respectra.training.recipe import AnyRecipe, ClassicalRecipe, Recipe
from respectra.training.recipe_parts import SyntheticRecipe
from respectra.training.synthetic.materials import LIGHTS, OBJECTS
from respectra.training.synthetic.scenes import Sampler, Scenes


class SyntheticBatches(Dataset[list[Scenes]]):
    """The scenes of each step. The sampler is made when it is needed, anew in each process."""

    def __init__(self, recipe: SyntheticRecipe, seed: int) -> None:
        self.recipe, self.seed = recipe, seed
        self._sampler: Sampler | None = None

    @property
    def sampler(self) -> Sampler:
        """What draws them."""
        if self._sampler is None:
            self._sampler = Sampler(self.recipe, self.seed)
        return self._sampler

    def __getitem__(self, step: int) -> list[Scenes]:
        """The batches of an optimiser step, counted from 0."""
        return self.sampler.batches(step)

    def __getstate__(self) -> dict[str, Any]:
        """Without the sampler."""
        return {**vars(self), "_sampler": None}


def spectra_facts(recipe: SyntheticRecipe) -> dict[str, Any]:
    """What the scenes are made of, and under which licences."""
    return {
        "reflectances": [*OBJECTS, "earthlib"],
        "lights": dict(LIGHTS[recipe.lights]),
        "licence": "MIT; trained on spectra under BSD-3-Clause, Apache-2.0 and MIT licences",
        "versions": {
            name: importlib.metadata.version(name) for name in ("colour-science", "earthlib")
        },
    }


def require_synthetic(recipe: AnyRecipe, *, processes: int) -> Recipe:
    """The recipe, if it can be trained on synthetic scenes.

    Raises:
        ConfigError: the network looks at surroundings or cannot be told of captures, the loss or
            the wavelengths are not those of single pixels, or there are several processes.
    """
    from respectra.methods.network import CaptureAware, UncertainNetwork
    from respectra.methods.registry import get_network

    if isinstance(recipe, ClassicalRecipe):
        raise ConfigError(
            f"synthetic scenes are for networks that are told of captures; fit {recipe.method} on "
            "pictures: respectra data synthesize DIR, and train with --data DIR"
        )
    network = get_network(recipe.method).network(recipe.network_config())
    if not (isinstance(network, CaptureAware) and isinstance(network, UncertainNetwork)):
        raise ConfigError(
            f"synthetic scenes are pixels without a place, which {recipe.method} cannot learn "
            "from; make pictures: respectra data synthesize DIR, and train with --data DIR"
        )
    if recipe.wavelengths_nm is not None:
        raise ConfigError("synthetic scenes have the challenge's 31 bands; leave wavelengths out")
    allowed = {"mrae", "l1", "l2", "relative_l2"}
    if other := [name for name, _ in recipe.loss.terms() if name not in allowed]:
        raise ConfigError(
            f"loss.{other[0]} needs pictures of one camera; of synthetic scenes the loss has "
            f"{', '.join(sorted(allowed))}"
        )
    if recipe.length.steps is None:
        raise ConfigError("synthetic scenes have no epochs; set length.steps")
    if processes > 1:
        raise ConfigError("synthetic scenes train one process; leave processes out")
    return recipe
