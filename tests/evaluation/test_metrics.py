"""Errors, angle and structure against the formula written out or another library."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torchmetrics.functional.image as tmi

from respectra.cubes import make_cube
from respectra.evaluation import metrics as m


@pytest.fixture
def pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    truth = rng.uniform(0.05, 1.0, (3, 4, 5))
    return truth, truth * rng.uniform(0.8, 1.2, truth.shape)


def _loop(truth, estimate, term):
    return [term(float(t), float(e)) for t, e in zip(truth.flat, estimate.flat, strict=True)]


def test_mrae_is_the_mean_of_relative_errors(pair):
    expected = math.fsum(_loop(*pair, lambda t, e: abs(t - e) / t)) / 60
    assert m.mrae(*pair) == pytest.approx(expected, rel=1e-14)


def test_mrae_with_a_floor_divides_by_no_less(pair):
    expected = math.fsum(_loop(*pair, lambda t, e: abs(t - e) / max(t, 0.4))) / 60
    assert m.mrae(*pair, 0.4) == pytest.approx(expected, rel=1e-14)


def test_mrae_by_band_and_by_pixel(pair):
    errors = np.abs(pair[0] - pair[1]) / pair[0]
    np.testing.assert_allclose(m.mrae_by_band(*pair), errors.mean((0, 1)))
    np.testing.assert_allclose(m.mrae_map(*pair), errors.mean(2))


def test_rmse_over_all_and_by_band(pair):
    expected = math.sqrt(math.fsum(_loop(*pair, lambda t, e: (t - e) ** 2)) / 60)
    assert m.rmse(*pair) == pytest.approx(expected, rel=1e-14)
    by_band = m.rmse_by_band(*pair)
    assert math.sqrt((by_band**2).mean()) == pytest.approx(expected, rel=1e-12)


def test_psnr_declares_its_range(pair):
    mse = math.fsum(_loop(*pair, lambda t, e: (t - e) ** 2)) / 60
    assert m.psnr(*pair) == pytest.approx(-10 * math.log10(mse), rel=1e-12)
    assert m.psnr(*pair, 2.0) == pytest.approx(10 * math.log10(4 / mse), rel=1e-12)


def test_clamped_psnr_is_the_toolbox_convention_in_255ths(pair):
    truth, estimate = pair[0], pair[1] * 1.5 - 0.2
    scaled = [np.clip(a, 0, 1) * 255 for a in (truth, estimate)]
    expected = 10 * math.log10(255**2 / np.mean((scaled[0] - scaled[1]) ** 2))
    assert m.psnr(truth, estimate, clamp=True) == pytest.approx(expected, rel=1e-12)
    assert m.psnr(truth, estimate, clamp=True) != pytest.approx(m.psnr(truth, estimate))


def test_back_projection_compares_camera_signals(pair, rng):
    response = rng.uniform(0, 1, (5, 3))
    signals = [np.einsum("yxb,bc->yxc", a, response) for a in pair]
    expected = np.mean(np.abs(signals[0] - signals[1]) / signals[0])
    assert m.back_projection_mrae(*pair, response) == pytest.approx(expected, rel=1e-12)


def test_quantiles_of_relative_errors(pair):
    errors = np.abs(pair[0] - pair[1]) / pair[0]
    levels = (0.0, 0.1, 0.5, 0.95, 1.0)
    np.testing.assert_allclose(
        m.relative_error_quantiles(*pair, levels), np.quantile(errors, levels), rtol=1e-13
    )


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(array).movedim(-1, -3)[None]


def test_sam_agrees_with_torchmetrics(pair):
    expected = tmi.spectral_angle_mapper(_tensor(pair[1]), _tensor(pair[0])).item()
    assert m.sam(*pair) == pytest.approx(expected, rel=1e-7)
    assert m.sam(*pair, "deg") == pytest.approx(math.degrees(expected), rel=1e-7)
    assert m.sam_map(*pair).mean() == pytest.approx(expected, rel=1e-7)


def test_sam_keeps_small_angles_in_single_precision():
    truth = np.zeros((1, 1, 2), np.float32)
    truth[..., 0] = 1
    estimate = truth + np.array([0, 1e-5], np.float32)
    assert m.sam(truth, estimate) == pytest.approx(1e-5, rel=1e-6)
    assert m.sam(torch.tensor(truth), torch.tensor(estimate)).item() == pytest.approx(1e-5, 1e-5)


def test_sam_of_black_spectra_is_a_right_angle_unless_both_are_black(pair):
    black = np.zeros_like(pair[0])
    assert m.sam(pair[0], black, "deg") == m.sam(black, pair[0], "deg") == 90
    assert m.sam(black, black) == 0


def test_ergas_agrees_with_torchmetrics(pair):
    expected = tmi.error_relative_global_dimensionless_synthesis(
        _tensor(pair[1]), _tensor(pair[0]), ratio=4
    ).item()
    assert m.ergas(*pair, 4) == pytest.approx(expected, rel=1e-6)
    assert m.ergas(*pair) == pytest.approx(4 * expected, rel=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(11, 11, 1), (47, 83, 3), (12, 140, 34)])
def test_ssim_agrees_with_scikit_image_and_torchmetrics(rng, shape, dtype):
    skimage = pytest.importorskip("skimage.metrics", reason="needs scikit-image, of the extra dev")
    truth = rng.uniform(0, 1, shape).astype(dtype)
    estimate = (truth + 0.1 * rng.standard_normal(shape)).astype(dtype)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = skimage.structural_similarity(
        truth.astype(np.float64), estimate, data_range=1.0, channel_axis=2, **options
    )
    tolerance = 1e-6 if dtype is np.float32 else 1e-12
    assert m.ssim(truth, estimate) == pytest.approx(expected, abs=tolerance)
    ours = m.ssim(torch.tensor(truth), torch.tensor(estimate)).item()
    assert ours == pytest.approx(expected, abs=1e-5)
    _, full = tmi.structural_similarity_index_measure(
        _tensor(estimate), _tensor(truth), data_range=1.0, return_full_image=True
    )
    inside = full[..., 5:-5, 5:-5]  # torchmetrics counts windows beyond the edge too
    assert ours == pytest.approx(inside.mean().item(), abs=1e-5)


def test_ssim_takes_the_range_it_is_told(rng):
    truth, estimate = rng.uniform(0, 1, (2, 16, 16, 2))
    assert m.ssim(4095 * truth, 4095 * estimate, 4095) == pytest.approx(m.ssim(truth, estimate))


def test_images_of_a_batch_are_scored_one_by_one(pair):
    batch = [np.stack([a, a[::-1] * 0.5, a**2]) for a in pair]
    singles = [m.rmse(t, e) for t, e in zip(*batch, strict=True)]
    np.testing.assert_allclose(m.rmse(*batch, reduction="none"), singles)
    assert m.rmse(*batch) == pytest.approx(np.mean(singles))


def test_bands_first(pair):
    moved = [np.moveaxis(a, -1, 0) for a in pair]
    assert m.mrae(*moved, band_axis=-3) == m.mrae(*pair)
    assert m.sam(*moved, band_axis=-3) == m.sam(*pair)


def test_cubes_are_taken_whatever_the_order_of_their_dimensions(pair):
    cubes = [make_cube(a, np.arange(400, 450, 10)) for a in pair]
    expected = m.mrae(*[c.values for c in cubes])
    assert m.mrae(*cubes) == expected
    assert m.mrae(*[c.transpose("wavelength", "y", "x") for c in cubes]) == expected


def test_blocks_do_not_show(rng):
    truth = rng.uniform(0.1, 1, (301, 97, 31)).astype(np.float32)
    estimate = truth * 1.1
    exact = [a.astype(np.float64) for a in (truth, estimate)]
    expected = np.mean(np.abs(exact[0] - exact[1]) / exact[0])
    assert m.mrae(truth, estimate) == pytest.approx(expected, rel=1e-12)


def test_losses_have_gradients_even_at_the_truth(rng):
    truth = torch.tensor(rng.uniform(0.1, 1, (2, 12, 13, 4)))
    rendering = m.Rendering([450, 520, 580, 640])
    losses = {
        "mrae": lambda e: m.mrae(truth, e),
        "mrae_by_band": lambda e: m.mrae_by_band(truth, e).sum(),
        "exclude": lambda e: m.mrae(truth * (truth > 0.3), e, on_zero="exclude"),
        "rmse": lambda e: m.rmse(truth, e),
        "sam": lambda e: m.sam(truth, e),
        "ssim": lambda e: m.ssim(truth, e),
        "ergas": lambda e: m.ergas(truth, e),
        "back": lambda e: m.back_projection_mrae(truth, e, torch.ones(4, 3)),
        "weighted": lambda e: m.weighted_mrae(truth, e, clusters=3),
        "quantiles": lambda e: m.relative_error_quantiles(truth, e).sum(),
        "colour": lambda e: m.delta_e_2000(truth, e, rendering),
    }
    for name, loss in losses.items():
        for start in (truth.clone(), truth * 1.1, torch.zeros_like(truth)):
            estimate = start.requires_grad_()
            loss(estimate).backward()
            assert bool(estimate.grad.isfinite().all()), name


def test_gradient_of_sam_is_its_derivative(rng):
    truth = torch.tensor(rng.uniform(0.1, 1, (2, 2, 3)))
    estimate = torch.tensor(rng.uniform(0.1, 1, (2, 2, 3)), requires_grad=True)
    assert torch.autograd.gradcheck(lambda e: m.sam(truth, e), estimate)
