"""Laws that every metric keeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from respectra.evaluation import metrics as m

RESPONSE = np.array([[1.0, 0.2, 0.0], [0.5, 1.0, 0.3], [0.0, 0.4, 1.0]])
RENDERING = m.Rendering([450, 550, 650])
FUNCTIONS = {
    "mrae": m.mrae,
    "mrae_by_band": m.mrae_by_band,
    "rmse": m.rmse,
    "rmse_by_band": m.rmse_by_band,
    "psnr": m.psnr,
    "psnr_clamped": lambda t, e, **o: m.psnr(t, e, clamp=True, **o),
    "sam": m.sam,
    "ssim": m.ssim,
    "ergas": m.ergas,
    "back_projection": lambda t, e, **o: m.back_projection_mrae(t, e, RESPONSE, **o),
    "quantiles": lambda t, e, **o: m.relative_error_quantiles(t, e, (0.0, 0.3, 1.0), **o),
    "delta_e": lambda t, e, **o: m.delta_e_2000(t, e, RENDERING, **o),
    "delta_e_quantile": lambda t, e, **o: m.delta_e_2000_quantile(t, e, RENDERING, **o),
    "weighted": lambda t, e, **o: m.weighted_mrae(
        t, e, labels=np.broadcast_to(np.arange(t.shape[-2]) % 7, t.shape[:-1]), **o
    ),
}
PERFECT = {"psnr": np.inf, "psnr_clamped": np.inf, "ssim": 1.0}
SEEDS = st.integers(0, 2**32 - 1)


def _pair(seed: int, images: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = (images, *rng.integers(11, 15, 2), 3)
    truth = rng.uniform(0.05, 1.0, shape)
    return truth, truth + rng.uniform(-0.05, 0.3) * rng.standard_normal(shape)


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=3, deadline=None)
@given(seed=SEEDS)
def test_the_truth_scores_perfectly(name, seed):
    truth, _ = _pair(seed)
    for kind in (np.asarray, torch.as_tensor):
        score = np.asarray(FUNCTIONS[name](kind(truth), kind(truth.copy())))
        np.testing.assert_array_equal(score, PERFECT.get(name, 0.0))


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=3, deadline=None)
@given(seed=SEEDS)
def test_a_batch_is_the_mean_of_its_images(name, seed):
    truth, estimate = _pair(seed, images=3)
    singles = [FUNCTIONS[name](t, e) for t, e in zip(truth, estimate, strict=True)]
    each = FUNCTIONS[name](truth, estimate, reduction="none")
    np.testing.assert_allclose(each, singles, rtol=1e-12)
    np.testing.assert_allclose(
        FUNCTIONS[name](truth, estimate), np.mean(singles, axis=0), rtol=1e-12
    )


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=3, deadline=None)
@given(seed=SEEDS)
def test_numpy_and_torch_agree(name, seed):
    pair = _pair(seed)
    expected = FUNCTIONS[name](*pair)
    np.testing.assert_allclose(
        np.asarray(FUNCTIONS[name](*map(torch.as_tensor, pair))), expected, rtol=1e-9, atol=1e-12
    )
    single = [torch.as_tensor(a, dtype=torch.float32) for a in pair]
    np.testing.assert_allclose(np.asarray(FUNCTIONS[name](*single)), expected, rtol=2e-4, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, scale=st.floats(1e-6, 1e6))
def test_relative_metrics_do_not_depend_on_exposure(seed, scale):
    truth, estimate = _pair(seed)
    for name in ("mrae", "sam", "ergas", "back_projection", "quantiles", "weighted"):
        np.testing.assert_allclose(
            FUNCTIONS[name](truth * scale, estimate * scale),
            FUNCTIONS[name](truth, estimate),
            rtol=1e-9,
        )
    assert m.rmse(truth * scale, estimate * scale) == pytest.approx(scale * m.rmse(truth, estimate))


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, factor=st.floats(0.01, 10))
def test_a_gain_error_is_its_own_mrae_and_no_angle(seed, factor):
    truth, _ = _pair(seed)
    assert m.mrae(truth, truth * factor) == pytest.approx(abs(factor - 1), abs=1e-12)
    assert m.sam(truth, truth * factor) == pytest.approx(0, abs=1e-7)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_the_order_of_pixels_does_not_matter_without_a_window(seed):
    truth, estimate = _pair(seed)
    order = np.random.default_rng(seed).permutation(truth.shape[1])
    for name in set(FUNCTIONS) - {"ssim", "weighted"}:
        np.testing.assert_allclose(
            FUNCTIONS[name](truth[:, order], estimate[:, order]),
            FUNCTIONS[name](truth, estimate),
            rtol=1e-10,
        )


LABS = hnp.arrays(np.float64, (2, 6, 3), elements=st.floats(-100, 100, width=16))


@settings(max_examples=100, deadline=None)
@given(labs=LABS)
def test_colour_difference_is_a_symmetric_distance(labs):
    labs = labs * [0.5, 1, 1] + [50, 0, 0]
    there, back = m.ciede2000(*labs), m.ciede2000(*labs[::-1])
    assert (there >= 0).all()
    np.testing.assert_allclose(there, back, rtol=1e-7, atol=1e-7)
    np.testing.assert_array_equal(m.ciede2000(labs[0], labs[0]), 0)
