"""Auxiliary tests: what they show, what they leave out, which names they go by."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from respectra.cameras import get_response, get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, make_cube
from respectra.errors import ConfigError, DataError
from respectra.evaluation import EvaluationOptions
from respectra.evaluation.auxiliary import (
    TESTS,
    AddedNoise,
    Case,
    Compression,
    SpatialShuffle,
    UncertaintyCalibration,
    WeightedAccuracy,
    calibration,
    camera_names,
    choose_cameras,
    image_delta_e,
    metamer,
    mismatching_pixels,
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
    return Case("scene", cube, image, camera, rules=EvaluationOptions(**rules))  # type: ignore[arg-type]


def test_names_select_tests_families_and_all():
    assert [t.name for t in select_tests("none")] == []
    assert len(select_tests("all")) == sum(test.in_all for _, test in TESTS.usable())
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
        float(np.abs(AddedNoise(electrons=e).challenge(case).image - case.image).mean())
        for e in (300, 5000, 1e9)
    ]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_the_tracks_own_noise_and_quality_are_its_own_image(cube):
    case = case_of(cube, "real-world")
    for test in (AddedNoise(electrons=5000), Compression(quality=80)):
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


def test_a_setting_that_the_track_has_anyway_is_said_to_repeat_it():
    for name, repeating in {"clean": set(), "real-world": {"noise-5000", "jpeg-80"}}.items():
        assert {n for n, test in TESTS.items() if test.repeats(get_track(name))} == repeating


def test_derived_cameras_are_called_so():
    names = camera_names(get_track("clean"))
    assert len(names) == 20
    assert "cie-1964-ntire2020" not in names
    assert names[-1] == "derived-20"
    assert sum(name.startswith("derived") for name in names) < 17


def test_given_cameras_take_the_place_of_all_others(cube):
    known = [get_response(n) for n in ("nikon-5100-npl", "sigma-sdmerill-npl", "cie-1964-10deg")]
    short = known[0].isel(wavelength=slice(0, 20)).assign_attrs(name="short")
    chosen = choose_cameras([*known, known[0] * 2.0, short])
    assert [one.name for one in chosen] == [*(r.attrs["name"] for r in known), "short"]
    case = case_of(cube, cameras=chosen)
    tests = [TESTS[f"camera-{number:02d}"] for number in range(1, 6)]
    lacks = [test.missing(case) for test in tests]
    assert lacks[:2] == ["", ""]
    assert "track's own camera" in lacks[2]
    assert "'short' ends at 590 nm" in lacks[3]
    assert lacks[4] == "only 4 cameras were given"
    given, other = (
        other_camera(case.track, 2, CHALLENGE_WAVELENGTHS_NM, chosen),
        get_track("clean", response="sigma-sdmerill-npl"),
    )
    ratio = given.project(cube) / other.project(cube)
    np.testing.assert_allclose(ratio, ratio.values[:1, :1].repeat(18, 0).repeat(26, 1), rtol=1e-6)


def test_of_many_cameras_twenty_are_spread_over_all():
    base = get_response("nikon-5100-npl")
    many = [
        base.copy(data=base.values ** (1 + n / 50)).assign_attrs(name=f"n{n}") for n in range(58)
    ]
    chosen = [one.name for one in choose_cameras(many)]
    assert chosen == [f"n{3 * n}" for n in range(20)]


def test_pixels_differ_whose_codes_do(cube):
    track = get_track("clean")
    image = track.render(cube)
    assert not mismatching_pixels(cube, image, track).any()
    moved = cube.copy()
    moved[3, 4] *= 1.5
    moved[5, 6] = -1.0
    found = mismatching_pixels(moved, image, track)
    assert np.argwhere(found).tolist() == [[3, 4], [5, 6]]
    real = get_track("real-world")
    assert mismatching_pixels(cube, real.render(cube), real) is None


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

    gives_uncertainty = True

    def __init__(self, truth: xr.DataArray, claim: float) -> None:
        self.truth, self.claim = truth, claim

    def __call__(self, image: xr.DataArray) -> xr.DataArray:
        return self.with_uncertainty(image)[0]

    def with_uncertainty(self, image: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
        rng = np.random.default_rng(5)
        sigma = rng.uniform(0.01, 0.1, self.truth.shape)
        estimate = self.truth + sigma * rng.standard_normal(self.truth.shape)
        return estimate, self.truth.copy(data=sigma * self.claim)


class Sure(Unsure):
    """A method that could say how unsure it is, but not with its weights."""

    gives_uncertainty = False


def test_calibration_tells_honest_from_boastful(cube):
    case = case_of(cube)
    honest = UncertaintyCalibration().score(case, cube, Unsure(cube, 1.0))
    boastful = UncertaintyCalibration().score(case, cube, Unsure(cube, 0.3))
    assert honest["coverage_68"] == pytest.approx(0.683, abs=0.02)
    assert honest["calibration_error"] < 0.02 < 0.2 < boastful["calibration_error"]
    assert honest["rank_correlation"] > 0.3
    assert UncertaintyCalibration().score(case, cube, lambda image: cube) == {}
    assert UncertaintyCalibration().score(case, cube, Sure(cube, 1.0)) == {}


def test_calibration_refuses_negative_deviations(cube):
    with pytest.raises(DataError, match="not negative"):
        calibration(cube, cube, -cube)
