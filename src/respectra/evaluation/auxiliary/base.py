"""What an auxiliary test is: a challenge that maps a scene, or a judgement of a result.

A case is one scene as one track sees it. A *challenge* shows the method another image and may
score against another truth. A *judgement* looks at what the method made of the image as it is.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras import Track
from respectra.config import Config
from respectra.errors import DataError
from respectra.evaluation import metrics
from respectra.evaluation.metrics.structure import WINDOW
from respectra.evaluation.rules import ScoringRules

T = TypeVar("T")

#: A method as scoring sees it: a function from an image to a cube.
Recover = Callable[[xr.DataArray], xr.DataArray]
Scores = Mapping[str, float]
#: What most challenges are scored by.
SHORT = ("mrae", "rmse")
#: Tests that the challenge's report has.
OFFICIAL = ("shuffle-4", "brightness-0.5", "brightness-2", "physical", "weighted")


@dataclasses.dataclass(frozen=True)
class Case:
    """One scene as one track sees it.

    Attributes:
        scene: its name, which also tells its noise apart from that of others.
        truth: the cube; None where only the image is known.
        image: what the method is given.
        track: the camera.
        seed: of the noise, and of whatever a test draws.
        rules: how to score; part of the protocol.
        valid: pixels that count, shape (y, x); None for all.
        cluster_cache: folder that keeps the clusters of a truth.
        kept: what :meth:`once` made.

    Example:
        >>> import respectra as rs
        >>> truth = rs.make_cube(np.full((8, 8, 31), 0.5), range(400, 701, 10))
        >>> track = rs.get_track("clean")
        >>> case = Case("scene", truth, track.render(truth), track)
        >>> case.need_truth() is truth
        True
    """

    scene: str
    truth: xr.DataArray | None
    image: xr.DataArray
    track: Track
    seed: int = 0
    rules: ScoringRules = dataclasses.field(default_factory=ScoringRules)
    valid: npt.NDArray[np.bool_] | None = None
    cluster_cache: Path | None = None
    kept: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What depends on the scene alone, made for the first method and kept for the others."""
        if name not in self.kept:
            self.kept[name] = make()
        found: T = self.kept[name]
        return found

    def labels(self) -> npt.NDArray[np.int32]:
        """Clusters of the truth's spectra, (y, x), which the cache keeps."""
        rules = self.rules
        return self.once(
            "labels",
            lambda: metrics.spectral_clusters(
                self.need_truth(),
                rules.clusters,
                self.seed,
                init_size=rules.cluster_init_size,
                cache=self.cluster_cache,
            ),
        )

    def need_truth(self) -> xr.DataArray:
        """The truth.

        Raises:
            DataError: there is none.
        """
        if self.truth is None:
            raise DataError(f"the scene {self.scene} has no truth to score against")
        return self.truth

    def render(self, cube: xr.DataArray) -> xr.DataArray:
        """The image of another cube, through the same track with the same noise."""
        return self.track.render(cube, seed=self.seed, key=self.scene)

    def random(self, what: str) -> np.random.Generator:
        """Random numbers that depend on the seed, the scene and the test, and on nothing else."""
        words = [self.seed, *self.scene.encode(), 0, *what.encode()]
        return np.random.default_rng(words)

    def response(self, cube: xr.DataArray) -> npt.NDArray[np.float64]:
        """The track's matrix at the bands of a cube, shape (band, 3)."""
        return self.track.response_matrix(cube["wavelength"].values)


@dataclasses.dataclass(frozen=True)
class Challenge:
    """What a method is shown instead, and how its answer is scored.

    Attributes:
        image: what the method is given.
        truth: what its answer is scored against, once restored.
        restore: puts the answer in the order of the truth.
        floor_factor: factor on the floor of relative errors, for a truth that was scaled.
        valid: pixels of the truth that count; None for all.

    Example:
        >>> import respectra as rs
        >>> image = rs.make_image(np.full((8, 8, 3), 0.5))
        >>> truth = rs.make_cube(np.full((8, 8, 31), 0.5), range(400, 701, 10))
        >>> Challenge(image=image, truth=truth).restore(truth) is truth
        True
    """

    image: xr.DataArray
    truth: xr.DataArray
    restore: Callable[[xr.DataArray], xr.DataArray] = lambda cube: cube
    floor_factor: float = 1.0
    valid: npt.NDArray[np.bool_] | None = None


