"""The part of a recipe that says how fast a network learns: optimiser and schedule."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from respectra.config import Config

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class OptimizerRecipe(Config):
    """Adam, or Adam with decoupled weight decay."""

    name: Literal["adam", "adamw"] = "adam"
    lr: Positive = 1e-4
    """Learning rate; the highest of the run."""
    betas: tuple[Share, Share] = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: float = Field(default=0.0, ge=0)


class ConstantSchedule(Config):
    """The learning rate stays."""

    name: Literal["constant"] = "constant"


class PolynomialSchedule(Config):
    """lr = final_lr + (lr - final_lr) (1 - t / length) ^ power."""

    name: Literal["polynomial"] = "polynomial"
    power: Positive = 1.5
    final_lr: float = Field(default=0.0, ge=0)
    length: Positive | None = None
    """In the unit of the recipe's length, and scaled with it; the whole run by default."""


class StepSchedule(Config):
    """lr is multiplied by ``factor`` each time ``every`` has passed, or at ``milestones``."""

    name: Literal["step"] = "step"
    factor: Positive = 0.5
    every: Positive | None = None
    """In the unit of the recipe's length, and scaled with it."""
    milestones: tuple[Positive, ...] = ()
    """Likewise."""
    drops: int | None = Field(default=None, ge=1)
    """How often ``every`` takes effect; until the end by default."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.every is None) == (not self.milestones):
            raise ValueError("give either every or milestones")
        return self


class CosineSchedule(Config):
    """Half a cosine from lr down to final_lr over the whole run; it never rises again."""

    name: Literal["cosine"] = "cosine"
    final_lr: float = Field(default=0.0, ge=0)


class OneCycleSchedule(Config):
    """Up from initial_lr to lr and down to final_lr along cosines; momentum the other way."""

    name: Literal["one-cycle"] = "one-cycle"
    initial_lr: Positive = 4e-6
    final_lr: Positive = 4e-10
    rise: Share = 0.3
    """Share of the run that the rise takes."""
    momentum: tuple[Share, Share] = (0.85, 0.95)
    """Lowest and highest first beta."""


Schedule = Annotated[
    ConstantSchedule | PolynomialSchedule | StepSchedule | CosineSchedule | OneCycleSchedule,
    Field(discriminator="name"),
]
