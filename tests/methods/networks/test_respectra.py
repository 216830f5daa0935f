"""Respectra's network keeps by construction what it promises."""

import inspect

import numpy as np
import pytest
import torch

import respectra as rs
from respectra.errors import ConfigError
from respectra.methods import network as kinds
from respectra.methods.measure import count_gmac
from respectra.methods.networks.respectra_config import RespectraConfig


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(4)
    network = rs.build_network("respectra", preset="tiny").eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@pytest.fixture(scope="module")
def x():
    return torch.rand(2, 3, 12, 10, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "kind",
    [
        "CameraAware",
        "CaptureAware",
        "LowRankNetwork",
        "StandaloneNetwork",
        "StepAware",
        "UncertainNetwork",
    ],
)
def test_what_it_can_do_is_seen_by_every_python(net, kind):
    """From 3.12 on ``isinstance`` looks as this does: not where modules keep tensors."""
    protocol = getattr(kinds, kind)
    assert isinstance(net, protocol)
    members = {name for name in dir(protocol) if name[0] != "_"} | set(protocol.__annotations__)
    assert members
    for name in members:
        inspect.getattr_static(net, name)


@torch.inference_mode()
def seen(net, x):
    return torch.einsum("nbyx,bc->ncyx", net(x), net.camera)


def test_the_camera_sees_what_it_saw_whatever_was_learned(net, x):
    torch.testing.assert_close(seen(net, x), x, rtol=1e-4, atol=1e-5)


def test_a_new_camera_sees_what_it_saw(x):
    net = rs.build_network("respectra", preset="tiny").eval()
    before = net(x)
    camera = torch.rand(31, 3, generator=torch.Generator().manual_seed(5)) / 15
    net.set_camera(camera)
    torch.testing.assert_close(seen(net, x), x, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(net.camera, camera)
    assert not torch.allclose(before, net(x), rtol=0.05)


@pytest.mark.parametrize("factor", [0.125, 0.5, 3.0])
def test_exposure_scales_the_answer(net, x, factor):
    x = x * 0.3 + 0.05
    with torch.inference_mode():
        torch.testing.assert_close(net(x * factor), net(x) * factor, rtol=1e-3, atol=1e-5)


def test_codes_are_kept_whatever_was_learned(net):
    codes = torch.randint(0, 256, (2, 3, 16, 16), generator=torch.Generator().manual_seed(7))
    net.set_step(1 / 255)
    again = torch.floor(seen(net, codes / 255) * 255)
    net.set_step(0.0)
    assert torch.equal(again, codes.float())


def test_the_place_within_a_cell_is_learned_and_cells_scale_with_the_light(net, x):
    with torch.inference_mode():
        exact = net(x)
        net.set_step(0.02)
        coarse = net(x)
        net.set_step(0.04)
        double = net(2 * x)
        net.set_step(0.0)
    assert not torch.allclose(coarse, exact, rtol=1e-3)
    torch.testing.assert_close(double, 2 * coarse, rtol=1e-3, atol=1e-5)


def test_a_pixel_alone_is_an_image_of_one_pixel(net, x):
    with torch.inference_mode():
        alone = net.alone(x)
        torch.testing.assert_close(alone[:, :, 3:4, 5:6], net(x[:, :, 3:4, 5:6]))
        torch.testing.assert_close(alone[:1, :, :2], net.alone(x[:1, :, :2]))


def test_windows_look_no_further_than_they_say():
    torch.manual_seed(2)
    net = rs.build_network("respectra", preset="tiny", windows=(3, 7), scene=0).eval()
    image = torch.rand(1, 3, 20, 20)
    changed = image.clone()
    changed[..., 14, 14] = 0.9
    with torch.inference_mode():
        difference = (net(image) - net(changed)).abs().amax(dim=(0, 1))
    rows, columns = torch.nonzero(difference > 1e-6, as_tuple=True)
    assert rows.min() == columns.min() == 11
    assert rows.max() == columns.max() == 17
    with pytest.raises(ConfigError, match="odd"):
        rs.build_network("respectra", windows=(4,))


def test_the_order_of_pixels_has_no_influence(net, x):
    order = torch.randperm(120, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        plain = net(x).flatten(2)[..., order]
        shuffled = net(x.flatten(2)[..., order].view(2, 3, 12, 10)).flatten(2)
    torch.testing.assert_close(plain, shuffled, rtol=1e-4, atol=1e-5)


def test_the_scene_matters_and_black_pixels_are_black(net, x):
    other = x.clone()
    other[:, :, 1:] = 0.9
    with torch.inference_mode():
        assert not torch.allclose(net(x)[:, :, 0], net(other)[:, :, 0], rtol=1e-3)
        black = net(torch.zeros(1, 3, 4, 4))
    assert torch.equal(black, torch.zeros_like(black))


def test_uncertainty_is_positive_and_scales_with_the_light(net, x):
    with torch.inference_mode():
        doubt, double = net.uncertainty(x), net.uncertainty(2 * x)
    assert doubt.shape == (2, 31, 12, 10)
    assert doubt.min() > 0
    np.testing.assert_allclose(double, 2 * doubt, rtol=1e-3)


@pytest.mark.parametrize(("preset", "gmac"), [("published", 4.0), ("xs", 1.0)])
def test_it_is_as_small_as_it_says(preset, gmac):
    net = rs.build_network("respectra", preset=preset)
    assert sum(p.numel() for p in net.parameters()) < (300_000 if gmac == 4 else 75_000)
    assert count_gmac("respectra", preset=preset) < gmac


def test_older_files_call_the_layer_of_the_uncertainty_otherwise():
    config = RespectraConfig(doubt=3)
    assert config == RespectraConfig(uncertainty_width=3)
    assert "doubt" not in config.model_dump()
