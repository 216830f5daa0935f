"""Other cameras: a method made for one response meets another."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from respectra.cameras import (
    Track,
    band_weights,
    list_responses,
    make_response,
    resample_response,
)
from respectra.cameras.responses import native_response
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, wavelengths_of
from respectra.errors import DataError
from respectra.evaluation.auxiliary.base import Case, Challenge, InputTest
from respectra.methods import ResponseRecord
from respectra.typing import FloatArray

#: How many other cameras the test has.
COUNT = 20
#: Largest shift of a channel of a derived camera.
SHIFT_NM = 12.0
#: Largest factor on the width of a channel of a derived camera.
STRETCH = 1.2
_SEED = 2020
_SAME = 1e-6


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
