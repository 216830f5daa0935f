"""Other cameras and lights, blind or told; and spectra that are known."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from respectra.cameras import (
    Capture,
    References,
    Track,
    band_weights,
    list_responses,
    make_response,
    resample_response,
)
from respectra.cameras.capture_camera import CaptureCamera
from respectra.cameras.responses import native_response
from respectra.colour import open_light, resample_light
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, wavelengths_of
from respectra.errors import ConfigError, DataError, RespectraError
from respectra.evaluation.auxiliary.base import (
    Case,
    Challenge,
    InputTest,
    OutputTest,
    Recover,
    Scores,
    score,
)
from respectra.evaluation.rules import MOST_CAMERAS
from respectra.inference import Reconstructor
from respectra.inference.capture import through_matrix
from respectra.methods import ResponseRecord
from respectra.typing import FloatArray

#: How many other cameras the test has.
COUNT = MOST_CAMERAS
#: Largest shift of a channel of a derived camera.
SHIFT_NM = 12.0
#: Largest factor on the width of a channel of a derived camera.
STRETCH = 1.2
#: Lights of the test.
LIGHTS = ("E", "D50", "D65", "A", "LED-B3", "FL2", "FL11", "HP1")
#: Numbers of references of the test.
COUNTS = (5, 10, 24)
_SEED = 2020
_SAME = 1e-6
#: Values of pixels that can be references.
_DARK, _BRIGHT = 0.008, 0.995


class OtherCamera(InputTest):
    """The image is made by another camera; the method does not know.

    The cameras are those that the rules name. Where they name none, the first ones are the
    responses that the package knows, and the others are derived: the track's own with each channel
    shifted by up to 12 nm and made up to 1.2 times as wide or as narrow, from a fixed seed. All
    are balanced: each channel gives an equal-energy white the value that the track's own gives it.
    No matrix corrects their colours.
    """

    source = "ours: the challenge changed no camera"
    name_form = "camera-{number:02d}"
    title_form = "Camera {number}"
    number: int = Field(default=1, ge=1, le=COUNT)
    """Which of the twenty."""

    def missing(self, case: Case) -> str:
        """Fewer cameras than this were given, or this one sees too little or is the track's own."""
        lacks = super().missing(case)
        if lacks or case.truth is None:
            return lacks
        given = case.rules.cameras
        if given and self.number > len(given):
            return f"only {len(given)} cameras were given"
        if given and _alike(given[self.number - 1].to_response(), case.track.response):
            return f"{given[self.number - 1].name} is the track's own camera"
        try:
            other_camera(case.track, self.number, wavelengths_of(case.truth), given)
        except DataError as error:
            return str(error)
        return ""

    def challenge(self, case: Case) -> Challenge:
        """The other camera's image of the same truth."""
        truth = case.need_truth()
        camera = other_camera(case.track, self.number, wavelengths_of(truth), case.rules.cameras)
        image = camera.render(truth, seed=case.seed, key=case.scene)
        return Challenge(image=image, truth=truth, valid=case.valid)


def other_camera(
    track: Track,
    number: int,
    wavelengths_nm: npt.ArrayLike,
    given: Sequence[ResponseRecord] = (),
) -> Track:
    """The track with another camera, balanced as its own is.

    Args:
        track: whose sensor and codec are kept.
        number: of the camera, counted from 1.
        wavelengths_nm: shape (band,), at which the camera is sampled.
        given: the cameras; by default the known ones, and derived ones up to twenty.

    Raises:
        DataError: the camera was not measured at all of the wavelengths.
    """
    grid = np.asarray(wavelengths_nm, dtype=np.float64)
    own = resample_response(track.response, grid).values
    real = [one.to_response() for one in given] or _known_others(track)
    if number <= len(real):
        name = str(real[number - 1].attrs["name"])
        table = resample_response(real[number - 1], grid).values
    else:
        name, table = camera_names(track)[number - 1], _derived(own, grid, number)
    weights = band_weights(grid)
    balanced = table * ((weights @ own) / (weights @ table))
    response = make_response(balanced, grid, name=name, source="balanced to the track's own camera")
    return dataclasses.replace(track, response=response)


def camera_names(track: Track, given: Sequence[ResponseRecord] = ()) -> tuple[str, ...]:
    """Names of the other cameras of a track; ``derived-05`` is its own, changed."""
    if given:
        return tuple(one.name for one in given)
    known = [str(one.attrs["name"]) for one in _known_others(track)]
    return (*known, *(f"derived-{number:02d}" for number in range(len(known) + 1, COUNT + 1)))


def choose_cameras(responses: Iterable[xr.DataArray]) -> tuple[ResponseRecord, ...]:
    """Cameras for the test: each kind once; of more than twenty, twenty at even distances."""
    kinds = _kinds(responses)
    places = range(len(kinds))
    if len(kinds) > COUNT:
        places = np.rint(np.linspace(0, len(kinds) - 1, COUNT)).astype(int).tolist()
    return tuple(ResponseRecord.of(kinds[place]) for place in places)


def _known_others(track: Track) -> list[xr.DataArray]:
    return [one for one in _known() if not _alike(one, track.response)]


@functools.cache
def _known() -> tuple[xr.DataArray, ...]:
    return tuple(_kinds(native_response(name) for name in list_responses()))


def _kinds(responses: Iterable[xr.DataArray]) -> list[xr.DataArray]:
    """The responses without those that are like one before them."""
    found: list[xr.DataArray] = []
    for response in responses:
        if not any(_alike(response, other) for other in found):
            found.append(response)
    return found


def _alike(first: xr.DataArray, second: xr.DataArray) -> bool:
    """Whether two responses differ, within 400 to 700 nm, by a balance only."""
    one, two = (
        np.stack([np.interp(CHALLENGE_WAVELENGTHS_NM, wavelengths_of(r), c) for c in r.values.T])
        for r in (first, second)
    )
    gap = one / one.max(axis=1, keepdims=True) - two / two.max(axis=1, keepdims=True)
    return float(np.abs(gap).max()) < _SAME


def _derived(own: FloatArray, grid: FloatArray, number: int) -> FloatArray:
    """The response with each channel shifted and stretched about its own centre."""
    rng = np.random.default_rng([_SEED, number])
    channels = []
    for channel in own.T:
        centre = float(grid @ channel / channel.sum())
        shift = rng.uniform(-SHIFT_NM, SHIFT_NM)
        stretch = STRETCH ** rng.uniform(-1.0, 1.0)
        channels.append(np.interp((grid - centre - shift) / stretch + centre, grid, channel))
    return np.stack(channels, axis=1)


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
