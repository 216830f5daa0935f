"""On a graphics processor: the answers of the processor, also in half precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import respectra as rs
from respectra.datasets.still_life import still_life
from respectra.inference import Reconstructor
from respectra.inference.backends.half import HALF_TOLERANCE
from respectra.methods import fresh_weights
from respectra.training import change_recipe, load_recipe, train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize("name", ["hscnn-r", "hrnet", "mst-plus-plus", "respectra"])
@pytest.mark.parametrize(("engine", "tolerance"), [("plain", 2e-3), ("half", 3 * HALF_TOLERANCE)])
def test_the_answers_are_those_of_the_processor(
    name: str, engine: str, tolerance: float, rng: np.random.Generator
):
    weights = fresh_weights(name, preset="tiny")
    image = rs.make_image(rng.random((96, 128, 3)), bits=32)
    expected = Reconstructor(weights, device="cpu", engine="plain")(image)
    for tile in (None, 64):
        cube = Reconstructor(weights, device="cuda", engine=engine, tile=tile)(image)
        if tile is not None and cube.attrs.get("tiling") == "approximate":
            continue
        assert float(abs(cube - expected).max()) <= tolerance * float(abs(expected).max())


@pytest.mark.parametrize("tile", [None, 32])
def test_guarantees_and_references_are_kept_there(tile: int | None):
    scene, clean = still_life(64, 80, seed=1), rs.get_track("clean")
    image = clean.render(scene)
    y, x = np.random.default_rng(0).integers(0, 64, (2, 24))
    spots = rs.References(np.stack([y, x], axis=1), scene.values[y, x], scene["wavelength"].values)
    cubes = []
    for device in ("cpu", "cuda"):
        names = ("consistent", "non-negative")
        method = rs.load("respectra", device=device, engine="plain", guarantees=names, tile=tile)
        cubes.append(method.with_references(image, spots)(image))
    far = np.abs(cubes[1].values - cubes[0].values).max(axis=2)
    assert np.quantile(far, 0.99) <= 2e-3 * float(cubes[0].max())
    np.testing.assert_array_equal(clean.render(cubes[1]).values, image.values)


def test_mixed_precision_training_is_taken_up(tmp_path: Path):
    for k in range(3):
        rs.save_cube(still_life(64, 64, seed=k), tmp_path / "scenes" / f"{k}.npz")
    changes = {
        "options": {"width": 16, "blocks": 1},
        "patches": {"size": 32, "symmetries": "all"},
        "batch": 4,
        "loss.mrae.floor": 0.01,
        "validation.floor": 0.01,
        "precision": "float16",
        "length.steps": 6,
    }
    recipe = change_recipe(load_recipe("hscnn-r-clean"), changes)
    first = train(recipe, [tmp_path / "scenes"], tmp_path / "run", device="cuda")
    longer = change_recipe(recipe, {"length.steps": 12})
    result = train(longer, [tmp_path / "scenes"], tmp_path / "run", device="cuda", resume=True)
    assert result.step > first.step
    assert np.isfinite(result.scores["mrae"])
