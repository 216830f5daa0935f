"""The network in training: what a step does, and what happens when it goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from respectra.cameras import get_track
from respectra.errors import ConfigError, DataError
from respectra.methods import Contract, Weights
from respectra.methods.network import CameraAware, StepAware
from respectra.methods.registry import get_network
from respectra.training.data import StepBatch
from respectra.training.losses import Loss
from respectra.training.recipe import Recipe, RelativeTerm
from respectra.training.schedules import make_optimizer, make_schedule

#: Images of all tracks are 8-bit codes.
_CODE_STEP = 1 / 255


#: Of a checkpoint: the length of the run that it is of.
_LENGTH = "respectra_length"


class TrainingModule(LightningModule):
    """A network with its loss, its optimiser and its schedule.

    Whatever is random within a step (dropout) is drawn from the seed and the number of the step, so
    that a step does not depend on what the process did before it.

    Args:
        recipe: how to train.
        steps: optimiser steps of the run.
        start: weights to start from, for fine-tuning; fresh ones from the seed without them.

    Raises:
        ConfigError: a term of the loss cannot be had, or the weights to start from are of another
            method or shape.
    """

    def __init__(self, recipe: Recipe, *, steps: int, start: Weights | None = None) -> None:
        super().__init__()
        self.recipe, self.steps = recipe, steps
        self.contract = recipe.contract()
        torch.manual_seed(recipe.seed)
        network = get_network(recipe.method).network(recipe.network_config())
        if start is not None:
            _start_from(start, network, recipe)
        if isinstance(network, CameraAware):
            camera = get_track(recipe.track).response_matrix(self.contract.wavelengths_nm)
            network.set_camera(torch.from_numpy(camera))
        if isinstance(network, StepAware):
            network.set_step(_CODE_STEP)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss = Loss(recipe.loss, get_track(recipe.track), self.contract)
        self.latest: dict[str, Tensor] = {}
        """The loss and its terms at the last step."""
        self.lr = recipe.optimizer.lr
        """The learning rate of the last step."""

    def forward(self, image: Tensor) -> Tensor:
        """Prepared image (n, 3, y, x) -> (n, band, y, x)."""
        spectra: Tensor = self.network(image)
        return spectra

    def on_train_batch_start(self, batch: StepBatch, batch_idx: int) -> None:
        """Seed the step."""
        self.lr = float(self.trainer.optimizers[0].param_groups[0]["lr"])
        step = (self.recipe.seed, self.global_step, self.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(step).generate_state(1)[0]))

    def training_step(self, batch: StepBatch, batch_idx: int) -> Tensor:
        """The loss of a batch.

        Raises:
            DataError: it is not finite; names the scenes and the likely cause.
        """
        prepared = prepare(batch.image, batch.bounds, self.contract)
        estimate = self(prepared).float()
        total, terms = self.loss(*_measured(estimate, batch), batch.image)
        if not torch.isfinite(total):
            raise DataError(self._explain(batch, estimate, terms))
        self.latest = {"loss": total.detach()}
        self.latest |= {name: value.detach() for name, value in terms.items()}
        return torch.as_tensor(total)

    def configure_optimizers(self) -> Any:
        """The recipe's optimiser and schedule, which advances every step."""
        optimizer = make_optimizer(self.recipe.optimizer, self.network.parameters())
        schedule = make_schedule(
            self.recipe.schedule, optimizer, steps=self.steps, length=self.recipe.length.value
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note the length that the schedule is for."""
        checkpoint[_LENGTH] = self.recipe.length.model_dump(mode="json")

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the schedule of the run's new length, as if it had been so from the start.

        The checkpoint says which length it is of: the first process of several may have replaced
        the recipe in the folder before another one looks.
        """
        if checkpoint.get(_LENGTH) == self.recipe.length.model_dump(mode="json"):
            return
        stand_in = torch.nn.Parameter(torch.zeros(1))
        optimizer = make_optimizer(self.recipe.optimizer, [stand_in])
        schedule = make_schedule(
            self.recipe.schedule, optimizer, steps=self.steps, length=self.recipe.length.value
        )
        for _ in range(int(checkpoint["global_step"])):
            optimizer.step()
            schedule.step()
        checkpoint["lr_schedulers"] = [schedule.state_dict()]
        (now,) = optimizer.param_groups
        for group in checkpoint["optimizer_states"][0]["param_groups"]:
            group.update({name: value for name, value in now.items() if name != "params"})

    def _explain(self, batch: StepBatch, estimate: Tensor, terms: Mapping[str, Tensor]) -> str:
        """Why the loss is not finite, in words."""
        broken = [name for name, value in terms.items() if not torch.isfinite(value)]
        scenes = sorted(set(batch.scenes))
        place = (
            f"the loss is not finite at step {self.global_step} "
            f"({', '.join(broken) or 'the sum'}), with patches of {', '.join(scenes)}"
        )
        for name, values in (("image", batch.image), ("cube", batch.cube)):
            bad = [
                scene
                for scene, value in zip(batch.scenes, values, strict=True)
                if not torch.isfinite(value).all()
            ]
            if bad:
                return f"{place}: the {name} of {bad[0]} holds NaN or infinite values; repair it"
        if not torch.isfinite(estimate).all():
            if all(torch.isfinite(p).all() for p in self.network.parameters()):
                return (
                    f"{place}: the network's output overflows; lower optimizer.lr, set "
                    "clip_gradient, or use precision float32"
                )
            return f"{place}: the weights have diverged; lower optimizer.lr or set clip_gradient"
        zeros = [
            scene
            for scene, value in zip(batch.scenes, batch.cube, strict=True)
            if not (value != 0).all()
        ]
        terms_of = dict(self.recipe.loss.terms())
        floors = [name for name in broken if isinstance(terms_of[name], RelativeTerm)]
        if zeros and floors:
            return (
                f"{place}: the truth of {', '.join(sorted(set(zeros)))} holds zeros, where a "
                f"relative error is infinite; set loss.{floors[0]}.floor, to 0.01 for example"
            )
        return f"{place}: a term overflows; lower its weight"


def _start_from(start: Weights, network: nn.Module, recipe: Recipe) -> None:
    """Give a network the values of weights.

    Raises:
        ConfigError: they are of another method or shape.
    """
    if start.method != recipe.method or start.baked is not None:
        what = "a table" if start.baked is not None else f"weights of {start.method}"
        raise ConfigError(
            f"a run of {recipe.method} starts from weights of {recipe.method}; got {what}"
        )
    state = {name: torch.from_numpy(np.array(value)) for name, value in start.tensors.items()}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ConfigError(
            f"the weights to start from do not fit {recipe.method} as the recipe configures it "
            f"({str(error).splitlines()[-1].strip()}); give the preset and options of the weights"
        ) from None


def _measured(estimate: Tensor, batch: StepBatch) -> tuple[Tensor, Tensor]:
    """Estimate and truth, both 1 where nothing was measured: no error and no gradient there."""
    if bool(batch.valid.all()):
        return estimate, batch.cube
    one = estimate.new_ones(())
    return torch.where(batch.valid, estimate, one), torch.where(batch.valid, batch.cube, one)


def prepare(image: Tensor, bounds: Tensor, contract: Contract) -> Tensor:
    """Scale and order a batch as ``Contract.prepare`` does an image.

    Args:
        image: (n, 3, y, x), R, G, B, linear values in [0, 1].
        bounds: (n, 2), minimum and maximum of the whole image behind each patch.
        contract: what the network expects.
    """
    if not contract.keeps_exposure:
        low, high = bounds[:, 0, None, None, None], bounds[:, 1, None, None, None]
        low = torch.zeros_like(low) if contract.scaling == "maximum" else low
        image = (image - low) / (high - low)
    elif contract.mean is not None and contract.std is not None:
        mean = image.new_tensor(contract.mean)[:, None, None]
        std = image.new_tensor(contract.std)[:, None, None]
        image = (image - mean) / std
    return image.flip(1) if contract.channel_order == "BGR" else image
