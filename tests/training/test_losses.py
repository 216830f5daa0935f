"""Losses, against references written another way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from respectra.cameras import get_track
from respectra.cubes import make_cube
from respectra.errors import ConfigError, FormatError
from respectra.evaluation import metrics
from respectra.methods import Contract
from respectra.training import losses
from respectra.training.losses import CameraLoss, FeatureLoss, Loss
from respectra.training.recipe import CameraTerm, FeatureTerm, LossRecipe

CONTRACT = Contract()
GRID = np.asarray(CONTRACT.wavelengths_nm)


@pytest.fixture
def pair(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Estimate and truth, (2, 31, 16, 16)."""
    truth = rng.uniform(0.05, 0.6, (2, 31, 16, 16)).astype(np.float32)
    estimate = truth * rng.uniform(0.9, 1.1, truth.shape).astype(np.float32)
    return torch.from_numpy(estimate), torch.from_numpy(truth)


def _rows(tensor: torch.Tensor) -> np.ndarray:
    """(n, band, y, x) -> (n, y, x, band)."""
    return tensor.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("floor", [0.0, 0.2])
def test_mrae_is_the_metric(pair: tuple[torch.Tensor, torch.Tensor], floor: float) -> None:
    estimate, truth = pair
    expected = metrics.mrae(_rows(truth), _rows(estimate), floor)
    assert float(losses.mrae(estimate, truth, floor)) == pytest.approx(expected, rel=1e-5)


