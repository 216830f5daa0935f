"""How a network that is told of captures learns from synthetic scenes."""

from __future__ import annotations

import contextlib
import copy
import importlib.metadata
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from respectra.errors import ConfigError, DataError
from respectra.methods import Weights
from respectra.methods.network import CaptureAware, UncertainNetwork
from respectra.methods.registry import get_network
from respectra.training.hardware import Estimate
from respectra.training.module import TrainingModule
from respectra.training.recipe import AnyRecipe, ClassicalRecipe, Recipe
from respectra.training.recipe_parts import SyntheticRecipe, UncertaintyRecipe
from respectra.training.synthetic.materials import BANDS, LIGHTS, OBJECTS
from respectra.training.synthetic.scenes import Sampler, Scenes

#: Shares of a normal distribution within one and two standard deviations.
_WITHIN = (0.683, 0.954)
#: ``uncertainty`` is the mean size of the errors of a normal distribution: deviation over it.
_PER_MEAN = float(np.sqrt(np.pi / 2))
#: How the names of the layers of the uncertainty begin.
_UNCERTAINTY = "uncertainty_"
#: Bands within which the factor of an end of the spectrum fades.
END_BANDS = 2.0
#: Added to errors before a logarithm is taken.
_LEAST = 1e-5
#: Batches of scenes that the prior is estimated from, and spectra that the first basis is.
_PRIOR_BATCHES, _BASIS_SPECTRA = 80, 8000


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


