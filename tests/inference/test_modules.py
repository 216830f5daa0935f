"""Reconstructors of modules at hand: what is measured of them, and that tiles are exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import respectra as rs
from respectra.cameras import Capture
from respectra.datasets.still_life import still_life
from respectra.errors import ConfigError, OutputError
from respectra.inference.engines.onnx import export_onnx
from respectra.inference.modules import from_module, measure_module
from respectra.inference.tables import bake
from respectra.methods import Contract, get_network, save_weights
from respectra.methods.networks.hscnn_r import HscnnRConfig


class UNet(nn.Module):
    """Two resolutions; takes multiples of 4 alone."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 8, 3, padding=1)
        self.down = nn.Conv2d(8, 8, 4, stride=4)
        self.up = nn.ConvTranspose2d(8, 8, 4, stride=4)
        self.tail = nn.Conv2d(8, 31, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.head(x))
        return self.tail(x + self.up(F.relu(self.down(x))))


class Global(nn.Module):
    """Every pixel sees the mean of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.tail = nn.Conv2d(3, 31, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(x / x.mean(dim=(2, 3), keepdim=True))


class Placed(nn.Module):
    """What it gives depends on the row."""

    def forward(self, x: Tensor) -> Tensor:
        rows = torch.arange(x.shape[2], dtype=x.dtype)[:, None] / 1000
        return x.mean(dim=1, keepdim=True).expand(-1, 31, -1, -1) + rows


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def image():
    return rs.get_track("clean").render(still_life(90, 110, seed=0))


@pytest.mark.parametrize(
    ("make", "multiple", "radius", "grid"),
    [
        (lambda: nn.Conv2d(3, 31, 1), 1, 0, 1),
        (lambda: nn.Conv2d(3, 31, 7, padding=3), 1, 3, 1),
        (lambda: nn.Conv2d(3, 31, 3, padding=20, dilation=20), 1, 20, 1),
        (lambda: get_network("hscnn-r").network(HscnnRConfig(width=8, blocks=3)), 1, 9, 1),
        (UNet, 4, 5, 4),
        (Global, 1, None, 1),
        (Placed, 1, None, 1),
    ],
    ids=["1x1", "7x7", "dilated", "hscnn-r", "U-Net", "global", "placed"],
)
def test_receptive_field_and_multiple_are_measured(make, multiple, radius, grid):
    found = measure_module(make().eval())
    assert (found.bands, found.multiple, found.radius) == (31, multiple, radius)
    assert found.grid == grid


def test_a_closed_rectifier_hides_nothing():
    net = nn.Sequential(nn.Conv2d(3, 4, 5, padding=2), nn.ReLU(), nn.Conv2d(4, 31, 3, padding=1))
    nn.init.constant_(net[0].bias, -100.0)
    nn.init.zeros_(net[2].weight)
    assert measure_module(net.eval()).radius == 3


@pytest.mark.parametrize("make", [UNet, lambda: nn.Conv2d(3, 31, 9, padding=4)])
def test_tiles_give_what_the_whole_image_gives(make, image):
    net = make()
    whole = rs.from_module(net, tile=None)(image)
    tiles = rs.from_module(net, tile=24)(image)
    scale = np.abs(whole.values).max()
    assert np.abs(whole.values - tiles.values).max() <= 1e-5 * scale
    assert whole.attrs["method"] == "module"
    assert "tiling" not in tiles.attrs


def test_the_answer_is_the_module_s_own(image):
    net = nn.Conv2d(3, 31, 3, padding=1)
    cube = rs.from_module(net, name="mine")(image)
    batch = torch.from_numpy(image.values).permute(2, 0, 1)[None]
    np.testing.assert_allclose(
        cube.values, net(batch)[0].permute(1, 2, 0).detach().numpy(), rtol=1e-5, atol=1e-6
    )
    assert cube.attrs["source"] == "reconstructed by mine"


def test_an_unbounded_one_is_never_cut(image):
    rec = rs.from_module(Global(), tile=16)
    assert rec.layout(90, 110).whole
    assert rec.card.tiling.value == "whole image only"


def test_memory_is_measured_and_kept_to():
    rec = rs.from_module(nn.Conv2d(3, 31, 9, padding=4), max_memory="8GB")
    assert rec.layout(3000, 3000).count > 1
    with pytest.raises(ConfigError, match="too little for module"):
        rs.from_module(nn.Conv2d(3, 31, 9, padding=4), max_memory="1MB")(
            rs.make_image(np.full((600, 600, 3), 0.5))
        )


def test_guarantees_hold(image):
    cube = rs.from_module(UNet(), guarantees=["consistent", "non-negative"])(image)
    assert float(cube.min()) >= 0
    again = rs.get_track("clean").render(cube)
    np.testing.assert_array_equal(again.values, image.values)


def test_the_module_itself_is_left_as_it_was():
    net = nn.Sequential(nn.Conv2d(3, 31, 1), nn.Dropout(0.5)).train()
    rec = rs.from_module(net)
    assert net.training
    assert all(parameter.requires_grad for parameter in net.parameters())
    before = rec.predict(np.full((2, 2, 3), 0.5, np.float32))
    nn.init.zeros_(net[0].weight)
    np.testing.assert_array_equal(rec.predict(np.full((2, 2, 3), 0.5, np.float32)), before)


def test_contract_and_bands():
    net = nn.Conv2d(3, 4, 1)
    with pytest.raises(ConfigError, match=r"gives 4 bands, and 31 .*state them"):
        rs.from_module(net)
    rec = rs.from_module(net, wavelengths_nm=[450, 500, 550, 600])
    assert rec.contract.wavelengths_nm == (450, 500, 550, 600)
    contract = Contract(track="real-world", channel_order="BGR")
    rec = rs.from_module(net, contract, wavelengths_nm=[450, 500, 550, 600])
    assert rec.contract.track == "real-world"
    swapped = rec.predict(np.array([[[0.1, 0.2, 0.3]]], np.float32))[0, 0]
    wanted = net(torch.tensor([0.3, 0.2, 0.1])[None, :, None, None])[0, :, 0, 0]
    np.testing.assert_allclose(swapped, wanted.detach(), rtol=1e-5)


def test_another_module_has_another_signature():
    first, second = nn.Conv2d(3, 31, 1), nn.Conv2d(3, 31, 1)
    relu = nn.Sequential(first, nn.ReLU())
    prints = {rs.from_module(net).signature() for net in (first, second, relu)}
    assert len(prints) == 3
    assert rs.from_module(first).signature() in prints


def test_its_weights_are_not_saved_baked_or_exported(tmp_path):
    weights = rs.from_module(nn.Conv2d(3, 31, 1), name="hscnn-r").weights
    for make in (
        lambda: save_weights(weights, tmp_path / "a.safetensors"),
        lambda: bake(weights),
        lambda: export_onnx(weights, tmp_path / "a.onnx"),
    ):
        with pytest.raises(ConfigError, match=r"needs a registered method.*docs/plugins.md"):
            make()
    assert not list(tmp_path.iterdir())


def test_photographs_and_captures(image):
    rec = rs.from_module(nn.Conv2d(3, 31, 3, padding=1), tile=32)
    photograph = rs.make_image(image.values, encoding="srgb", bits=8)
    cube = rec(photograph)
    assert cube.attrs["quantity"] == "reflectance"
    assert "3 x 3 matrix" in cube.attrs["camera_matrix"]
    capture = Capture(camera="nikon-5100-npl", light="D65")
    bound = rec.with_capture(capture)
    assert bound(image).attrs["camera"] == "nikon-5100-npl"
    assert bound.layout(90, 110).count == rec.layout(90, 110).count > 1


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("hscnn-r", "takes a torch.nn.Module; got a str"),
        (nn.Conv2d(4, 31, 1), r"takes no images .*fails on an image"),
        (nn.Conv2d(3, 31, 3), r"has to give as many as it is given"),
        (nn.Flatten(), r"gives \(n, bands, y, x\); one image gives"),
    ],
)
def test_what_is_no_such_module_is_refused(module, message):
    with pytest.raises(ConfigError, match=message):
        from_module(module)


def test_options_are_those_of_a_reconstructor(image):
    net = nn.Conv2d(3, 31, 1)
    with pytest.raises(ConfigError, match="in PyTorch alone; got engine='onnx'"):
        rs.from_module(net, engine="onnx")
    with pytest.raises(ConfigError, match="a radius is"):
        rs.from_module(net, radius=-1)
    assert rs.from_module(net, radius=7).layout(4000, 4000, held=0).halo == 8


def test_it_streams_pictures_from_files(tmp_path, image):
    from respectra.inference import reconstruct_file

    rs.save_image(image, tmp_path / "a.png")
    rec = rs.from_module(nn.Conv2d(3, 31, 3, padding=1), tile=32)
    reconstruct_file(rec, tmp_path / "a.png", tmp_path / "a.zarr")
    cube = rs.open_cube(tmp_path / "a.zarr")
    assert cube.shape == (90, 110, 31)
    with pytest.raises(OutputError):
        reconstruct_file(rec, tmp_path / "a.png", tmp_path / "a.zarr")