class Test(Config, ABC):
    """One auxiliary test; an instance is one setting of it."""

    __test__: ClassVar[bool] = False  # pytest: not a class of tests

    needs_truth: ClassVar[bool] = True
    in_all: ClassVar[bool] = True
    """Whether it is meant when all tests are asked for."""
    source: ClassVar[str] = ""
    """Where it is defined."""
    columns: ClassVar[Mapping[str, str]] = {"mrae": "MRAE", "rmse": "RMSE"}
    """Scores it gives, with their titles; the first is the one that tables show."""

    name_form: ClassVar[str] = ""
    """The name, with options in braces: ``noise-{electrons:g}``."""
    title_form: ClassVar[str] = ""

    @property
    def name(self) -> str:
        """As on the command line and in results."""
        return self.name_form.format_map(dict(self))

    @property
    def title(self) -> str:
        """As in tables."""
        return self.title_form.format_map(dict(self))

    @property
    def official(self) -> bool:
        """Whether the challenge's report has it."""
        return self.name in OFFICIAL

    def missing(self, case: Case) -> str:
        """Why the test does not apply to a case; empty if it does."""
        return "the scene has no truth" if self.needs_truth and case.truth is None else ""

    def repeats(self, track: Track) -> bool:
        """Whether a track has this setting anyway, so that the test repeats its plain images."""
        return False


class InputTest(Test):
    """A test that shows the method another image.

    Example:
        >>> class Mirrored(InputTest):
        ...     name = property(lambda self: "mirrored")
        ...     title = property(lambda self: "Mirrored")
        ...
        ...     def challenge(self, case):
        ...         return Challenge(case.image[:, ::-1], case.need_truth()[:, ::-1])
        >>> Mirrored().columns["mrae"]
        'MRAE'
    """

    @abstractmethod
    def challenge(self, case: Case) -> Challenge:
        """What the method is shown, and what it is scored against."""

    def score(self, case: Case, recover: Recover, challenge: Challenge | None = None) -> Scores:
        """Scores of a method.

        Args:
            case: the scene.
            recover: the method.
            challenge: what :meth:`challenge` gave, where it is at hand already.
        """
        task = self.challenge(case) if challenge is None else challenge
        estimate = task.restore(recover(task.image))
        return score(
            task.truth,
            estimate,
            case,
            tuple(self.columns),
            floor_factor=task.floor_factor,
            valid=task.valid,
        )


class OutputTest(Test):
    """A test that looks at the result on the image as it is.

    Example:
        >>> class Negative(OutputTest):
        ...     name = property(lambda self: "negative")
        ...     title = property(lambda self: "Negative values")
        ...     columns: ClassVar = {"share": "share"}
        ...
        ...     def score(self, case, estimate, recover):
        ...         return {"share": float((estimate.values < 0).mean())}
        >>> Negative().name
        'negative'
    """

    @abstractmethod
    def score(self, case: Case, estimate: xr.DataArray, recover: Recover) -> Scores:
        """Scores of an estimate.

        Args:
            case: the scene.
            estimate: what the method made of the case's image.
            recover: the method, for judgements that need more than the estimate.
        """


def score(
    truth: xr.DataArray,
    estimate: xr.DataArray,
    case: Case,
    names: Sequence[str],
    *,
    floor_factor: float = 1.0,
    valid: npt.NDArray[np.bool_] | None = None,
    labels: npt.NDArray[np.int32] | None = None,
) -> dict[str, float]:
    """Scores of one estimate by a case's rules; metrics that a masked scene lacks are left out.

    Args:
        truth: the cube.
        estimate: the same shape and wavelengths.
        case: rules and camera.
        names: metrics.
        floor_factor: factor on the floor.
        valid: pixels that count, shape (y, x); None for all.
        labels: clusters of the truth's spectra, for the weighted score.
    """
    settings = metrics.MetricSettings(
        floor=case.rules.floor * floor_factor,
        on_zero=case.rules.on_zero,
        response=case.response(truth),
        rendering=metrics.Rendering(truth["wavelength"].values),
        labels=labels if labels is None or valid is None else labels[valid][None],
        clusters=case.rules.clusters,
    )
    if valid is not None and not valid.all():
        truth, estimate = _pixels(truth, valid), _pixels(estimate, valid)
    too_small = min(truth.shape[:2]) < WINDOW
    chosen = [name for name in names if not (name == "ssim" and too_small)]
    return metrics.score(truth, estimate, settings, chosen)


def _pixels(cube: xr.DataArray, valid: npt.NDArray[np.bool_]) -> xr.DataArray:
    """The pixels that count, as a cube of one row."""
    row: Any = cube.values[valid][None]
    return xr.DataArray(
        row, dims=cube.dims, coords={"wavelength": cube["wavelength"]}, attrs=cube.attrs
    )