def test_physical_term_is_the_metric(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    estimate, truth = pair
    camera = get_track("clean")
    matrix = camera.response_matrix(GRID)
    expected = metrics.back_projection_mrae(_rows(truth), _rows(estimate), matrix)
    loss = Loss(LossRecipe(physical={"floor": 0.0}), camera, CONTRACT)
    total, _ = loss(estimate, truth, torch.zeros(2, 3, 16, 16))
    assert float(total) == pytest.approx(expected, rel=1e-4)


def test_a_perfect_estimate_costs_nothing(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    _, truth = pair
    recipe = LossRecipe(mrae={}, l1={}, l2={}, relative_l2={}, ssim={}, laplacian={}, physical={})
    total, terms = Loss(recipe, get_track("clean"), CONTRACT)(truth, truth, truth[:, :3])
    assert float(total) == pytest.approx(0, abs=1e-6)
    assert set(terms) == {name for name, _ in recipe.terms()}


def test_the_sum_is_weighted(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    estimate, truth = pair
    recipe = LossRecipe(l1={"weight": 10}, ssim={"weight": 1}, laplacian={"weight": 0.5})
    total, terms = Loss(recipe, get_track("clean"), CONTRACT)(estimate, truth, truth[:, :3])
    expected = 10 * terms["l1"] + terms["ssim"] + 0.5 * terms["laplacian"]
    assert float(total) == pytest.approx(float(expected), rel=1e-6)
    assert float(terms["l1"]) == pytest.approx(float((estimate - truth).abs().mean()), rel=1e-6)


def test_laplacian_is_scipys(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    estimate, truth = pair
    kernel = ndimage.generate_binary_structure(2, 1).astype(float)
    kernel[1, 1] = -4
    difference = [
        ndimage.convolve(band, kernel)[1:-1, 1:-1]
        for image in (estimate - truth).numpy()
        for band in image
    ]
    expected = np.abs(difference).mean()
    assert float(losses.laplacian_l1(estimate, truth)) == pytest.approx(expected, rel=1e-4)


def test_ssim_is_the_metric_of_the_same_window(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    skimage = pytest.importorskip("skimage.metrics")
    estimate, truth = pair
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = [
        skimage.structural_similarity(t, e, data_range=1.0, **options)
        for es, ts in zip(estimate.numpy(), truth.numpy(), strict=True)
        for e, t in zip(es, ts, strict=True)
    ]
    measured = 1 - float(losses.one_minus_ssim(estimate, truth))
    assert measured == pytest.approx(np.mean(expected), abs=2e-3)


def test_ssim_refuses_patches_smaller_than_its_window() -> None:
    with pytest.raises(ConfigError, match=r"at least 11 x 11.*patches\.size"):
        losses.one_minus_ssim(torch.ones(1, 2, 8, 8), torch.ones(1, 2, 8, 8))


def test_the_camera_term_as_intended_is_zero_for_the_truth_and_teaches(
    rng: np.random.Generator,
) -> None:
    values = rng.uniform(0.02, 0.5, (8, 8, 31)).astype(np.float32)
    camera = get_track("clean")
    image = torch.from_numpy(camera.render(make_cube(values, GRID)).values.copy())
    image = image.permute(2, 0, 1)[None]
    truth = torch.from_numpy(values).permute(2, 0, 1)[None]
    term = CameraLoss(camera, CONTRACT, CameraTerm())
    # A signal on the edge of a code may fall to either side in float32.
    assert float(term(truth, image)) <= 2 / 255 / truth.shape[-1] ** 2 / 3
    estimate = (1.2 * truth).requires_grad_()
    term(estimate, image).backward()
    assert estimate.grad is not None
    assert (estimate.grad > 0).float().mean() > 0.9


def test_the_camera_term_as_released_has_no_gradient_and_the_wrong_scale(
    rng: np.random.Generator,
) -> None:
    values = rng.uniform(0.02, 0.5, (8, 8, 31)).astype(np.float32)
    camera = get_track("clean")
    image = torch.from_numpy(camera.render(make_cube(values, GRID)).values.copy())
    truth = torch.from_numpy(values).permute(2, 0, 1)[None].requires_grad_()
    term = CameraLoss(camera, CONTRACT, CameraTerm(gradient="none"))
    value = term(truth, image.permute(2, 0, 1)[None])
    assert not value.requires_grad
    assert float(value) > 1e-4  # 255 where the track divides by 256


def test_the_camera_term_needs_the_scenes_exposure() -> None:
    with pytest.raises(ConfigError, match="exposed"):
        CameraLoss(get_track("exposed"), CONTRACT, CameraTerm())


def _vgg_state() -> dict[str, torch.Tensor]:
    """A small stand-in with the layout of torchvision's VGG-16 with batch norm."""
    torch.manual_seed(0)
    widths: list[int | None] = [64, 64, None, 128, 128, None, 256, 256, 256, None]
    widths += [512, 512, 512, None, 512, 512, 512, None]
    layers: list[nn.Module] = []
    channels = 3
    for width in widths:
        if width is None:
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
    state = nn.Sequential(*layers).state_dict()
    return {f"features.{k}": v for k, v in state.items()} | {"classifier.0.bias": torch.ones(1)}


def test_the_feature_term_compares_the_features_of_a_supplied_network(tmp_path: Path) -> None:
    state = _vgg_state()
    torch.save(state, tmp_path / "vgg.pth")
    term = FeatureTerm(weights_file=str(tmp_path / "vgg.pth"))
    loss = FeatureLoss(term, bands=31)
    first = loss.slices[0][0].weight
    torch.testing.assert_close(first[:, 30], state["features.0.weight"][:, 0])
    torch.testing.assert_close(first[:, 4], state["features.0.weight"][:, 1])
    truth = torch.rand(1, 31, 32, 32)
    estimate = (truth * 0.9).requires_grad_()
    assert float(loss(truth, truth)) == 0
    value = loss(estimate, truth)
    value.backward()
    assert float(value.detach()) > 0
    assert estimate.grad is not None
    assert not any(p.requires_grad for p in loss.parameters())
    # Features are taken after 7, 10 and 13 convolutions, before each of the last poolings.
    convolutions = [sum(isinstance(m, nn.Conv2d) for m in piece) for piece in loss.slices]
    assert convolutions == [7, 3, 3]


def test_the_feature_term_without_its_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"vgg16_bn.*loss\.feature"):
        FeatureLoss(FeatureTerm(weights_file=str(tmp_path / "none.pth")), bands=31)
    (tmp_path / "junk.pth").write_bytes(b"junk")
    with pytest.raises(FormatError, match="no state dict of VGG-16"):
        FeatureLoss(FeatureTerm(weights_file=str(tmp_path / "junk.pth")), bands=31)
    torch.save({"features.0.weight": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(FormatError, match="1 layers where 26"):
        FeatureLoss(FeatureTerm(weights_file=str(tmp_path / "other.pth")), bands=31)


def test_a_loss_without_terms_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one term"):
        LossRecipe()
