"""Parts of a recipe: optimiser, schedule, and training on scenes without end."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeGuard

from pydantic import Field, model_validator

from respectra.config import Config

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
#: What is named instead of folders of cubes.
SYNTHETIC = "synthetic"
Kind = Literal["clean", "camera", "told", "observer", "white", "stranger"]


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


class UncertaintyRecipe(Config):
    """How a network's uncertainty is learned, beside its spectra.

    In some steps the layers of the uncertainty alone learn: that 68 % of errors stay below one
    deviation and 95 % below two, by the quantile losses of the errors' logarithms.
    """

    every: int = Field(default=9, ge=1)
    """One in so many steps; 1: all, so that spectra stay as they are."""
    grain: Share = 0.7
    """``SyntheticRecipe.grain`` in these steps: measured spectra are never clean."""

    factors: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)
    """Times what errors on synthetic scenes ask for: of all bands, and of the shortest and of the
    longest besides, where measured scenes differ most from one another. Chosen on measured scenes.
    """
    noisy_factors: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)
    """The same where noise is told."""
    level: float = 0.0
    """The power of a pixel's light over its scene's that these are multiplied by: the brightest
    pixels of measured scenes are known less well than those of synthetic ones. Chosen on measured
    scenes."""
    cell: float = Field(default=0.0, ge=0)
    """What the width of a code adds to the standard deviation, in such widths: measured spectra
    are themselves noisy where they are dark. Chosen on measured scenes, as the next."""
    answer: float = Field(default=0.0, ge=0)
    """What the answer itself adds where no noise is told, in shares of it: bands of measured
    spectra have errors of their gain, which no picture shows."""
    contrast: float = Field(default=0.0, ge=0)
    """What the contrast around a pixel adds where noise is told, in shares of its light: mosaics
    and JPEG blur colours where they change."""

    def at(self, step: int) -> bool:
        """Whether the uncertainty learns in this step, counted from 0."""
        return step % self.every == self.every - 1


class SyntheticRecipe(Config):
    """Scenes of measured reflectances under measured lights, seen by random cameras.

    A step has a batch of each of some kinds of pictures, and noisy patches in some steps:
    ``clean``, the recipe's track with nothing said; ``camera``, any other camera in its place;
    ``told``, any camera under a light that is told; ``observer``, the clean track's under equal
    energy that is told; ``white``, a light of which white alone is known; ``stranger``, a camera of
    which nothing is.
    """

    kinds: tuple[tuple[Kind, ...], ...] = (
        ("clean", "told", "observer"),
        ("clean", "told", "camera"),
        ("clean", "told", "white"),
        ("clean", "told", "stranger"),
    )
    """What the steps learn from, in turn."""
    lights: Literal["equal", "mostly-white", "daylight", "mixed"] = "mostly-white"
    """Lights of scenes of which nothing is said."""
    scenes: int = Field(default=16, ge=1)
    """Scenes a batch."""
    pixels: int = Field(default=96, ge=1)
    """Pixels a scene."""
    rolloff: Share = 0.25
    """Share of scenes whose camera loses light below about 430 nm, as glass and sensors do."""
    stray: Share = 0.6
    """Share of scenes with stray light and dark level as spectral cameras have them: even at the
    sensor, so that after division by its sensitivity they are highest at both ends of the range."""
    grain: Share = 0.0
    """Share of scenes whose spectra have noise and codes of their own, as measured ones have."""
    vary: float = Field(default=0.5, ge=0)
    """Strength of the variation of reflectances: mixtures, pigment strength, shifts, bends."""
    forget: Share = 0.2
    """Share of steps in which every pixel is a scene of its own."""
    exact: Share = 0.15
    """Share of batches of exact values instead of codes."""
    noisy: Share = 0.3
    """Share of steps with a batch of noisy patches."""
    layouts: int = Field(default=160, ge=1)
    """Pictures that noisy patches are cut out of."""
    uncertainty: UncertaintyRecipe = UncertaintyRecipe()


def is_synthetic(data: object) -> TypeGuard[Literal["synthetic"]]:
    """Whether synthetic scenes are asked for instead of data."""
    return data == SYNTHETIC
