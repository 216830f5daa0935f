"""Laws of the auxiliary tests."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from respectra.cameras import get_track, make_image
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, make_cube
from respectra.evaluation import EvaluationOptions, metrics
from respectra.evaluation.auxiliary import (
    TESTS,
    Brightness,
    Case,
    InputTest,
    KnownSpectra,
    Light,
    OutputTest,
    PhysicalConsistency,
    SpatialShuffle,
    ToldCamera,
    metamer,
    shuffle,
    unshuffle,
)
from respectra.methods import build_classical

SEEDS = st.integers(0, 2**32 - 1)
SIDES = st.integers(1, 5)


def smooth_cube(seed: int, height: int = 16, width: int = 24) -> xr.DataArray:
    rng = np.random.default_rng(seed)
    place = np.linspace(0, np.pi, 31)
    basis = np.stack([0.5 + 0.45 * np.cos(k * place + rng.uniform(0, 6)) for k in (0, 1, 2, 3)])
    mix = rng.dirichlet(np.ones(4), (height, width))
    light = rng.uniform(0.1, 0.9, (height, width, 1))
    return make_cube(light * (mix @ basis), CHALLENGE_WAVELENGTHS_NM)


def case_of(cube: xr.DataArray, track: str = "clean") -> Case:
    camera = get_track(track)
    rules = EvaluationOptions(clusters=10)
    return Case("scene", cube, camera.render(cube, key="scene"), camera, rules=rules)


def per_pixel(image: xr.DataArray) -> xr.DataArray:
    """A method that looks at one pixel at a time."""
    rgb = image.values.astype(np.float64)
    weights = np.linspace(0, 1, 31)
    spectra = rgb[..., :1] * weights + rgb[..., 1:2] * np.sqrt(weights) + 0.01 + rgb[..., 2:] ** 2
    return make_cube(spectra, CHALLENGE_WAVELENGTHS_NM)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, block=SIDES, rows=SIDES, columns=SIDES)
def test_shuffling_and_unshuffling_is_the_identity(seed, block, rows, columns):
    rng = np.random.default_rng(seed)
    cube = make_cube(rng.uniform(0, 1, (rows * block, columns * block, 3)), [450, 550, 650])
    order = rng.permutation(rows * columns)
    moved = shuffle(cube, block, order)
    assert np.array_equal(np.sort(moved.values, axis=None), np.sort(cube.values, axis=None))
    xr.testing.assert_identical(unshuffle(moved, block, order), cube)


@pytest.mark.parametrize("block", [1, 2, 4, 8])
def test_a_per_pixel_method_shuffles_to_exactly_its_plain_score(block):
    case = case_of(smooth_cube(block))
    plain = metrics.score(case.truth, per_pixel(case.image), names=("mrae", "rmse"))
    assert SpatialShuffle(block=block).score(case, per_pixel) == plain


@settings(max_examples=5, deadline=None)
@given(seed=SEEDS, factor=st.sampled_from([0.1, 0.5, 2.0, 4.0]))
def test_root_polynomials_do_not_notice_brightness_before_quantisation(seed, factor):
    cube = smooth_cube(seed)
    camera = get_track("clean")
    method = build_classical("root-polynomial", order=2)
    method.fit(camera.project(cube).values.reshape(-1, 3), cube.values.reshape(-1, 31))

    class Unquantised(Case):
        def render(self, cube: xr.DataArray) -> xr.DataArray:
            linear = camera.project(cube).values / 8  # below full scale at four times the light
            return make_image(linear, bits=32)

    def recover(image: xr.DataArray) -> xr.DataArray:
        return make_cube(method.predict(image.values * 8), CHALLENGE_WAVELENGTHS_NM)

    case = Unquantised("scene", cube, camera.render(cube), camera)
    plain = metrics.mrae(cube, recover(case.render(cube)))
    scaled = Brightness(factor=factor).score(case, recover)["mrae"]
    assert scaled == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("name", TESTS)
def test_the_truth_scores_zero_everywhere(name):
    case = case_of(smooth_cube(3, 32, 32))
    test = TESTS[name]
    if test.missing(case):
        pytest.skip("does not apply to a scene of this size")
    if isinstance(test, ToldCamera | Light | KnownSpectra):
        pytest.skip("tells a reconstructor of captures, and the truth is no reconstructor")
    if isinstance(test, InputTest):
        challenge = test.challenge(case)
        answer = _answer_to(test, case, challenge.truth)
        scores = test.score(case, lambda image: answer, challenge)
        assert set(scores.values()) == {0.0}
    elif name.startswith("metamer"):  # the truth is another one there
        assert isinstance(test, OutputTest)
        scores = test.score(case, case.truth, lambda image: case.truth)
        assert scores["mrae"] == scores["truth_mrae"]
    else:
        assert isinstance(test, OutputTest)
        scores = dict(test.score(case, case.truth, lambda image: case.truth))
        if scores:
            assert scores.pop("codes_reproduced", 1.0) == 1.0
            assert scores.pop("pixels", 32 * 32) == 32 * 32
            assert set(scores.values()) == {0.0}


def _answer_to(test: InputTest, case: Case, truth: xr.DataArray) -> xr.DataArray:
    """The cube of the image that a test shows: the truth in the order of that image."""
    if not isinstance(test, SpatialShuffle):
        return truth
    count = (truth.sizes["y"] // test.block) * (truth.sizes["x"] // test.block)
    return shuffle(truth, test.block, case.random(test.name).permutation(count))


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, change=st.sampled_from(["without", "double", "random"]))
def test_a_metamer_is_positive_differs_and_has_no_physical_error(seed, change):
    cube = smooth_cube(seed)
    for track in ("clean", "real-world"):
        camera = get_track(track)
        matrix = camera.response_matrix(CHALLENGE_WAVELENGTHS_NM)
        other = metamer(cube, matrix, change, rng=np.random.default_rng(seed))
        assert float(other.min()) > 0
        assert metrics.mrae(cube, other) > 1e-3
        assert metrics.back_projection_mrae(cube.astype(float), other, matrix) < 1e-12


def test_an_exact_metamer_is_physically_consistent():
    case = case_of(smooth_cube(8))
    other = metamer(case.truth, case.response(case.truth))
    scores = PhysicalConsistency().score(case, other.astype(np.float32), per_pixel)
    assert scores["back_projection_mrae"] < 1e-6
    assert scores["codes_reproduced"] > 0.999  # single precision at the edge of a code
