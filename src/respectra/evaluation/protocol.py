"""The protocol: all that a score depends on besides the method, written beside the result."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

import respectra
from respectra.cameras import list_tracks
from respectra.cameras.tracks import has_no_noise
from respectra.config import Config
from respectra.errors import ConfigError, unknown_name
from respectra.evaluation.auxiliary import select_tests
from respectra.evaluation.rules import ScoringRules, distinct

#: Version of the stored protocol; raised when its meaning changes.
FORMAT = 1
#: Rows and columns that the 2022 challenge left out on each side.
BORDER_2022 = 128
#: Rules that hold for every evaluation, in words, kept with each result.
STATEMENTS: Mapping[str, str] = {
    "images": "the file beside the cube where there is one, otherwise rendered by the track with "
    "the scene's name as the key of its noise",
    "sizes": "a last odd row or column is left out, for the mosaic has even sizes",
    "shuffle": "blocks from the top left; rows and columns that fill no block are left out",
    "brightness": "truth scaled, image made anew by the track; the floor is scaled as well",
    "weighted": "mini-batch k-means on unit spectra of the truth, batch a tenth, five starts",
    "cameras": "each balanced: an equal-energy white gives what the track's own gives it",
    "totals": "mean over scenes and seeds, each counting the same",
    "no-data": "a spectrum that at least 1 % of the pixels share exactly, zero in some band",
}


class EvaluationOptions(ScoringRules):
    """What to score, and how.

    Example:
        >>> EvaluationOptions(tracks=("clean",), floor=0.01).floor
        0.01
    """

    tracks: tuple[str, ...] = ("clean",)
    seeds: tuple[int, ...] = (0,)
    """Seeds of the noise; a track without noise uses the first alone."""
    tests: tuple[str, ...] = ()
    """Names of auxiliary tests; see ``respectra.evaluation.auxiliary.select_tests``."""
    crop: Literal["none", "ntire-2022"] = "none"
    """``none``: whole images, as in 2020. ``ntire-2022``: without 128 pixels on each side."""
    wavelengths_nm: tuple[float, ...] | None = None
    """Bands at which scenes are scored, nm; None for those that they have."""
    mask: Literal["none", "no-data"] = "no-data"
    """Whether pixels without data are left out; the rule stands in the protocol."""

    @field_validator("tracks")
    @classmethod
    def _known_tracks(cls, tracks: tuple[str, ...]) -> tuple[str, ...]:
        for track in tracks:
            if track not in list_tracks():
                raise unknown_name("track", track, list_tracks())
        return distinct("tracks", tracks)

    @field_validator("tests")
    @classmethod
    def _known_tests(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(test.name for test in select_tests(names))

    @field_validator("seeds")
    @classmethod
    def _good_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if any(seed < 0 for seed in seeds):
            raise ValueError("seeds are non-negative integers")
        return distinct("seeds", seeds)

    def seeds_of(self, track: str) -> tuple[int, ...]:
        """Seeds that a track uses: one where there is no noise."""
        return self.seeds[:1] if has_no_noise(track) else self.seeds


class SceneRecord(Config):
    """A scene as it was scored."""

    name: str
    role: Literal["main", "out-of-scope"] = "main"
    truth: str | None
    """SHA-256 of the cube's files; None where there is no truth."""
    images: dict[str, str] = Field(default_factory=dict)
    """Track -> SHA-256 of the image file."""
    opened: dict[str, str] = Field(default_factory=dict)
    """Key, axes and quantity of the cube, where they were given and not taken from the file."""


class Protocol(Config):
    """Options, data and versions: all that somebody needs to reproduce a result.

    Example:
        >>> options = EvaluationOptions()
        >>> Protocol(options=options, collections={"main": "mine"}, scenes=()).options.tracks
        ('clean',)
    """

    format: int = FORMAT
    options: EvaluationOptions
    collections: dict[str, str]
    """Role -> name of the folder."""
    scenes: tuple[SceneRecord, ...]
    statements: dict[str, str] = Field(default_factory=lambda: dict(STATEMENTS))
    versions: dict[str, str] = Field(default_factory=lambda: _versions())

    @property
    def fingerprint(self) -> str:
        """Scores compare where this is equal: the same rules on the same scenes."""
        kept = {
            "options": self.options.model_dump(mode="json", exclude=_elsewhere(self.options)),
            "scenes": [
                scene.model_dump(mode="json", exclude=set() if scene.opened else {"opened"})
                for scene in self.scenes
            ],
            "statements": self.statements,
        }
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]

    def joined(self, other: Protocol) -> Protocol:
        """This protocol with the tracks and tests of another one too.

        Raises:
            ConfigError: the two do not compare.
        """
        mine, theirs = self.options, other.options
        if self.fingerprint != other.fingerprint or mine.metrics != theirs.metrics:
            raise ConfigError(
                "there is an evaluation with other rules, scenes or metrics, which does not compare"
            )
        values = mine.model_dump()
        values["tracks"] = (*mine.tracks, *theirs.tracks)
        values["tests"] = (*mine.tests, *theirs.tests)
        return self.model_copy(update={"options": EvaluationOptions(**values)})

    def scene_names(self, role: str = "main", track: str | None = None) -> tuple[str, ...]:
        """Names of the scenes of one role; of those that a track can show, if one is given."""
        return tuple(
            scene.name
            for scene in self.scenes
            if scene.role == role
            and (track is None or scene.truth is not None or track in scene.images)
        )


def _elsewhere(options: EvaluationOptions) -> set[str]:
    """Options that do not decide whether scores compare, or that nobody set."""
    left_out = {"tests", "metrics", "tracks"}
    return left_out if options.wavelengths_nm is not None else left_out | {"wavelengths_nm"}


def _versions() -> dict[str, str]:
    import numpy
    import sklearn

    return {
        "respectra": respectra.__version__,
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "scikit-learn": sklearn.__version__,
    }