class SyntheticModule(TrainingModule):
    """As :class:`TrainingModule`, each batch under a capture of its own.

    The steps that the recipe names teach the uncertainty, all others the spectra; what a step does
    not teach stays as it is.

    Args:
        recipe: how to train; its part ``synthetic`` says on what.
        sampler: of the scenes, from which the prior and the first basis are taken.
        steps: optimiser steps of the run.
        start: weights to start from.
    """

    def __init__(
        self,
        recipe: Recipe,
        sampler: Sampler,
        *,
        steps: int,
        start: Weights | None = None,
    ) -> None:
        super().__init__(recipe, steps=steps, start=start)
        self.clean = sampler.clean
        if start is None:
            begin(self.network, sampler)
        self._tell_nothing()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The sum of the losses of a step's batches.

        Raises:
            DataError: it is not finite.
        """
        teaches_uncertainty = self.recipe.synthetic.uncertainty.at(self.global_step)
        losses = []
        for scenes in batch:
            renew_buffers(self.network)
            for name in self._chosen():
                getattr(self.network, name).fill_(1.0)
            self.network.set_capture(**scenes.told)
            losses.append(
                (uncertainty_loss if teaches_uncertainty else self._error)(self.network, scenes)
            )
        self._tell_nothing()
        total = torch.stack(losses).sum()
        if not torch.isfinite(total):
            raise DataError(
                f"the loss is not finite at step {self.global_step}: the weights have diverged; "
                "lower optimizer.lr or set clip_gradient"
            )
        if not teaches_uncertainty:
            self.latest = {"loss": total.detach() / len(losses)}
        return total

    def _error(self, network: nn.Module, scenes: Scenes) -> Tensor:
        total, _ = self.loss(network(scenes.x), scenes.truth, scenes.x)
        return torch.as_tensor(total)

    def _tell_nothing(self) -> None:
        """The clean track with nothing said, as the weights are kept."""
        renew_buffers(self.network)
        self.network.set_capture(self.clean, step=0.0)
        for name, chosen in self._chosen().items():
            getattr(self.network, name).copy_(chosen)

    def _chosen(self) -> dict[str, Tensor]:
        """Buffers of the network that the recipe states: factors of each band's uncertainty, and
        what is added to all."""
        every = chosen_buffers(self.recipe.synthetic.uncertainty)
        return {name: value for name, value in every.items() if hasattr(self.network, name)}


def chosen_buffers(recipe: UncertaintyRecipe) -> dict[str, Tensor]:
    """What multiplies the network's uncertainty, and what is added, by the buffers' names."""
    return {
        "spread": spread_of(recipe.factors),
        "noisy_spread": spread_of(recipe.noisy_factors),
        "level_power": torch.tensor(recipe.level),
        "cell_share": torch.tensor(recipe.cell / _PER_MEAN),
        "answer_share": torch.tensor(recipe.answer / _PER_MEAN),
        "contrast_share": torch.tensor(recipe.contrast / _PER_MEAN),
    }


def spread_of(factors: tuple[float, float, float]) -> Tensor:
    """Factor of each band: that of all, times those of both ends, which fade within a few bands."""
    band = torch.arange(BANDS)
    overall, first, last = (torch.tensor(factor).log() for factor in factors)
    ends = first * torch.exp(-band / END_BANDS)
    ends = ends + last * torch.exp(-(BANDS - 1 - band) / END_BANDS)
    return torch.exp(overall + ends)


def synthetic_cost(module: SyntheticModule, batch: list[Scenes], device: torch.device) -> Estimate:
    """What a run will cost, measured on a step of a copy; memory without what a step keeps."""
    probe = copy.deepcopy(module).to(device)
    start = time.perf_counter()
    for scenes in batch:
        moved = Scenes(scenes.x.to(device), scenes.truth.to(device), {**scenes.told})
        moved.told["camera"] = moved.told["camera"].to(device)
        renew_buffers(probe.network)
        probe.network.set_capture(**moved.told)
        torch.autograd.backward(probe._error(probe.network, moved))
    parameters = sum(p.numel() for p in module.parameters())
    return Estimate(time.perf_counter() - start, module.steps, 16 * parameters, parameters)


def begin(network: Any, sampler: Sampler) -> None:
    """Set the camera, the prior covariance and the first basis from drawn spectra."""
    with torch.no_grad():
        camera = sampler.clean
        drawn = [
            sampler.exposed(sampler.pixels(white=False), camera) for _ in range(_PRIOR_BATCHES)
        ]
        s = torch.cat(drawn).reshape(-1, BANDS).double()
        s = s[torch.randperm(len(s), generator=sampler.g)]
        s = s / (s @ camera.double()).sum(dim=1, keepdim=True).clamp_min(1e-3)
        covariance = s.T @ s / len(s)
        covariance += 1e-4 * covariance.diagonal().mean() * torch.eye(BANDS).double()
        network.covariance.copy_(covariance)
        network.standard.copy_(camera)
        network.set_camera(camera)
        hidden = (s @ network.free.double())[:_BASIS_SPECTRA]
        _, size, basis = torch.linalg.svd(hidden, full_matrices=False)
        rank = len(network.basis_spectra)
        network.basis_spectra.copy_(basis[:rank] * size[:rank, None] / len(hidden) ** 0.5)


def uncertainty_loss(network: Any, scenes: Scenes) -> Tensor:
    """Quantile losses of the logarithm of errors over what the uncertainty says of them.

    Spectra, and all layers that they need, stay as they are.
    """
    with torch.no_grad():
        error = torch.log((network(scenes.x) - scenes.truth).abs() + _LEAST)
    with frozen(network, but=_UNCERTAINTY):
        sigma = torch.log(network.uncertainty(scenes.x) * _PER_MEAN + _LEAST)
    one, two = (quantile_loss(error - sigma - np.log(k + 1), p) for k, p in enumerate(_WITHIN))
    return one + two


def quantile_loss(excess: Tensor, share: float) -> Tensor:
    """Least where this share of the excesses lies below zero."""
    return torch.maximum(share * excess, (share - 1) * excess).mean()


@contextlib.contextmanager
def frozen(network: nn.Module, *, but: str) -> Iterator[None]:
    """Parameters take no gradient meanwhile, apart from those whose names begin so."""
    others = [p for name, p in network.named_parameters() if not name.startswith(but)]
    for parameter in others:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in others:
            parameter.requires_grad_(True)


def renew_buffers(network: nn.Module) -> None:
    """Copies of all buffers take their place: what a backward pass still needs is not written."""
    for module in network.modules():
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = buffer.clone()


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
