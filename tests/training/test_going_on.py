"""Runs that go on: beyond their end, from weights, on other bands; and what they learned from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import respectra as rs
from respectra.datasets import plan_store, prepare_store
from respectra.datasets.collections import open_collection
from respectra.datasets.splits import split_by_scene
from respectra.datasets.still_life import still_life
from respectra.errors import ConfigError, RespectraWarning
from respectra.methods import load_weights
from respectra.training import Recipe, change_recipe, load_recipe, train
from respectra.training.folder import read_metrics


def _tiny(**settings: Any) -> Recipe:
    values = {
        "preset": "tiny",
        "patches": {"size": 16},
        "batch": 2,
        "loss": {"mrae": {"floor": 0.01}},
        "length": {"steps": 2},
        "validation": {"floor": 0.01},
    }
    recipe = change_recipe(load_recipe("hscnn-r-clean"), {**values, **settings})
    assert isinstance(recipe, Recipe)
    return recipe


def _tiny_lwrdanet() -> Recipe:
    recipe = change_recipe(
        load_recipe("lwrdanet-clean"),
        {"preset": "tiny", "patches": {"size": 16}, "data.validation_share": 0.0},
    )
    assert isinstance(recipe, Recipe)
    return recipe


def _facts(run: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((run / "run.json").read_text())
    return facts


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Three scenes in folders of their own, whose files have one name."""
    root = tmp_path / "scenes"
    for k in range(3):
        (root / f"s{k}").mkdir(parents=True)
        rs.save_cube(still_life(32, 32, seed=k), root / f"s{k}" / "cube.npz")
    return root


def test_files_of_one_base_name_are_told_apart(folders: Path, tmp_path: Path) -> None:
    train(_tiny(), [folders], tmp_path / "run", device="cpu")
    hashes = _facts(tmp_path / "run")["sha256"]
    assert sorted(hashes) == ["s0/cube.npz", "s1/cube.npz", "s2/cube.npz"]
    assert len(set(hashes.values())) == 3
    shutil.copy(folders / "s2" / "cube.npz", folders / "s0" / "cube.npz")
    with pytest.raises(ConfigError, match="other data"):
        train(_tiny(), [folders], tmp_path / "run", resume=True, device="cpu")


def test_scenes_of_one_name_in_two_folders_keep_their_own_bounds(tmp_path: Path) -> None:
    for k, folder in enumerate(("one", "two")):
        (tmp_path / folder).mkdir()
        rs.save_cube(still_life(32, 32, seed=k) * (k + 1) / 2, tmp_path / folder / "scene.npz")
    recipe = _tiny(**{"data.validation_share": 0.0, "input.scaling": "min-max"})
    train(recipe, [tmp_path / "one", tmp_path / "two"], tmp_path / "run", device="cpu")
    facts = _facts(tmp_path / "run")
    assert facts["scenes"]["train"] == ["scene", "two/scene"]
    assert len(facts["sha256"]) == 2


def test_a_store_is_known_by_what_is_in_it(folders: Path, tmp_path: Path) -> None:
    parts = split_by_scene(open_collection(folders), {"train": 0.67, "validation": 0.33}, seed=0)
    prepare_store(plan_store(parts), tmp_path / "store")
    train(_tiny(), [tmp_path / "store"], tmp_path / "run", device="cpu")
    (tmp_path / "store").rename(tmp_path / "renamed")
    train(_tiny(), [tmp_path / "renamed"], tmp_path / "run", resume=True, device="cpu")
    plain = tmp_path / "plain"
    train(_tiny(), [folders], plain, device="cpu")
    sources = set(_facts(plain)["sha256"].values())
    assert sources <= set(_facts(tmp_path / "run")["sha256"].values())
    assert set(_facts(tmp_path / "run")["validation_sha256"]) < sources


def test_scenes_that_give_no_patch_are_said_and_not_learned_from(tmp_path: Path) -> None:
    for name, size in {"large": 32, "small": 12, "validates": 32}.items():
        rs.save_cube(still_life(size, size, seed=size), tmp_path / f"{name}.npz")
    recipe = _tiny(**{"data.validation_scenes": ["validates"]})
    with pytest.warns(RespectraWarning, match="1 left out: small; no patch of 16 x 16"):
        train(recipe, [tmp_path], tmp_path / "run", device="cpu")
    facts = _facts(tmp_path / "run")
    assert facts["scenes"] == {"train": ["large"], "validation": ["validates"]}
    assert "small" in facts["skipped"]
    assert "small.npz" not in facts["sha256"]


