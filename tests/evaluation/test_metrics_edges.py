"""What cannot be scored is refused with the reason; what can be, is."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from respectra.cubes import make_cube
from respectra.errors import ConfigError, DataError
from respectra.evaluation import metrics as m

RENDERING = m.Rendering([450, 550, 650])
FUNCTIONS = {
    "mrae": m.mrae,
    "mrae_by_band": m.mrae_by_band,
    "mrae_map": m.mrae_map,
    "mrae_exclude": lambda t, e: m.mrae(t, e, on_zero="exclude"),
    "mrae_inf": lambda t, e: m.mrae(t, e, on_zero="inf"),
    "mrae_floor": lambda t, e: m.mrae(t, e, 0.1),
    "rmse": m.rmse,
    "rmse_by_band": m.rmse_by_band,
    "psnr": m.psnr,
    "psnr_clamped": lambda t, e: m.psnr(t, e, clamp=True),
    "sam": m.sam,
    "sam_map": m.sam_map,
    "ssim": m.ssim,
    "ergas": m.ergas,
    "back_projection": lambda t, e: m.back_projection_mrae(t, e, np.ones((3, 2))),
    "quantiles": m.relative_error_quantiles,
    "weighted": lambda t, e: m.weighted_mrae(t, e, clusters=2),
    "delta_e": lambda t, e: m.delta_e_2000(t, e, RENDERING),
    "delta_e_quantile": lambda t, e: m.delta_e_2000_quantile(t, e, RENDERING),
    "delta_e_map": lambda t, e: m.delta_e_2000_map(t, e, RENDERING),
}


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_that_are_not_finite_are_counted_and_located(name, value, kind):
    truth = np.full((12, 13, 3), 0.5)
    broken = truth.copy()
    broken[3, 7, 2] = broken[5, 0, 0] = value
    with pytest.raises(DataError, match=r"got 2 NaN or infinite in estimate.*\(3, 7, 2\)"):
        FUNCTIONS[name](kind(truth), kind(broken))
    with pytest.raises(DataError, match=r"got 2 NaN or infinite in truth.*\(3, 7, 2\)"):
        FUNCTIONS[name](kind(broken), kind(truth))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_shapes_that_differ_are_refused(name):
    with pytest.raises(DataError, match=r"of one shape .* got \(12, 12, 3\) and \(12, 12, 4\)"):
        FUNCTIONS[name](np.ones((12, 12, 3)), np.ones((12, 12, 4)))


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n != "ssim"])
def test_one_pixel_is_enough(name):
    truth = np.array([[[0.2, 0.4, 0.6]]])
    assert np.isfinite(FUNCTIONS[name](truth, truth * 1.1)).all()


def test_ssim_of_less_than_a_window_is_refused():
    with pytest.raises(DataError, match="11 × 11 pixels or more for SSIM, got 10 × 20"):
        m.ssim(np.ones((10, 20, 3)), np.ones((10, 20, 3)))


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_zeros_in_the_truth(kind):
    truth = np.full((2, 2, 2), 0.5)
    truth[0, 0, 0] = truth[1, 1, 1] = 0
    truth, estimate = kind(truth), kind(np.full((2, 2, 2), 0.75))
    with pytest.raises(DataError, match=r"got 2 of 8 values zero.*give a floor"):
        m.mrae(truth, estimate)
    assert float(m.mrae(truth, estimate, on_zero="inf")) == math.inf
    assert float(m.mrae(truth, truth, on_zero="inf")) == math.inf
    assert float(m.mrae(truth, estimate, on_zero="exclude")) == pytest.approx(0.5)
    assert float(m.mrae(truth, estimate, 0.25)) == pytest.approx((6 * 0.5 + 2 * 3) / 8)
    np.testing.assert_allclose(m.mrae_by_band(truth, estimate, on_zero="exclude"), [0.5, 0.5])
    np.testing.assert_allclose(m.mrae_map(truth, estimate, on_zero="exclude"), 0.5)
    top = m.relative_error_quantiles(truth, estimate, (0.5, 0.8, 1.0), on_zero="inf")
    np.testing.assert_array_equal(top, [0.5, math.inf, math.inf])
    kept = m.relative_error_quantiles(truth, estimate, (0.0, 1.0), on_zero="exclude")
    np.testing.assert_allclose(kept, 0.5)
    with pytest.raises(DataError, match="got 2 of 8 values zero"):
        m.relative_error_quantiles(truth, estimate)
    labels = np.array([[0, 1], [1, 0]])
    assert float(
        m.weighted_mrae(truth, estimate, labels=labels, on_zero="exclude")
    ) == pytest.approx(0.5)
    assert float(m.weighted_mrae(truth, estimate, labels=labels, on_zero="inf")) == math.inf


def test_one_bad_image_of_a_batch_is_infinite_alone():
    truth = np.full((2, 1, 1, 2), 0.5)
    truth[1, 0, 0, 0] = 0
    scores = m.mrae(truth, truth * 2, on_zero="inf", reduction="none")
    np.testing.assert_array_equal(scores, [1, math.inf])


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_a_black_image(kind):
    black, grey = kind(np.zeros((12, 12, 3))), kind(np.full((12, 12, 3), 0.5))
    assert float(m.rmse(black, grey)) == 0.5
    assert float(m.psnr(black, black)) == math.inf
    assert float(m.ssim(black, black)) == 1
    assert float(m.sam(black, black)) == 0
    assert float(m.mrae(black, grey, 0.5)) == 1
    assert float(m.delta_e_2000(black, black, RENDERING)) == 0
    assert float(m.weighted_mrae(black, grey, 4, floor=0.5)) == 1
    assert float(m.ergas(black, grey, on_zero="inf")) == math.inf
    with pytest.raises(DataError, match="mean is not zero, got 3 of 3"):
        m.ergas(black, grey)
    for function in (m.mrae, m.ergas, m.relative_error_quantiles):
        with pytest.raises(DataError, match=r"Expected .* zero"):
            function(black, grey, on_zero="exclude")


def test_a_black_band_is_left_out_of_ergas(rng):
    truth, estimate = rng.uniform(0.1, 1, (2, 4, 4, 3))
    padded = [np.concatenate([a, np.zeros((4, 4, 1))], 2) for a in (truth, estimate)]
    assert m.ergas(*padded, on_zero="exclude") == pytest.approx(m.ergas(truth, estimate))


def test_integers_do_not_wrap_around():
    truth, estimate = np.full((2, 2, 2), 10, np.uint8), np.full((2, 2, 2), 20, np.uint8)
    assert m.mrae(truth, estimate) == 1
    assert m.rmse(truth, estimate) == 10
    assert m.mrae(torch.tensor(truth), torch.tensor(estimate)).item() == 1


def test_half_precision_tensors_are_computed_in_single(rng):
    truth = torch.tensor(rng.uniform(0.1, 1, (40, 40, 31))).half()
    exact = m.mrae(truth.double(), (truth * 1.5).double()).item()
    assert m.mrae(truth, truth * 1.5).item() == pytest.approx(exact, rel=1e-6)


def test_views_are_scored_as_they_are(rng):
    truth, estimate = rng.uniform(0.1, 1, (2, 24, 30, 8))[..., ::2, ::-2, 1::3]
    copies = truth.copy(), estimate.copy()
    for function in (m.mrae, m.rmse, m.sam, m.ssim):
        assert function(truth, estimate) == pytest.approx(function(*copies), rel=1e-14)


def test_inputs_stay_as_they_were(rng):
    truth, estimate = rng.uniform(0.1, 1, (2, 12, 12, 3))
    kept = truth.copy(), estimate.copy()
    for function in FUNCTIONS.values():
        function(truth, estimate)
    np.testing.assert_array_equal((truth, estimate), kept)


def test_accuracy_of_a_large_mean_in_single_precision():
    truth = np.full((600, 600, 31), 0.1, np.float32)
    estimate = np.full_like(truth, 0.3)
    exact = abs(float(truth.flat[0]) - float(estimate.flat[0])) / float(truth.flat[0])
    assert m.mrae(truth, estimate) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda a: m.mrae(a[0], a[0]), DataError, r"shape \(..., y, x, band\), got \(3, 4\)"),
        (lambda a: m.mrae(a[:0], a[:0]), DataError, "at least one pixel"),
        (lambda a: m.mrae(a, torch.tensor(a)), DataError, "one kind, got ndarray and Tensor"),
        (lambda a: m.mrae(a > 0, a > 0), DataError, "real numbers in truth, got .* bool"),
        (lambda a: m.mrae(a, a * 1j), DataError, "real numbers in estimate"),
        (lambda a: m.mrae(a, a, -1), ConfigError, "floor of 0 or more, got -1"),
        (lambda a: m.mrae(a, a, math.nan), ConfigError, "floor of 0 or more, got nan"),
        (lambda a: m.mrae(a, a, on_zero="skip"), ConfigError, "on_zero .* got 'skip'"),
        (lambda a: m.mrae(a, a, band_axis=0), ConfigError, "band_axis -1 or -3, got 0"),
        (lambda a: m.mrae(a, a, reduction="sum"), ConfigError, "reduction .* got 'sum'"),
        (lambda a: m.psnr(a, a, 0), ConfigError, "positive data_range, got 0"),
        (lambda a: m.ssim(a, a, -1), ConfigError, "positive data_range, got -1"),
        (lambda a: m.sam(a, a, "grad"), ConfigError, "'rad' or 'deg', got 'grad'"),
        (lambda a: m.ergas(a, a, 0), ConfigError, "positive ratio, got 0"),
        (lambda a: m.ergas(a, a, on_zero="x"), ConfigError, "got 'x'"),
        (lambda a: m.relative_error_quantiles(a, a, (2,)), ConfigError, r"\[0, 1\], got 2"),
        (
            lambda a: m.back_projection_mrae(a, a, np.ones((3, 3))),
            DataError,
            r"response of shape \(4, channel\), got \(3, 3\)",
        ),
        (lambda a: m.mrae(a * 1e-308, a * 1e308), DataError, "overflow"),
    ],
)
def test_bad_input_is_explained(call, error, message):
    with pytest.raises(error, match=message):
        call(np.ones((2, 3, 4)))


def test_cubes_at_other_wavelengths_are_refused():
    one = make_cube(np.ones((2, 2, 3)), [400, 410, 420])
    other = make_cube(np.ones((2, 2, 3)), [500, 510, 520])
    with pytest.raises(DataError, match="400 to 420 nm and 3 bands from 500 to 520 nm; resample"):
        m.mrae(one, other)
    response = one[0].rename(x="channel").transpose("wavelength", "channel")
    assert m.back_projection_mrae(one, one, response) == 0
    with pytest.raises(DataError, match="response at the wavelengths of the cubes"):
        m.back_projection_mrae(other, other, response)


def test_importing_loads_nothing_heavy():
    heavy = "('torch', 'sklearn', 'colour', 'cv2', 'matplotlib', 'lightning', 'torchmetrics')"
    code = f"import respectra.evaluation, sys; print([n for n in {heavy} if n in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stdout + result.stderr
