"""Auxiliary tests: what they show, what they leave out, which names they go by."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from respectra.cameras import get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, make_cube
from respectra.errors import ConfigError, DataError
from respectra.evaluation.auxiliary import (
    TESTS,
    Calibration,
    Case,
    Compression,
    Noise,
    Rules,
    SpatialShuffle,
    WeightedAccuracy,
    calibration,
    image_delta_e,
    metamer,
    other_camera,
    select_tests,
)


@pytest.fixture
def cube(rng: np.random.Generator) -> xr.DataArray:
    tone = rng.uniform(0.1, 0.9, (18, 26, 1))
    slope = np.linspace(0.5, 1.0, 31) ** rng.uniform(0.2, 2, (18, 26, 1))
    return make_cube(tone * slope, CHALLENGE_WAVELENGTHS_NM)


def case_of(cube: xr.DataArray, track: str = "clean", **rules: object) -> Case:
    camera = get_track(track)
    image = camera.render(cube, key="scene")
    return Case("scene", cube, image, camera, rules=Rules(**rules))  # type: ignore[arg-type]


def test_names_select_tests_families_and_all():
    assert [t.name for t in select_tests("none")] == []
    assert len(select_tests("all")) == len(TESTS)
    official = [t.name for t in select_tests("official")]
    assert official == ["shuffle-4", "brightness-0.5", "brightness-2", "physical", "weighted"]
    assert [t.name for t in select_tests("weighted, shuffle-4")] == ["shuffle-4", "weighted"]
    assert len(select_tests("camera")) == 20


def test_an_unknown_test_suggests_near_ones():
    with pytest.raises(ConfigError, match="shuffle-4"):
        select_tests("shufle-4")


def test_shuffle_crops_to_whole_blocks(cube):
    challenge = SpatialShuffle(block=4).challenge(case_of(cube))
    assert challenge.image.shape[:2] == challenge.truth.shape[:2] == (16, 24)
    assert SpatialShuffle(block=64).missing(case_of(cube)) == "smaller than two blocks of 64 pixels"


def test_shuffle_depends_on_the_seed_alone(cube):
    test = SpatialShuffle(block=2)
    first, again = (test.challenge(case_of(cube)).image for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, case_of(cube).image)


def test_noise_falls_as_light_rises(cube):
    case = case_of(cube)
    errors = [
        float(np.abs(Noise(electrons=e).challenge(case).image - case.image).mean())
        for e in (300, 5000, 1e9)
    ]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_the_tracks_own_noise_and_quality_are_its_own_image(cube):
    case = case_of(cube, "real-world")
    for test in (Noise(electrons=5000), Compression(quality=80)):
        assert np.array_equal(test.challenge(case).image, case.image), test.name


def test_twenty_other_cameras_differ_and_keep_white():
    track = get_track("clean")
    own = track.response_matrix(CHALLENGE_WAVELENGTHS_NM)
    tables = [
        other_camera(track, n, CHALLENGE_WAVELENGTHS_NM).response_matrix(CHALLENGE_WAVELENGTHS_NM)
        for n in range(1, 21)
    ]
    for place, table in enumerate(tables):
        np.testing.assert_allclose(table.sum(axis=0), own.sum(axis=0))
        assert np.abs(table - own).max() > 1e-3
        assert all(np.abs(table - other).max() > 1e-3 for other in tables[:place])


def test_weighted_counts_rare_spectra_as_much_as_frequent_ones():
    ramp = np.linspace(0.2, 0.8, 31)
    values = np.broadcast_to(ramp, (10, 10, 31)).copy()
    values[0] = ramp[::-1]
    truth = make_cube(values, CHALLENGE_WAVELENGTHS_NM)
    wrong = values.copy()
    wrong[0] *= 2
    estimate = make_cube(wrong, CHALLENGE_WAVELENGTHS_NM)
    case = case_of(truth, clusters=2)
    scores = WeightedAccuracy().score(case, estimate, lambda image: estimate)
    assert scores["weighted_mrae"] == pytest.approx(0.5, rel=1e-6)


def test_colour_difference_needs_a_colorimetric_camera(cube):
    clean, real = get_track("clean"), get_track("real-world")
    image = clean.render(cube)
    brighter = cube * np.float32(1.3)
    difference = image_delta_e(brighter, image, clean)
    assert difference is not None
    assert difference.mean() > 1
    assert image_delta_e(cube, image, real) is None


def test_metamers_refuse_negative_values(cube):
    matrix = get_track("clean").response_matrix(CHALLENGE_WAVELENGTHS_NM)
    with pytest.raises(DataError, match=">= 0"):
        metamer(cube - 1, matrix)


class Unsure:
    """A method whose errors are normal, and that says so with a factor."""

    def __init__(self, truth: xr.DataArray, claim: float) -> None:
        self.truth, self.claim = truth, claim

    def __call__(self, image: xr.DataArray) -> xr.DataArray:
        return self.with_uncertainty(image)[0]

    def with_uncertainty(self, image: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
        rng = np.random.default_rng(5)
        sigma = rng.uniform(0.01, 0.1, self.truth.shape)
        estimate = self.truth + sigma * rng.standard_normal(self.truth.shape)
        return estimate, self.truth.copy(data=sigma * self.claim)


def test_calibration_tells_honest_from_boastful(cube):
    case = case_of(cube)
    honest = Calibration().score(case, cube, Unsure(cube, 1.0))
    boastful = Calibration().score(case, cube, Unsure(cube, 0.3))
    assert honest["coverage_68"] == pytest.approx(0.683, abs=0.02)
    assert honest["calibration_error"] < 0.02 < 0.2 < boastful["calibration_error"]
    assert honest["rank_correlation"] > 0.3
    assert Calibration().score(case, cube, lambda image: cube) == {}


def test_calibration_refuses_negative_deviations(cube):
    with pytest.raises(DataError, match="not negative"):
        calibration(cube, cube, -cube)