def test_scenes_too_small_to_validate_are_said_and_do_not(tmp_path: Path) -> None:
    for name, size in {"trains": 32, "validates": 32, "tiny": 6}.items():
        rs.save_cube(still_life(size, size, seed=size), tmp_path / f"{name}.npz")
    named = {"data.validation_scenes": ["validates", "tiny"], "patches.size": 16}
    changes = {"preset": "tiny", "length": {"steps": 1}, "batch": 2, "loss": {"l1": {}}, **named}
    recipe = change_recipe(load_recipe("hrnet-clean"), changes)
    with pytest.warns(RespectraWarning, match="1 left out: tiny; it is smaller than the"):
        train(recipe, [tmp_path], tmp_path / "run", device="cpu")
    facts = _facts(tmp_path / "run")
    assert facts["scenes"] == {"train": ["trains"], "validation": ["validates"]}
    assert list(facts["skipped"]) == ["tiny"]
    assert "tiny.npz" not in facts["sha256"]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("hrnet-clean", {"patches.size": 8}, "hrnet needs patches of at least 9 x 9"),
        ("mxr-unet-clean", {"patches.size": 32, "loss": {"l1": {}}}, "at least 33 x 33"),
        ("hrnet-clean", {"patches.size": 16, "batch": 1}, None),
    ],
)
def test_what_cannot_be_trained_is_refused_before_the_run_begins(
    folders: Path, tmp_path: Path, name: str, settings: dict[str, Any], message: str | None
) -> None:
    base = load_recipe(name)
    recipe = change_recipe(base, {"preset": "tiny", "length": {"steps": 1}, **settings})
    if message is None:
        train(recipe, [folders], tmp_path / "run", device="cpu")
        return
    with pytest.raises(ConfigError, match=message):
        train(recipe, [folders], tmp_path / "run", device="cpu")
    assert not (tmp_path / "run" / "recipe.yaml").exists()


def test_a_scene_with_nan_is_named(folders: Path, tmp_path: Path) -> None:
    broken = still_life(32, 32)
    broken.values[3] = np.nan
    rs.save_cube(broken, folders / "broken.npz")
    with pytest.raises(rs.RespectraError, match="broken"):
        train("pca", [folders], tmp_path / "run")


@pytest.mark.parametrize("schedule", ["cosine", "one-cycle", "polynomial", "step", "constant"])
def test_a_finished_run_goes_on_with_the_schedule_of_its_new_length(
    folders: Path, tmp_path: Path, schedule: str
) -> None:
    settings: dict[str, Any] = {"schedule.name": schedule}
    if schedule == "step":
        settings["schedule"] = {"name": "step", "milestones": [2, 3]}
        del settings["schedule.name"]
    short, long = (_tiny(**settings, **{"length.steps": steps}) for steps in (2, 4))
    train(short, [folders], tmp_path / "run", device="cpu")
    result = train(long, [folders], tmp_path / "run", resume=True, device="cpu")
    assert load_recipe(tmp_path / "run" / "recipe.yaml") == long
    assert load_weights(tmp_path / "run" / "last.safetensors").provenance["step"] == 4
    assert result.folder == tmp_path / "run"
    train(long, [folders], tmp_path / "whole", device="cpu")
    rates = [
        {row["step"]: row["lr"] for row in read_metrics(tmp_path / run / "metrics.csv")}
        for run in ("run", "whole")
    ]
    assert rates[0][3] == rates[1][3]
    assert rates[0][4] == rates[1][4]


def test_a_checkpoint_that_does_not_say_its_length_goes_on_with_the_new_schedule(
    folders: Path, tmp_path: Path
) -> None:
    """As those of version 0.1 do not."""
    short, long = (_tiny(**{"length.steps": steps}) for steps in (2, 4))
    train(short, [folders], tmp_path / "run", device="cpu")
    checkpoint = tmp_path / "run" / "checkpoint.ckpt"
    state = torch.load(checkpoint, weights_only=True)
    del state["respectra_length"]
    torch.save(state, checkpoint)
    train(long, [folders], tmp_path / "run", resume=True, device="cpu")
    train(long, [folders], tmp_path / "whole", device="cpu")
    rates = [
        {row["step"]: row["lr"] for row in read_metrics(tmp_path / name / "metrics.csv")}
        for name in ("run", "whole")
    ]
    assert rates[0][4] == rates[1][4]


def test_weights_are_tuned_further_and_say_from_what(folders: Path, tmp_path: Path) -> None:
    train(_tiny(), [folders], tmp_path / "first", device="cpu")
    start = tmp_path / "first" / "last.safetensors"
    other = tmp_path / "other"
    other.mkdir()
    rs.save_cube(still_life(32, 32, seed=9), other / "fresh.npz")
    tuned = _tiny(**{"optimizer.lr": 1e-12, "length.steps": 1, "data.validation_share": 0.0})
    train(tuned, [other], tmp_path / "second", start=start, device="cpu")
    before, after = load_weights(start), load_weights(tmp_path / "second" / "last.safetensors")
    for name, values in before.tensors.items():
        np.testing.assert_allclose(after.tensors[name], values, atol=1e-9)
    started = after.provenance["started_from"]
    assert started["provenance"]["sha256"] == before.provenance["sha256"]
    with pytest.raises(ConfigError, match="starts from weights of lwrdanet"):
        train(_tiny_lwrdanet(), [other], tmp_path / "third", start=start)


def test_other_bands_are_trained_and_recovered(folders: Path, tmp_path: Path) -> None:
    grid = list(np.arange(400.0, 700.1, 5.0))
    train(_tiny(wavelengths_nm=grid), [folders], tmp_path / "run", device="cpu")
    rec = rs.load(tmp_path / "run" / "best.safetensors")
    cube = rec(rs.make_image(np.full((16, 16, 3), 0.3)))
    assert cube.shape == (16, 16, 61)
    np.testing.assert_array_equal(cube.wavelength, grid)
    with pytest.raises(ConfigError, match="set wavelengths_nm"):
        _tiny(**{"options.bands": 61})
