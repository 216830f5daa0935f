"""Guarantees hold, and move no further than they must."""

import numpy as np
import pytest
from scipy.optimize import minimize

import respectra as rs
from respectra.cameras import get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, make_cube
from respectra.errors import ConfigError, DataError
from respectra.inference import Reconstructor
from respectra.inference.guarantees import (
    ROUGHEST,
    Guarantees,
    roughness,
    second_differences,
    smooth,
)
from respectra.inference.nearest_spectra import KEPT, UNREACHABLE, move_into
from respectra.methods import Contract, ResponseRecord
from respectra.methods.shipped import shipped

CLEAN = get_track("clean")
CAMERA = CLEAN.response_matrix(CHALLENGE_WAVELENGTHS_NM)
GRID = np.asarray(CHALLENGE_WAVELENGTHS_NM)


def smooth_spectra(rng, n):
    bumps = np.exp(-(((GRID - rng.uniform(380, 720, (n, 1))) / rng.uniform(30, 200, (n, 1))) ** 2))
    return bumps * rng.uniform(0.02, 0.95, (n, 1)) + 0.01


@pytest.fixture
def scene(rng):
    return make_cube(smooth_spectra(rng, 24 * 20).reshape(24, 20, 31), GRID)


def scales(estimate, floor=0.02):
    """What a change of each band is relative to."""
    return np.maximum(np.abs(estimate), floor * np.abs(estimate).max())


@pytest.mark.parametrize("non_negative", [False, True])
def test_the_move_is_the_least_that_a_general_solver_finds(rng, non_negative):
    truth = smooth_spectra(rng, 12)
    estimate = (truth * rng.uniform(0.6, 1.5, (12, 1)) + rng.normal(0, 0.04, truth.shape)).astype(
        np.float32
    )
    codes = np.floor(truth @ CAMERA * 255)
    low, high = codes / 255, (codes + 1) / 255
    moved = estimate.copy()
    move_into(moved, CAMERA, low, high, non_negative=non_negative)
    for s, start, lo, hi in zip(
        moved.astype(float), estimate.astype(float), low, high, strict=True
    ):
        w = scales(start)
        # In units of the allowed change, which a general solver needs to be accurate.
        reference = minimize(
            lambda z, z0=start / w: np.sum((z - z0) ** 2),
            np.maximum(start, 0) / w if non_negative else start / w,
            jac=lambda z, z0=start / w: 2 * (z - z0),
            method="SLSQP",
            bounds=[(0 if non_negative else None, None)] * 31,
            constraints=[
                {"type": "ineq", "fun": lambda z, w=w, lo=lo: ((z * w) @ CAMERA - lo) * 255},
                {"type": "ineq", "fun": lambda z, w=w, hi=hi: (hi - (z * w) @ CAMERA) * 255},
            ],
            options={"maxiter": 500, "ftol": 1e-9},
        )
        # The solver may stop short of its tolerance, but what it gives is allowed.
        best = reference.x * w
        assert ((best @ CAMERA > lo - 1e-5) & (best @ CAMERA < hi + 1e-5)).all()
        assert ((s @ CAMERA >= lo) & (s @ CAMERA < hi)).all()
        assert np.sum(((s - start) / w) ** 2) <= reference.fun * 1.005 + 1e-4


def test_a_spectrum_within_its_bounds_stays():
    s = np.full((3, 31), 0.4, np.float32)
    v = s.astype(float) @ CAMERA
    moved = s.copy()
    status = move_into(moved, CAMERA, v - 0.01, v + 0.01, non_negative=True)
    np.testing.assert_array_equal(moved, s)
    assert (status == KEPT).all()


def test_a_colour_that_no_light_has_is_reported():
    """Green without any red: more saturated than every single wavelength."""
    s = np.full((2, 31), 0.4, np.float32)
    v = np.array([[0.0, 0.5, 0.0], [0.4, 0.4, 0.4]])
    status = move_into(s, CAMERA, v, v + 1e-3, non_negative=True)
    assert status.tolist() == [UNREACHABLE, 1]
    assert s.min() >= 0
    assert np.isfinite(s).all()


def test_clipped_channels_are_bounded_from_below_alone():
    """A light three times as bright as the range stays as bright as the estimate has it."""
    bright = make_cube(np.full((2, 2, 31), 3.0), GRID)
    image = CLEAN.render(bright)
    cube, report = Guarantees(["consistent"], Contract()).enforce(bright, image)
    np.testing.assert_array_equal(cube, bright)
    assert report.moved == 0
    dark = make_cube(np.full((2, 2, 31), 0.3), GRID)
    cube, report = Guarantees(["consistent"], Contract()).enforce(dark, image)
    assert report.moved == 4
    np.testing.assert_array_equal(CLEAN.render_codes(cube), 255)
    assert float(cube.max()) < 1.5


def test_the_exact_strength_meets_the_middle_of_the_bounds(scene):
    image = CLEAN.render(scene)
    rec = rs.load("pseudo-inverse", guarantees=["consistent-exact"])
    np.testing.assert_allclose(CLEAN.project(rec(image)), CLEAN.invert_codes(image), atol=3e-6)


