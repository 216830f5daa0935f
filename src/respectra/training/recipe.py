"""The recipe: everything that decides how a method is trained, as validated values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from respectra.config import Config
from respectra.cubes import Quantity
from respectra.datasets.patches import (
    PatchChoices,
    PatchOptions,
    RenderChoices,
    RenderOptions,
    Symmetries,
)
from respectra.training.recipe_parts import (
    ConstantSchedule,
    OptimizerRecipe,
    Positive,
    Schedule,
    Share,
    SyntheticRecipe,
)

if TYPE_CHECKING:
    from respectra.methods import Contract

Grid = tuple[float, ...]


class DataRecipe(Config):
    """Which scenes train and which validate."""

    split: Literal["auto", "official", "scene"] = "auto"
    """``official``: the published split of the layout. ``scene``: at random by physical scene.
    ``auto``: official where there is one."""
    train_scenes: tuple[str, ...] = ()
    """Names; all that do not validate when empty."""
    validation_scenes: tuple[str, ...] = ()
    """Names; chosen by ``split`` when neither these nor those that train are named."""
    validation_share: Share = 0.1
    """Share of the physical scenes that validate, for a split by scene."""
    key: str | None = None
    """Name of the variable that is the cube, where files hold several."""
    axes: str | None = None
    """The axes of the files' arrays, such as ``band,y,x``, where they do not say."""
    quantity: Quantity | None = None
    """What the values are, where the files do not say or are wrong."""


class PatchRecipe(PatchChoices):
    """What is cut out of the scenes. Nothing is varied unless the recipe says so."""

    least_valid: Share = 0.5
    """Patches of which a smaller share was measured are passed over; pixels that were not measured
    take no part in the loss."""
    render: RenderChoices | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.sampling == "random" and self.stride is not None:
            raise ValueError("stride belongs to sampling: strided")
        if self.sampling == "strided" and self.per_scene != 1:
            raise ValueError("per_scene belongs to sampling: random")
        return self

    def options(self, track: str) -> PatchOptions:
        """As the patches of a track's images are asked for."""
        values = self.model_dump(exclude={"render"})
        if self.render is not None:
            values["render"] = RenderOptions(track=track, **self.render.model_dump())
        return PatchOptions(track=track, **values)


class Term(Config):
    """A term of the loss."""

    weight: Positive = 1.0


class RelativeTerm(Term):
    """A term that divides by the truth."""

    floor: float = Field(default=0.0, ge=0)
    """Smallest denominator, in the unit of the cubes. Official scores have none, but a zero in the
    truth then makes the loss infinite."""


class CameraTerm(Term):
    """AWAN's term: L1 between the image and the camera's rendering of the estimate."""

    gradient: Literal["none", "straight-through"] = "straight-through"
    """``none``: as released, where the cast to bytes lets no gradient through and signals are
    divided by 255. ``straight-through``: as intended, through the track's own scale, the
    quantisation counting as the identity in the backward pass."""


class SimilarityTerm(Term):
    """1 - SSIM by band: Gaussian window of 11 pixels, sigma 1.5, data range 1."""


class FeatureTerm(Term):
    """Pixxel's term: L1 of VGG-16 (batch norm) features and of their Gram matrices."""

    weights_file: str
    """A state dict of VGG-16 with batch norm trained on ImageNet, which the user supplies."""
    layers: tuple[Positive, Positive, Positive] = (3.0, 9.0, 2.0)
    """Weight of the features before the third, fourth and fifth pooling."""
    gram: float = Field(default=5000.0, ge=0)
    """Weight of the Gram matrices, times the square of the layer's."""


class LossRecipe(Config):
    """A weighted sum; a term that is None takes no part."""

    mrae: RelativeTerm | None = None
    """Mean relative absolute error."""
    l1: Term | None = None
    l2: Term | None = None
    """Mean squared error."""
    relative_l2: RelativeTerm | None = None
    """Mean squared relative error."""
    ssim: SimilarityTerm | None = None
    laplacian: Term | None = None
    """L1 between the Laplacians over space of each band."""
    camera: CameraTerm | None = None
    physical: RelativeTerm | None = None
    """Relative error of the camera's signals: physical consistency."""
    feature: FeatureTerm | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not any(True for _ in self.terms()):
            raise ValueError(f"name at least one term of {', '.join(type(self).model_fields)}")
        return self

    def terms(self) -> Iterator[tuple[str, Term]]:
        """The terms that take part, by name."""
        for name in type(self).model_fields:
            if (term := getattr(self, name)) is not None:
                yield name, term


class Length(Config):
    """How long a run is: epochs or optimiser steps."""

    epochs: Positive | None = None
    steps: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps")
        return self

    @property
    def value(self) -> float:
        """The number, in whichever unit it was given."""
        return float(self.epochs if self.epochs is not None else self.steps or 0)

    def in_steps(self, steps_per_epoch: float) -> int:
        """Optimiser steps of the run."""
        if self.steps is not None:
            return self.steps
        return max(1, round(self.value * steps_per_epoch))


class ValidationRecipe(Config):
    """How the run is watched; none of it changes what is learned."""

    every: int | None = Field(default=None, ge=1)
    """Steps between validations; a twentieth of the run by default."""
    side: int | None = Field(default=256, ge=8)
    """The centre of this many rows and columns of each scene is scored; None for all of it."""
    floor: float = Field(default=0.0, ge=0)
    """Smallest denominator of the MRAE; at 0, values whose truth is zero are left out."""


