"""On a graphics processor: the answers of the processor, also in half precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import respectra as rs
from respectra.datasets.still_life import still_life
from respectra.errors import ConfigError
from respectra.inference import Reconstructor
from respectra.inference.networks import HALF_TOLERANCE
from respectra.methods import fresh_weights, get_card, list_methods
from respectra.training import change_recipe, load_recipe, train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

DEVICE = "cuda"
NETWORKS = tuple(name for name in list_methods() if get_card(name).kind == "network")
#: Of single precision, over the largest value. TF32, which has three digits, is beyond it.
TOLERANCE = 2e-4


@pytest.fixture
def image() -> xr.DataArray:
    return rs.get_track("clean").render(still_life(64, 80, seed=1))


def off(one: xr.DataArray, other: xr.DataArray) -> float:
    return float(abs(one - other).max()) / float(abs(other).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_the_answers_are_those_of_the_processor(name: str, rng: np.random.Generator):
    weights = fresh_weights(name, preset="tiny")
    image = rs.make_image(rng.random((48, 64, 3)), bits=32)
    expected = Reconstructor(weights, device="cpu", engine="plain")(image)
    assert off(Reconstructor(weights, device=DEVICE)(image), expected) <= TOLERANCE


@pytest.mark.parametrize("name", NETWORKS)
def test_half_precision_is_near_or_refused(name: str, rng: np.random.Generator):
    weights = fresh_weights(name, preset="tiny")
    image = rs.make_image(rng.random((48, 64, 3)), bits=32)
    try:
        half = Reconstructor(weights, device=DEVICE, engine="half")
    except ConfigError:
        pytest.skip("not accurate enough, and refused")
    far = abs(half(image) - Reconstructor(weights, device=DEVICE)(image))
    assert float(far.quantile(0.99)) <= HALF_TOLERANCE * float(abs(half(image)).max())


@pytest.mark.parametrize("name", ["hscnn-r", "mst-plus-plus", "respectra"])
def test_tiles_are_put_together(name: str, rng: np.random.Generator):
    weights = fresh_weights(name, preset="tiny")
    image = rs.make_image(rng.random((96, 128, 3)), bits=32)
    here, there = (Reconstructor(weights, device=d, tile=64)(image) for d in ("cpu", DEVICE))
    assert there.attrs.get("tiling") == here.attrs.get("tiling")
    assert off(there, here) <= TOLERANCE


def test_the_setting_of_products_is_as_before(image: xr.DataArray):
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    rs.load("respectra", device=DEVICE)(image)
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == before


@pytest.mark.parametrize("tile", [None, 32])
def test_guarantees_and_references_are_kept_there(image: xr.DataArray, tile: int | None):
    scene, clean = still_life(64, 80, seed=1), rs.get_track("clean")
    y, x = np.random.default_rng(0).integers(0, 64, (2, 24))
    spots = rs.References(np.stack([y, x], axis=1), scene.values[y, x], scene["wavelength"].values)
    cubes = []
    for device in ("cpu", DEVICE):
        names = ("consistent", "non-negative")
        method = rs.load("respectra", device=device, engine="plain", guarantees=names, tile=tile)
        cubes.append(method.with_references(image, spots)(image))
    far = np.abs(cubes[1].values - cubes[0].values).max(axis=2)
    assert np.quantile(far, 0.99) <= 2e-3 * float(cubes[0].max())
    np.testing.assert_array_equal(clean.render(cubes[1]).values, image.values)


def test_a_noisy_camera_is_agreed_with_there():
    image = rs.get_track("real-world").render(still_life(64, 80, seed=1))
    here, there = (
        rs.load(track="real-world", device=device, guarantees="consistent", tile=None)(image)
        for device in ("cpu", DEVICE)
    )
    far = np.abs(there.values - here.values).max(axis=2)
    assert np.quantile(far, 0.99) <= 2e-3 * float(here.max())


def test_a_capture_is_told_there(image: xr.DataArray):
    capture = rs.Capture(camera="ampas-nikon-d700", light="A")
    here, there = (
        rs.load("respectra", device=device)(image, capture=capture) for device in ("cpu", DEVICE)
    )
    assert off(there, here) <= TOLERANCE
    assert there.attrs["quantity"] == here.attrs["quantity"]


def test_uncertainty_is_said_there(image: xr.DataArray):
    here, there = (
        rs.load("respectra", device=device).with_uncertainty(image) for device in ("cpu", DEVICE)
    )
    assert off(there[0], here[0]) <= TOLERANCE
    assert off(there[1], here[1]) <= 10 * TOLERANCE


def test_a_self_ensemble_is_put_together(rng: np.random.Generator):
    weights = fresh_weights("hscnn-r", preset="tiny")
    image = rs.make_image(rng.random((48, 64, 3)), bits=32)
    here, there = (
        Reconstructor(weights, device=device, self_ensemble="flips").with_uncertainty(image)
        for device in ("cpu", DEVICE)
    )
    assert off(there[0], here[0]) <= TOLERANCE
    assert off(there[1], here[1]) <= 10 * TOLERANCE


def test_low_rank_answers_are_those_of_the_processor(image: xr.DataArray):
    here, there = (
        rs.load("respectra", device=device).low_rank(image).to_cube() for device in ("cpu", DEVICE)
    )
    assert off(there, here) <= TOLERANCE


def test_a_module_is_run_there(rng: np.random.Generator):
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 31, 5, padding=2), torch.nn.Softplus())
    image = rs.make_image(rng.random((33, 47, 3)), bits=32)
    here, there = (rs.from_module(module, device=device)(image) for device in ("cpu", DEVICE))
    assert off(there, here) <= TOLERANCE


def test_files_are_recovered_piece_by_piece(tmp_path: Path, image: xr.DataArray):
    rs.save_image(image, tmp_path / "in.png")
    cubes = []
    for name, device in (("here", "cpu"), ("there", DEVICE)):
        method = rs.load("respectra", device=device, tile=32, guarantees="consistent")
        rs.reconstruct_file(method, tmp_path / "in.png", tmp_path / f"{name}.zarr", kind="clean")
        cubes.append(rs.open_cube(tmp_path / f"{name}.zarr"))
    far = np.abs(cubes[1].values - cubes[0].values).max(axis=2)
    assert np.quantile(far, 0.99) <= 2e-3 * float(cubes[0].max())


def test_chunks_are_recovered_there(image: xr.DataArray):
    pytest.importorskip("dask")
    chunks = image.chunk(y=32, x=32)
    here, there = (
        rs.reconstruct_lazily(chunks, rs.load("respectra", device=device)).compute()
        for device in ("cpu", DEVICE)
    )
    assert off(there, here) <= TOLERANCE


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_mixed_precision_training_is_taken_up(tmp_path: Path, precision: str):
    for k in range(3):
        rs.save_cube(still_life(64, 64, seed=k), tmp_path / "scenes" / f"{k}.npz")
    changes = {
        "options": {"width": 16, "blocks": 1},
        "patches": {"size": 32, "symmetries": "all"},
        "batch": 4,
        "loss.mrae.floor": 0.01,
        "validation.floor": 0.01,
        "precision": precision,
        "length.steps": 6,
    }
    recipe = change_recipe(load_recipe("hscnn-r-clean"), changes)
    first = train(recipe, [tmp_path / "scenes"], tmp_path / "run", device=DEVICE)
    longer = change_recipe(recipe, {"length.steps": 12})
    result = train(longer, [tmp_path / "scenes"], tmp_path / "run", device=DEVICE, resume=True)
    assert result.step > first.step
    assert np.isfinite(result.scores["mrae"])
