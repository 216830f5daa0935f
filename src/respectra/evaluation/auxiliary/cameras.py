"""Other cameras: a method made for one response meets another."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import numpy.typing as npt
from pydantic import Field

from respectra.cameras import (
    Track,
    band_weights,
    get_response,
    list_responses,
    make_response,
    resample_response,
)
from respectra.cubes import wavelengths_of
from respectra.errors import DataError
from respectra.evaluation.auxiliary.base import Case, Challenge, ChallengeTest

FloatArray = npt.NDArray[np.float64]

#: How many other cameras the test has.
COUNT = 20
#: Largest shift of a channel of a derived camera.
SHIFT_NM = 12.0
#: Largest factor on the width of a channel of a derived camera.
STRETCH = 1.2
_SEED = 2020
_SAME = 1e-6


class OtherCamera(ChallengeTest):
    """The image is made by another camera; the method does not know.

    The first cameras are the known responses; the others are the track's own with each channel
    shifted by up to 12 nm and made up to 1.2 times as wide or as narrow, from a fixed seed. All
    are balanced: each channel gives an equal-energy white the value that the track's own gives it.
    """

    source = "ours: the challenge changed no camera"
    number: int = Field(default=1, ge=1, le=COUNT)
    """Which of the twenty."""

    @property
    def name(self) -> str:
        """``camera-01``."""
        return f"camera-{self.number:02d}"

    @property
    def title(self) -> str:
        """``Camera 1``."""
        return f"Camera {self.number}"

    def challenge(self, case: Case) -> Challenge:
        """The other camera's image of the same truth."""
        truth = case.need_truth()
        camera = other_camera(case.track, self.number, wavelengths_of(truth))
        image = camera.render(truth, seed=case.seed, key=case.scene)
        return Challenge(image=image, truth=truth, valid=case.valid)


def other_camera(track: Track, number: int, wavelengths_nm: npt.ArrayLike) -> Track:
    """The track with camera ``number`` of the twenty, counted from 1, sampled at wavelengths."""
    grid = np.asarray(wavelengths_nm, dtype=np.float64)
    own = resample_response(track.response, grid).values
    known = _known(tuple(grid.tolist()))
    others = [(name, table) for name, table in known if not _alike(own, table)]
    if number <= len(others):
        name, table = others[number - 1]
    else:
        name, table = (
            f"{track.response.attrs['name']}-derived-{number}",
            _derived(own, grid, number),
        )
    weights = band_weights(grid)
    balanced = table * ((weights @ own) / (weights @ table))
    response = make_response(balanced, grid, name=name, source="balanced to the track's own camera")
    return dataclasses.replace(track, response=response)


@functools.lru_cache(maxsize=8)
def _known(wavelengths_nm: tuple[float, ...]) -> tuple[tuple[str, FloatArray], ...]:
    """Known responses that reach over these wavelengths, each a camera of its own."""
    found: list[tuple[str, FloatArray]] = []
    for name in list_responses():
        try:
            table = np.asarray(get_response(name, wavelengths_nm).values, dtype=np.float64)
        except DataError:  # it was not measured at all of these wavelengths
            continue
        if not any(_alike(table, other) for _, other in found):
            found.append((name, table))
    return tuple(found)


def _alike(first: FloatArray, second: FloatArray) -> bool:
    """Whether two responses differ by a balance only."""
    gap = first / first.max(axis=0) - second / second.max(axis=0)
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
