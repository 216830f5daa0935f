"""The published splits, and splits that keep a physical scene together."""

from pathlib import Path

import pytest

from respectra.datasets.collections import Collection, Scene, open_collection
from respectra.datasets.splits import official_split, split_by_scene, split_officially
from respectra.errors import ConfigError, DataError


def test_official_counts():
    arad = official_split("arad-2020").parts
    assert {part: len(names) for part, names in arad.items()} == {
        "train": 449,
        "validation": 10,
        "test-clean": 10,
        "test-real-world": 10,
    }
    arad_1k = official_split("arad-1k").parts
    assert {part: len(names) for part, names in arad_1k.items()} == {
        "train": 897,
        "validation": 50,
        "test": 50,
    }


@pytest.mark.parametrize("layout", ["arad-2020", "arad-1k"])
def test_official_parts_share_no_scene(layout):
    split = official_split(layout)
    names = [name for part in split.parts.values() for name in part]
    assert len(set(names)) == len(names)
    assert not set(split.bad).intersection(names)


def test_official_names_are_those_of_the_published_files(data_dir):
    split = official_split("arad-2020").parts
    there = {path.name[:12] for path in (data_dir / "ntire2020_inputs").glob("*_clean.png")}
    assert there == {*split["validation"], *split["test-clean"]}
    there = {path.name[:12] for path in (data_dir / "ntire2020_inputs").glob("*_RealWorld.jpg")}
    assert there == {*split["validation"], *split["test-real-world"]}


def test_split_officially_takes_what_is_there(arad):
    parts = split_officially(open_collection(arad[0]))
    numbers = {part: [scene.name[-4:] for scene in scenes] for part, scenes in parts.items()}
    assert numbers == {
        "train": ["0001", "0002"],
        "validation": ["0451", "0453"],
        "test-clean": ["0466"],
        "test-real-world": ["0470"],
    }


def test_no_official_split(scenes):
    with pytest.raises(ConfigError, match="unknown official split 'cubes'"):
        split_officially(open_collection(scenes))
    with pytest.raises(DataError, match="none of the scenes"):
        split_officially(Collection("x", (Scene("a", Path("a.mat")),), "arad-1k"))


def _collection(groups: int, files: int) -> Collection:
    scenes = [
        Scene(f"{g}-{f}", Path(f"{g}-{f}.npz"), group=str(g))
        for g in range(groups)
        for f in range(files)
    ]
    return Collection("made up", tuple(scenes))


@pytest.mark.parametrize("seed", range(5))
def test_a_physical_scene_falls_in_one_part(seed):
    parts = split_by_scene(_collection(20, 3), seed=seed)
    groups = [{scene.group for scene in part} for part in parts.values()]
    assert [len(group) for group in groups] == [16, 2, 2]
    assert len(set.union(*groups)) == 20
    assert sum(len(part) for part in parts.values()) == 60


def test_split_by_scene_is_seeded_and_gives_every_part_something():
    collection = _collection(4, 1)
    names = [s.name for s in split_by_scene(collection, seed=1)["train"]]
    assert names == [s.name for s in split_by_scene(collection, seed=1)["train"]]
    assert {tuple(s.name for s in split_by_scene(collection, seed=k)["test"]) for k in range(20)}
    assert [len(part) for part in split_by_scene(collection).values()] == [2, 1, 1]
    assert list(split_by_scene(_collection(1, 2))) == ["train"]
    with pytest.raises(ConfigError, match="sum to 1"):
        split_by_scene(collection, {"train": 0.5})