def test_a_photo_renders_back_to_its_own_codes(rng):
    codes = rng.integers(40, 200, (6, 7, 1)) + rng.integers(0, 25, (6, 7, 3))
    photo = rs.make_image(codes / 255, encoding="srgb")
    cube = rs.load("pseudo-inverse", guarantees=["consistent"])(photo)
    assert cube.attrs["quantity"] == "reflectance"
    np.testing.assert_array_equal(rs.cubes.preview(cube, illuminant="D65"), codes)


def test_exposure_does_not_matter(scene):
    """A cubic polynomial by itself turns three times the light into something else."""
    image = CLEAN.render(scene)
    third = rs.make_image(image.values / 3, bits=32)
    plain, invariant = (
        rs.load("polynomial", guarantees=names) for names in ([], ["exposure-invariant"])
    )
    np.testing.assert_allclose(invariant(third) * 3, invariant(image), rtol=2e-4, atol=2e-5)
    assert np.abs(plain(third) * 3 - plain(image)).max() > 1e-3


def test_black_images_stay_black():
    black = rs.make_image(np.zeros((3, 3, 3)))
    cube = rs.load(guarantees=["exposure-invariant", "consistent", "non-negative"])(black)
    np.testing.assert_array_equal(CLEAN.render_codes(cube), 0)


def test_smooth_spectra_are_left_and_rough_ones_smoothed(rng):
    spectra = np.vstack([smooth_spectra(rng, 5), rng.random((5, 31))]).astype(np.float32)
    before, differences = spectra.copy(), second_differences(GRID)
    was = roughness(before, differences)
    smooth(spectra, GRID)
    np.testing.assert_array_equal(spectra[was <= ROUGHEST], before[was <= ROUGHEST])
    assert (was > ROUGHEST).sum() >= 5
    assert roughness(spectra, differences).max() <= ROUGHEST * (1 + 1e-6)


def test_second_differences_do_not_depend_on_the_grid():
    for grid in (np.arange(400, 701, 10.0), np.arange(400, 701, 5.0), np.geomspace(400, 700, 25)):
        np.testing.assert_allclose(second_differences(grid) @ (grid / 10) ** 2, 2, rtol=1e-9)


def test_the_bound_on_roughness_is_what_was_measured():
    pytest.importorskip("colour")
    from respectra.datasets.spectra import illuminants, reflectances

    r = np.maximum(reflectances("cie-ces99").values, 0)
    lit = (r[:, None] * illuminants("daylight").values[None]).reshape(-1, r.shape[1])
    assert np.percentile(roughness(lit, second_differences(GRID)), 99) < ROUGHEST


def test_noisy_images_are_met_on_average(rng):
    """A wrong level is taken away; the noise of single pixels is not brought in."""
    track = get_track("real-world")
    gradient = np.linspace(0.1, 0.6, 48)[:, None, None] * np.ones((48, 48, 31))
    truth = make_cube(gradient, GRID)
    image = track.render(truth, seed=4)
    contract = Contract(track="real-world", response=ResponseRecord.of(track.response))
    wrong = truth * 1.3
    wrong.attrs.update(truth.attrs)
    cube, _ = Guarantees(["consistent"], contract).enforce(wrong, image)
    error = np.abs(track.project(cube) - track.project(truth)).mean()
    assert error < 0.06 * np.abs(track.project(wrong) - track.project(truth)).mean()
    # Neighbours in a row are equal in the scene: in the image they are not.
    grain = [np.abs(np.diff(v, axis=1)).mean() for v in (track.project(cube), image.values)]
    assert grain[0] < 0.7 * grain[1]


def test_what_cannot_be_promised_is_refused(scene):
    with pytest.raises(ConfigError, match="did you mean 'consistent'"):
        rs.load(guarantees=["consistant"])
    with pytest.raises(ConfigError, match="exclude each other"):
        rs.load(guarantees=["consistent", "consistent-exact"])
    with pytest.raises(ConfigError, match="knowing the light"):
        Guarantees(["consistent"], Contract(quantity="reflectance"))
    with pytest.raises(ConfigError, match="which camera"):
        Guarantees(["consistent"], Contract(track="real-world"))
    image = CLEAN.render(scene)
    with pytest.raises(DataError, match="of one size"):
        Guarantees(["smooth"], Contract()).enforce(scene[:3], image)
    broken = scene.copy()
    broken[0, 0, 0] = np.nan
    with pytest.raises(DataError, match="NaN"):
        Guarantees(["consistent"], Contract()).enforce(broken, image)


def test_the_cube_says_what_was_kept(scene):
    weights = rs.methods.load_weights(shipped("clean", name="classical"))
    cube = Reconstructor(weights, guarantees=["non-negative", "consistent"])(CLEAN.render(scene))
    assert cube.attrs["guarantees"] == "consistent, non-negative"
    assert cube.attrs["method"] == "a-plus"
