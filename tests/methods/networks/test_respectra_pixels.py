"""The network over single pixels in NumPy is the one in PyTorch."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
import xarray as xr

import respectra as rs
from respectra.errors import ConfigError, FormatError
from respectra.inference.backends import make_backend
from respectra.inference.backends.network import NetworkBackend
from respectra.inference.backends.pixels import PixelBackend
from respectra.inference.loading import find_weights
from respectra.methods import fresh_weights
from respectra.methods.networks.respectra_pixels import RespectraPixels
from respectra.methods.settings import tell

OPTIONS = {
    "first version": {"width": 12, "scene": 6},
    "alone": {"width": 12, "scene": 0},
    "told": {
        "width": 12,
        "scene": 6,
        "told": 5,
        "residual": True,
        "windows": (3,),
        "denoiser": 4,
    },
}


def backends(weights):
    return make_backend(weights, device="cpu", engine="auto"), NetworkBackend(weights)


def picture(height=37, width=60):
    return np.random.default_rng(1).random((height, width, 3), dtype=np.float32) ** 3


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("bits", [8, 32])
def test_values_are_those_of_pytorch(options, bits):
    ours, torchs = backends(fresh_weights("respectra", **options))
    assert isinstance(ours, PixelBackend)
    pixels = picture()
    pixels[:2] = 0
    with ours.conditioned(bits), torchs.conditioned(bits):
        expected = torchs(pixels)
        np.testing.assert_allclose(ours(pixels), expected, atol=2e-6 * np.abs(expected).max())


def test_shipped_weights_told_of_a_capture():
    capture = rs.Capture(camera="ampas-nikon-d5100", light="A")
    image = rs.make_image(picture(), bits=8)
    ours, torchs = (rs.load(capture=capture, engine=engine) for engine in ("auto", "torch"))
    assert isinstance(ours.backend, PixelBackend)
    expected = torchs(image)
    limit = 2e-6 * float(abs(expected).max())
    np.testing.assert_allclose(ours(image), expected, atol=limit)
    assert ours.signature() == torchs.signature()
    for got, wanted in zip(
        ours.with_uncertainty(image), torchs.with_uncertainty(image), strict=True
    ):
        np.testing.assert_allclose(got, wanted, atol=1e-5 * float(abs(wanted).max()))
    low, expected_low = ours.low_rank(image), torchs.low_rank(image)
    np.testing.assert_allclose(low.basis, expected_low.basis, atol=1e-6)
    np.testing.assert_allclose(np.asarray(low), expected, atol=10 * limit)


def test_telling_gives_the_weights_that_the_network_would_have():
    weights = find_weights("default")
    camera = np.random.default_rng(0).random((31, 3))
    facts = {"light": "told", "camera_known": False, "noise": (0.01, 0.002)}
    told = tell(weights, camera, **facts)
    network = NetworkBackend(weights).network
    network.set_capture(torch.from_numpy(camera), **facts)
    assert told.config.denoises
    for name, tensor in network.state_dict().items():
        np.testing.assert_allclose(told.tensors[name], tensor, rtol=1e-5, atol=1e-6, err_msg=name)
    with pytest.raises(ConfigError, match="first version"):
        tell(fresh_weights("respectra", preset="xs"), camera, light="told")


def test_what_is_not_of_single_pixels_runs_in_pytorch():
    noisy = find_weights("default", track="real-world")
    assert isinstance(make_backend(noisy, engine="auto"), NetworkBackend)
    windows = fresh_weights("respectra", preset="tiny", windows=(3,), noise=0.01)
    assert isinstance(make_backend(windows, engine="auto"), NetworkBackend)
    assert isinstance(make_backend(find_weights("default"), engine="torch"), NetworkBackend)


def test_tiles_with_given_means_are_the_whole():
    whole, tiled = (rs.load(tile=tile) for tile in (None, 32))
    image = rs.make_image(picture(70, 90), bits=8)
    expected = whole(image)
    np.testing.assert_allclose(tiled(image), expected, atol=2e-6 * float(expected.max()))


def test_older_names_and_damaged_weights():
    weights = find_weights("default")
    older = {
        name.replace("scene_encoder1", "look1").replace("offset_head", "place"): tensor
        for name, tensor in weights.tensors.items()
    }
    again = RespectraPixels(weights.config, older)
    assert set(again.tensors) == set(weights.tensors)
    less = {name: t for name, t in weights.tensors.items() if name != "first.weight"}
    with pytest.raises(FormatError, match=r"do not fit respectra.*'first.weight' is missing"):
        make_backend(dataclasses.replace(weights, tensors=less), engine="auto")


def test_a_photograph_needs_no_pytorch(tmp_path):
    """It is most of what a short command would load."""
    rs.save_image(rs.make_image(picture(), encoding="srgb"), tmp_path / "photo.png")
    code = """
import sys
sys.argv = ["respectra", "reconstruct", "photo.png", "-o", "cube.zarr"]
from respectra.cli import main
try:
    main()
finally:
    print("torch" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip().endswith("False"), done.stdout + done.stderr
    assert isinstance(rs.open_cube(tmp_path / "cube.zarr"), xr.DataArray)
