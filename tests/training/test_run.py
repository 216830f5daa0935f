"""Runs: what they leave, how they stop, and that a killed one ends as if it had not been."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import respectra as rs
from respectra.datasets.store import SceneArrays
from respectra.errors import ConfigError, DataError, FormatError, OutputError
from respectra.methods import load_weights
from respectra.training import Recipe, change_recipe, load_recipe, save_recipe, train
from respectra.training.folder import MetricsFile, read_metrics
from respectra.training.source import SceneList, TrainingScenes

#: A process that trains, and kills itself without warning after a step or in a checkpoint.
_CHILD = """
import os, signal, sys
import torch
from respectra.training import load_recipe, train

recipe, data, out, where, step = sys.argv[1:]
kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
save = torch.save

def saved(checkpoint, file):
    seen.append(checkpoint["global_step"])
    save(checkpoint, file)

def half_written(file):
    if seen[-1] >= int(step):
        os.truncate(file, os.fstat(file).st_size // 2)
        kill()

if where == "in checkpoint":
    seen = []
    torch.save, os.fsync = saved, half_written
progress = (lambda now, *_: now == int(step) and kill()) if where == "after step" else None
train(load_recipe(recipe), [data], out, device="cpu", checkpoint_minutes=0, progress=progress)
"""


def _files(folder: Path) -> dict[str, bytes]:
    names = ("best.safetensors", "last.safetensors", "metrics.csv", "recipe.yaml", "MODEL_CARD.md")
    return {name: (folder / name).read_bytes() for name in names}


@pytest.fixture(scope="module")
def finished(scene_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Recipe]:
    """A run that nobody interrupted."""
    recipe = _tiny()
    out = tmp_path_factory.mktemp("runs") / "whole"
    train(recipe, [scene_folder], out, device="cpu")
    return out, recipe


def _tiny() -> Recipe:
    recipe = change_recipe(
        load_recipe("lwrdanet-clean"),
        {
            "preset": "tiny",
            "patches": {"size": 16, "symmetries": "all"},
            "batch": 4,
            "loss": {"mrae": {"floor": 0.01}},
            "length": {"steps": 6},
            "validation": {"every": 2, "floor": 0.01},
            "clip_gradient": 1.0,
            "seed": 3,
        },
    )
    assert isinstance(recipe, Recipe)
    return recipe


@pytest.mark.posix
def test_a_checkpoint_on_a_full_disk_is_an_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    from respectra.training.recorder import AtomicCheckpoints

    # Modules that are compiled under the limit would be cut off for good.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OutputError, match="File too large"):
            AtomicCheckpoints().save_checkpoint({"a": torch.zeros(100_000)}, tmp_path / "c.ckpt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_checkpoint_is_an_error_of_ours(
    finished: tuple[Path, Recipe], scene_folder: Path, tmp_path: Path
) -> None:
    out, recipe = finished
    shutil.copytree(out, tmp_path / "run")
    file = tmp_path / "run" / "checkpoint.ckpt"
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(FormatError, match=r"checkpoint\.ckpt is damaged"):
        train(recipe, [scene_folder], tmp_path / "run", resume=True, device="cpu")


def test_a_run_folder_says_what_was_done(finished: tuple[Path, Recipe], scene_folder: Path) -> None:
    out, recipe = finished
    assert load_recipe(out / "recipe.yaml") == recipe
    facts = json.loads((out / "run.json").read_text())
    names = facts["scenes"]["train"] + facts["scenes"]["validation"]
    assert sorted(names) == [f"scene{k}" for k in range(5)]
    assert set(facts["sha256"]) == {path.name for path in scene_folder.iterdir()}
    rows = read_metrics(out / "metrics.csv")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in rows if "validation_mrae" in row] == [2, 4, 6]
    best = load_weights(out / "best.safetensors")
    scores = [row["validation_mrae"] for row in rows if "validation_mrae" in row]
    assert best.provenance["validation"]["mrae"] == pytest.approx(min(scores))
    assert f"{min(scores):.5f}" in (out / "MODEL_CARD.md").read_text()


def test_its_weights_reconstruct(finished: tuple[Path, Recipe]) -> None:
    cube = rs.load(finished[0] / "best.safetensors")(rs.make_image(np.full((64, 64, 3), 0.3)))
    assert cube.shape == (64, 64, 31)


@pytest.mark.posix
@pytest.mark.parametrize(("where", "step"), [("after step", "3"), ("in checkpoint", "4")])
def test_killed_and_resumed_it_ends_with_the_same_bytes(
    finished: tuple[Path, Recipe], scene_folder: Path, tmp_path: Path, where: str, step: str
) -> None:
    whole, recipe = finished
    save_recipe(recipe, tmp_path / "recipe.yaml")
    out = tmp_path / "run"
    arguments = [str(tmp_path / "recipe.yaml"), str(scene_folder), str(out), where, step]
    child = subprocess.run([sys.executable, "-c", _CHILD, *arguments], capture_output=True)
    assert child.returncode == -9, child.stderr.decode()[-2000:]
    assert not (out / "MODEL_CARD.md").exists()
    train(recipe, [scene_folder], out, resume=True, device="cpu")
    assert _files(out) == _files(whole)


def test_resuming_what_is_finished_changes_nothing(
    finished: tuple[Path, Recipe], scene_folder: Path
) -> None:
    out, recipe = finished
    before = _files(out)
    train(recipe, [scene_folder], out, resume=True, device="cpu")
    assert _files(out) == before


def test_a_run_is_not_overwritten_nor_mixed_up(
    finished: tuple[Path, Recipe], scene_folder: Path, tmp_path: Path
) -> None:
    out, recipe = finished
    with pytest.raises(OutputError, match="holds a run already"):
        train(recipe, [scene_folder], out)
    with pytest.raises(ConfigError, match=r"another recipe \(optimizer.lr\)"):
        train(change_recipe(recipe, {"optimizer.lr": 0.5}), [scene_folder], out, resume=True)
    other = tmp_path / "other"
    other.mkdir()
    for path in sorted(scene_folder.iterdir())[:3]:
        (other / path.name).symlink_to(path)
    with pytest.raises(ConfigError, match="other data"):
        train(recipe, [other], out, resume=True)


def _scenes(cube: np.ndarray, valid: np.ndarray | None = None) -> TrainingScenes:
    image = np.full((*cube.shape[:2], 3), 0.3, np.float32)
    valid = np.ones(cube.shape[:2], bool) if valid is None else valid
    scene = SceneArrays("broken", "broken", cube, {"clean": (image, 1.0)}, valid, valid.all())
    grid = tuple(np.arange(400.0, 701.0, 10.0))
    return TrainingScenes(SceneList([scene], grid), None, {})


@pytest.mark.parametrize(
    ("value", "settings", "message"),
    [
        (0.0, {"loss.mrae.floor": 0}, r"mrae.*truth of broken holds zeros.*loss\.mrae\.floor"),
        (np.nan, {}, "cube of broken holds NaN"),
        (0.5, {"optimizer.lr": 1e30, "clip_gradient": None}, r"broken: .*lower optimizer\.lr"),
    ],
)
def test_a_loss_that_is_not_finite_names_scene_and_cause(
    tmp_path: Path, value: float, settings: dict[str, object], message: str
) -> None:
    cube = np.full((16, 16, 31), 0.5, np.float32)
    cube[4, 4, 4] = value
    recipe = change_recipe(_tiny(), settings)
    with pytest.raises(DataError, match=message):
        train(recipe, _scenes(cube), tmp_path / "run", device="cpu")


def test_pixels_that_were_not_measured_teach_nothing(tmp_path: Path) -> None:
    """Whatever stands where nothing was measured, the weights come out the same."""
    valid = np.ones((16, 16), bool)
    valid[:4] = False
    results = []
    for number, filler in enumerate((0.0, 7.0)):
        cube = np.full((16, 16, 31), 0.5, np.float32)
        cube[:4] = filler
        recipe = change_recipe(_tiny(), {"loss.mrae.floor": 0, "length.steps": 2})
        out = tmp_path / str(number)
        train(recipe, _scenes(cube, valid), out, device="cpu")
        results.append(load_weights(out / "last.safetensors").tensors)
    for name, tensor in results[0].items():
        np.testing.assert_array_equal(tensor, results[1][name])


def test_two_processes_train_to_the_weights_of_one(scene_folder: Path, tmp_path: Path) -> None:
    """Each takes half of every batch; HSCNN-R has no batch norm, whose statistics would differ."""
    recipe = change_recipe(
        load_recipe("hscnn-r-clean"),
        {
            "options": {"width": 8, "blocks": 1},
            "patches": {"size": 12, "symmetries": "all"},
            "batch": 4,
            "loss.mrae.floor": 0.01,
            "length.steps": 4,
            "validation.floor": 0.01,
            "optimizer.lr": 1e-3,
        },
    )
    results = []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        train(recipe, [scene_folder], out, device="cpu", processes=processes)
        results.append(
            (load_weights(out / "last.safetensors").tensors, read_metrics(out / "metrics.csv"))
        )
    (one, rows), (two, rows_of_two) = results
    for name, tensor in one.items():
        np.testing.assert_allclose(two[name], tensor, rtol=1e-4, atol=1e-6)
    for row, other in zip(rows, rows_of_two, strict=True):
        assert other == pytest.approx(row, rel=1e-5)


def test_a_batch_that_cannot_be_shared_is_refused(scene_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="batch of 4 patches cannot be shared"):
        train(_tiny(), [scene_folder], tmp_path / "run", device="cpu", processes=3)


def test_metrics_after_the_step_to_continue_from_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    metrics = MetricsFile(path, ("loss", "lr"), step=0)
    for step in (1, 2, 3):
        metrics.append(step, {"loss": step / 2})
    with path.open("a") as file:
        file.write("4,0.")  # cut short by a kill
    MetricsFile(path, ("loss", "lr"), step=2).append(3, {"loss": 9.0, "lr": 0.1})
    assert read_metrics(path) == [
        {"step": 1, "loss": 0.5},
        {"step": 2, "loss": 1.0},
        {"step": 3, "loss": 9.0, "lr": 0.1},
    ]


def test_a_classical_method_is_fitted_by_the_same_call(scene_folder: Path, tmp_path: Path) -> None:
    recipe = change_recipe(
        load_recipe("pseudo-inverse"), {"pixels": 2000, "validation.floor": 0.01}
    )
    result = train(recipe, [scene_folder], tmp_path / "run")
    assert 0 < result.scores["mrae"] < 1
    assert rs.load(result.best).name == "pseudo-inverse"
    assert "MRAE" in (tmp_path / "run" / "MODEL_CARD.md").read_text()


def test_random_state_of_the_process_is_not_part_of_the_result(
    finished: tuple[Path, Recipe], scene_folder: Path, tmp_path: Path
) -> None:
    torch.manual_seed(12345)
    train(finished[1], [scene_folder], tmp_path / "run", device="cpu")
    assert _files(tmp_path / "run") == _files(finished[0])