class InputRecipe(Config):
    """What the network is fed and what happens to its output: these fields of the contract."""

    channel_order: Literal["RGB", "BGR"] = "RGB"
    scaling: Literal["unit", "min-max", "maximum", "standardised"] = "unit"
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    clip_low: float | None = None
    clip_high: float | None = None


class EnsembleRecipe(Config):
    """How the team averaged results at inference; nothing that training does."""

    self_ensemble: Symmetries = "none"
    members: tuple[str, ...] = ()
    """The models that were averaged, in words."""
    combine: Literal["mean", "weighted", "median"] = "mean"
    weights: tuple[Positive, ...] = ()


class CommonRecipe(Config):
    """What recipes of networks and of classical methods have in common."""

    name: str
    """METHOD-TRACK."""
    method: str
    """Name in the registry."""
    preset: str = "published"
    options: Mapping[str, Any] = Field(default_factory=dict)
    """Options of the method that differ from the preset's."""
    track: str = "clean"
    wavelengths_nm: Grid | None = None
    """Bands of the cubes in nm; scenes are resampled to them. The challenge's 31 by default. A
    network gets as many bands."""
    data: DataRecipe = DataRecipe()
    validation: ValidationRecipe = ValidationRecipe()
    seed: int = Field(default=0, ge=0)


class Recipe(CommonRecipe):
    """How a network is trained. The defaults are ours; each recipe file states its team's.

    Raises:
        ConfigError: a name or a value that is not allowed.

    Example:
        >>> import respectra as rs
        >>> recipe = rs.training.load_recipe("awan-clean")
        >>> recipe.method, recipe.track, recipe.batch
        ('awan', 'clean', 32)
    """

    source: str = ""
    """Where the values come from."""
    entered: bool = True
    """Whether those who made the method trained it for this track."""
    input: InputRecipe = InputRecipe()
    patches: PatchRecipe = PatchRecipe()
    synthetic: SyntheticRecipe = SyntheticRecipe()
    """Of scenes without end, for ``--data synthetic``; otherwise without effect."""
    batch: int = Field(default=16, ge=1)
    """Patches of an optimiser step, over all processes together."""
    optimizer: OptimizerRecipe = OptimizerRecipe()
    schedule: Schedule = ConstantSchedule()
    loss: LossRecipe = LossRecipe(mrae=RelativeTerm())
    length: Length = Length(epochs=100)
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    """Mixed precision is used where the hardware has it, and float32 elsewhere."""
    clip_gradient: Positive | None = None
    """Largest norm of the gradient."""
    ensemble: EnsembleRecipe = EnsembleRecipe()
    undisclosed: tuple[str, ...] = ()
    """Fields whose values nobody published: our choice."""
    departures: tuple[str, ...] = ()
    """Where this differs from what the team did, and why."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        from respectra.methods import get_network

        get_network(self.method)
        bands = getattr(self.network_config(), "bands", None)
        wanted = len(self.contract().wavelengths_nm)
        if bands != wanted:
            raise ValueError(
                f"the network has {bands} bands and the cubes {wanted}; set wavelengths_nm to the "
                "wavelengths of the bands, and leave options.bands out"
            )
        stretched = self.input.scaling in ("min-max", "maximum")
        if stretched and (self.patches.exposure or self.patches.render):
            raise ValueError(
                f"scaling {self.input.scaling!r} stretches by the bounds of a scene's own image; "
                "it does not go with patches.exposure or patches.render"
            )
        for path in self.undisclosed:
            _check_path(self, path)
        return self

    def network_config(self) -> Config:
        """The configuration of the network: preset and options, with a band a wavelength."""
        from respectra.methods import configure

        options = dict(self.options)
        if self.wavelengths_nm is not None:
            options.setdefault("bands", len(self.wavelengths_nm))
        return configure(self.method, preset=self.preset, **options)

    def contract(self) -> Contract:
        """What the weights will expect and give."""
        return _contract(self.track, self.wavelengths_nm, self.input.model_dump())


class ClassicalRecipe(CommonRecipe):
    """How a classical method is fitted to the pixels of a collection.

    Raises:
        ConfigError: a name or a value that is not allowed.

    Example:
        >>> ClassicalRecipe(name="mine", method="wiener").pixels
        200000
    """

    pixels: int = Field(default=200_000, ge=100)
    """Pixels drawn from the scenes that train, as many from each."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        from respectra.methods import build_classical

        build_classical(self.method, preset=self.preset, **self.options)
        self.contract()
        return self

    def contract(self) -> Contract:
        """What the weights will expect and give."""
        return _contract(self.track, self.wavelengths_nm, {"clip_low": 0.0})


AnyRecipe = Recipe | ClassicalRecipe


def _contract(track: str, grid: Grid | None, values: Mapping[str, Any]) -> Contract:
    from respectra.cameras import get_track
    from respectra.methods import Contract, ResponseRecord

    response = ResponseRecord.of(get_track(track).response)
    bands: dict[str, Any] = {} if grid is None else {"wavelengths_nm": grid}
    return Contract(track=track, response=response, **bands, **values)


def _check_path(recipe: Config, path: str) -> None:
    """Refuse a dotted path that names no field."""
    value: Any = recipe
    for part in path.split("."):
        if not isinstance(value, Config) or part not in type(value).model_fields:
            raise ValueError(f"{path!r} is no field of the recipe")
        value = getattr(value, part)
