"""What a method makes of a camera, a light or a few spectra that it is told."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from respectra.cameras import Capture, References
from respectra.cameras.capture_camera import CaptureCamera
from respectra.colour import open_light, resample_light
from respectra.cubes import wavelengths_of
from respectra.errors import ConfigError, RespectraError
from respectra.evaluation.auxiliary.base import (
    Case,
    Challenge,
    InputTest,
    OutputTest,
    Recover,
    Scores,
    score,
)
from respectra.evaluation.auxiliary.cameras import OtherCamera, other_camera
from respectra.inference import Reconstructor
from respectra.inference.capture import through_matrix

#: Lights of the test.
LIGHTS = ("E", "D50", "D65", "A", "LED-B3", "FL2", "FL11", "HP1")
#: Numbers of references of the test.
COUNTS = (5, 10, 24)
#: Values of pixels that can be references.
_DARK, _BRIGHT = 0.008, 0.995


class ToldCamera(OtherCamera):
    """As ``camera``, and the method is told: the camera itself, or the best matrix to its own."""

    source = "ours: as Camera, told"
    name_form = "camera-{how}-{number:02d}"
    in_all: ClassVar[bool] = False
    how: Literal["told", "matrix"] = "told"

    @property
    def title(self) -> str:
        """``Camera 1, told``."""
        return f"Camera {self.number}, " + ("told" if self.how == "told" else "by matrix")

    def score(self, case: Case, recover: Recover, challenge: Challenge | None = None) -> Scores:
        """Scores of the method that was told."""
        grid = wavelengths_of(case.need_truth())
        camera = other_camera(case.track, self.number, grid, case.rules.cameras)
        white = camera.response_matrix(grid).sum(axis=0)
        capture = Capture(
            camera=camera.response,
            white=tuple(np.minimum(white, 1.0).tolist()),
            light="E",
            rounding="truncate",
        )
        told = _told(recover, capture, matrix=self.how == "matrix")
        return super().score(case, told, challenge)


class Light(InputTest):
    """The scene's reflectance under another light; the camera is the track's own.

    Without being told, a method gives radiance, and is scored on that.
    """

    source = "ours: the challenge changed no light"
    in_all: ClassVar[bool] = False
    light: str = "A"
    told: bool = False

    @property
    def name(self) -> str:
        """``light-A`` or ``light-told-A``."""
        return f"light-told-{self.light}" if self.told else f"light-{self.light}"

    @property
    def title(self) -> str:
        """``Under A, told``."""
        return f"Under {self.light}" + (", told" if self.told else "")

    def missing(self, case: Case) -> str:
        """The light is not known at all bands."""
        lacks = super().missing(case)
        if lacks or case.truth is None:
            return lacks
        try:
            resample_light(open_light(self.light), wavelengths_of(case.truth))
        except RespectraError as error:
            return str(error)
        return ""

    def challenge(self, case: Case) -> Challenge:
        """The picture under the light."""
        truth = case.need_truth()
        capture, grid = self._capture(case), wavelengths_of(truth)
        image = CaptureCamera(capture).render(truth.assign_attrs(quantity="reflectance"))
        image = image.assign_attrs(track=case.track.name)
        if not self.told:
            # The radiance that the track's own camera sees as the picture.
            seen = capture.effective_response(grid).sum(axis=0)
            own = capture.power(grid) @ case.response(truth)
            level = np.float32(seen.max() / own.max())
            truth = truth.copy(data=truth.values * capture.power(grid).astype(np.float32) * level)
        return Challenge(image=image, truth=truth, valid=case.valid)

    def score(self, case: Case, recover: Recover, challenge: Challenge | None = None) -> Scores:
        """Scores of the method, told or not."""
        method = _told(recover, self._capture(case)) if self.told else recover
        return super().score(case, method, challenge)

    def _capture(self, case: Case) -> Capture:
        return Capture(camera=case.track.response, light=self.light, rounding="truncate")


class KnownSpectra(OutputTest):
    """Some pixels' spectra are known, and left out of the score; k-means++ over chromaticity."""

    source = "ours: the challenge gave no spectra"
    name_form = "references-{count}"
    title_form = "{count} references"
    in_all: ClassVar[bool] = False
    count: int = Field(default=24, ge=1)

    def score(self, case: Case, estimate: xr.DataArray, recover: Recover) -> Scores:
        """Scores of the corrected cube."""
        truth, image = case.need_truth(), case.image
        places = self._places(case)
        spectra = truth.values[places[:, 0], places[:, 1]]
        known = References(places, spectra, wavelengths_of(truth))
        corrected = _reconstructor(recover).with_references(image, known)(image)
        valid = np.ones(truth.shape[:2], bool) if case.valid is None else case.valid.copy()
        valid[places[:, 0], places[:, 1]] = False
        return score(truth, corrected, case, tuple(self.columns), valid=valid)

    def _places(self, case: Case) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        values = np.asarray(case.image.values, np.float64)
        usable = (values.min(axis=2) > _DARK) & (values.max(axis=2) < _BRIGHT)
        usable &= case.need_truth().values.min(axis=2) > 0
        if case.valid is not None:
            usable &= case.valid
        y, x = np.nonzero(usable)
        count = min(self.count, len(y))
        points = values[y, x]
        points = points / points.sum(axis=1, keepdims=True)
        random = case.random(self.name)
        chosen = [int(random.integers(len(y)))] if count else []
        distance = np.full(len(y), np.inf)
        while len(chosen) < count:
            distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
            total = distance.sum()
            odds = distance / total if total > 0 else None
            chosen.append(int(random.choice(len(y), p=odds)))
        return np.stack([y[chosen], x[chosen]], axis=1)


def _reconstructor(recover: Recover) -> Reconstructor:
    """The method as something that can be told.

    Raises:
        ConfigError: it is a bare function.
    """
    if not isinstance(recover, Reconstructor):
        raise ConfigError("only a reconstructor can be told of captures and references")
    return recover


def _told(recover: Recover, capture: Capture, *, matrix: bool = False) -> Recover:
    method = _reconstructor(recover)
    if not matrix:
        return method.with_capture(capture)
    bound = through_matrix(method.weights, capture)
    return Reconstructor(
        bound,
        tile=method.tile,
        device=method.device,
        guarantees=sorted(method.guarantees.names),
        force=True,  # the image says that it is of the track, whose camera is replaced here
    )
