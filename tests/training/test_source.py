"""Which scenes train, and the batches they become."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import respectra as rs
from respectra.cameras import get_track
from respectra.datasets import plan_store, prepare_store
from respectra.datasets.collections import open_collection
from respectra.datasets.patches import Patches, PatchOptions
from respectra.datasets.splits import split_by_scene
from respectra.errors import ConfigError, DataError
from respectra.methods import Contract
from respectra.training import source
from respectra.training.data import StepBatches
from respectra.training.module import prepare
from respectra.training.recipe import DataRecipe
from respectra.training.source import TrainingScenes, open_scenes


def _open(folder: Path, **recipe: object) -> TrainingScenes:
    return open_scenes(
        [folder], DataRecipe(**recipe), track=get_track("clean"), contract=Contract(), seed=0
    )


def test_named_scenes_validate_and_the_rest_trains(scene_folder: Path) -> None:
    names = _open(scene_folder, validation_scenes=("scene1", "scene3")).names()
    assert names == {
        "train": ["scene0", "scene2", "scene4"],
        "validation": ["scene1", "scene3"],
    }


def test_scenes_that_are_named_and_not_there_are_missed(scene_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no scene scene7 in the folders"):
        _open(scene_folder, validation_scenes=("scene1", "scene7"))
    with pytest.raises(ConfigError, match="scene1 cannot both train and validate"):
        _open(scene_folder, validation_scenes=("scene1",), train_scenes=("scene0", "scene1"))
    prepare_store(plan_store({"train": open_collection(scene_folder)}), tmp_path / "store")
    with pytest.raises(ConfigError, match="a store is divided already"):
        _open(tmp_path / "store", validation_scenes=("scene1",))


def test_a_split_by_scene_keeps_some_apart(scene_folder: Path) -> None:
    scenes = _open(scene_folder, validation_share=0.4)
    names = scenes.names()
    assert len(names["validation"]) == 2
    assert not set(names["train"]) & set(names["validation"])
    assert len(scenes.hashes) == 5


def test_other_wavelengths_are_resampled(scene_folder: Path) -> None:
    contract = Contract(wavelengths_nm=tuple(range(420, 681, 20)))
    scenes = open_scenes(
        [scene_folder], DataRecipe(), track=get_track("clean"), contract=contract, seed=0
    )
    assert scenes.train[0].cube.shape[2] == 14


def test_nothing_to_train_on_is_an_error(tmp_path: Path, scene_folder: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to train on"):
        open_scenes([], DataRecipe(), track=get_track("clean"), contract=Contract(), seed=0)
    with pytest.raises(rs.RespectraError, match="none is left to train on"):
        _open(scene_folder, validation_scenes=tuple(f"scene{k}" for k in range(5)))


def test_scenes_larger_than_the_memory_go_into_a_store(
    scene_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_SHARE", 1e-9)
    with pytest.raises(DataError, match="respectra data prepare"):
        _open(scene_folder)


def test_a_store_trains_like_its_folder(scene_folder: Path, tmp_path: Path) -> None:
    parts = split_by_scene(open_collection(scene_folder), {"train": 0.9, "validation": 0.1})
    prepare_store(plan_store(parts), tmp_path / "store")
    folder, store = _open(scene_folder), _open(tmp_path / "store")
    assert store.names() == folder.names()
    options = PatchOptions(size=16, symmetries="all")
    one, other = (StepBatches(Patches(s.train, options, seed=4), 3)[1] for s in (folder, store))
    for k in range(4):
        torch.testing.assert_close(one[k], other[k], rtol=0, atol=0)


def test_processes_share_the_batch_of_one(scene_folder: Path) -> None:
    patches = Patches(_open(scene_folder).train, PatchOptions(size=12, symmetries="all"), seed=1)
    whole = StepBatches(patches, 6)
    halves = [StepBatches(patches, 6, rank=rank, processes=2) for rank in (0, 1)]
    for step in (0, 1, 5):  # 4 scenes, so that batches cross epochs
        parts = [half[step] for half in halves]
        for k in range(4):
            torch.testing.assert_close(
                torch.cat([part[k] for part in parts]), whole[step][k], rtol=0, atol=0
            )
        assert parts[0].scenes + parts[1].scenes == whole[step].scenes


def test_every_patch_is_seen_once_an_epoch(scene_folder: Path) -> None:
    source = _open(scene_folder, validation_share=0.0).train
    patches = Patches(source, PatchOptions(size=32, sampling="strided"), seed=1)
    batches = StepBatches(patches, 3)
    steps = range(len(patches))  # three epochs
    seen = [cube.numpy().tobytes() for step in steps for cube in batches[step].cube]
    assert all(seen.count(patch) == 3 for patch in seen)


def test_a_batch_is_prepared_as_an_image_is(scene_folder: Path) -> None:
    source = _open(scene_folder).train
    patches = Patches(source, PatchOptions(size=16), seed=1)
    batch = StepBatches(patches, 2, with_bounds=True)[0]
    contracts = [
        Contract(),
        Contract(channel_order="BGR"),
        Contract(scaling="min-max"),
        Contract(scaling="standardised", mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7)),
    ]
    rgb = batch.image[0].permute(1, 2, 0).numpy()
    low, high = batch.bounds[0].tolist()
    for contract in contracts:
        expected = contract.prepare(rgb, bounds=(low, high))
        prepared = prepare(batch.image, batch.bounds, contract)[0].permute(1, 2, 0)
        np.testing.assert_allclose(prepared.numpy(), expected, rtol=1e-6, atol=1e-7)
    assert (low, high) != (0.0, 1.0)


def test_batches_are_channels_last(scene_folder: Path) -> None:
    patches = Patches(_open(scene_folder).train, PatchOptions(size=16), seed=1)
    for step in (0, 1):
        batch = StepBatches(patches, 3)[step]
        assert batch.image.is_contiguous(memory_format=torch.channels_last)
        assert batch.cube.is_contiguous(memory_format=torch.channels_last)


def test_image_and_truth_of_a_finer_scene_show_the_same_line(tmp_path: Path) -> None:
    fine = np.arange(400.0, 701, 5)
    values = np.full((40, 40, fine.size), 0.2, np.float32)
    values[:, :20, fine == 545] = 1.0
    rs.save_cube(rs.make_cube(values, fine), tmp_path / "a.npz")
    rs.save_cube(rs.make_cube(values, fine), tmp_path / "b.npz")
    track, contract = get_track("clean"), Contract()
    recipe = DataRecipe(validation_scenes=("b",))
    scenes = open_scenes([tmp_path], recipe, track=track, contract=contract, seed=0)
    scene = scenes.train[0]
    truth = rs.make_cube(np.array(scene.cube), contract.wavelengths_nm)
    assert scene.cube[0, 0].max() > 0.35
    rendered = track.render(truth, key=scene.name).values
    np.testing.assert_array_equal(source.image_of(scene, "clean"), rendered)
