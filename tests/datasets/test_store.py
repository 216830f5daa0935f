"""A store holds what the collection held, and survives being killed while it is written."""

import json
import os
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest

from respectra.cameras import get_track
from respectra.datasets import (
    PrepareOptions,
    estimate_seconds,
    plan_store,
    prepare_store,
)
from respectra.datasets.collections import Collection, open_collection
from respectra.datasets.splits import split_by_scene, split_officially
from respectra.datasets.store import is_store, open_store
from respectra.errors import ConfigError, DataError, FormatError, OutputError
from respectra.identity import content_hash


def prepared(collection, folder, **options):
    plan = plan_store({"train": collection}, PrepareOptions(**options))
    prepare_store(plan, folder)
    return open_store(folder)


def test_float32_is_exact(scenes, tmp_path):
    collection = open_collection(scenes)
    odd = {"real-world": {"odd_sizes": "accept"}}
    store = prepared(
        collection, tmp_path / "store", tracks=("clean", "real-world"), seed=5, track_options=odd
    )
    split = store["train"]
    assert store.splits == ("train",)
    assert len(split) == 4
    split.verify()
    tracks = [get_track("clean"), get_track("real-world", seed=5, odd_sizes="accept")]
    for number, (scene, stored) in enumerate(zip(collection, split, strict=True)):
        cube = scene.open_cube()
        np.testing.assert_array_equal(stored.cube, cube)
        np.testing.assert_array_equal(split.open_cube(number), cube)
        for track in tracks:
            codes, full_scale = stored.images[track.name]
            image = track.render(cube, key=scene.name)
            np.testing.assert_array_equal(codes / np.float32(full_scale), image)
        assert split.entries[number].source_sha256 == content_hash(scene.cube)
    assert not split[1].whole
    assert split[0].whole
    assert split[1].valid.sum() == 33 * 37 - 13 * 12


def test_float16_is_within_rounding(scenes, tmp_path):
    collection = open_collection(scenes)
    split = prepared(collection, tmp_path / "store", dtype="float16")["train"]
    for scene, stored in zip(collection, split, strict=True):
        np.testing.assert_allclose(stored.cube, scene.open_cube(), rtol=2**-11)


def test_a_store_is_its_splits_by_name(scenes, tmp_path):
    store = prepared(open_collection(scenes), tmp_path / "store", tracks=("clean",))
    assert list(store) == ["train"]
    assert len(store) == 1
    assert "validation" not in store
    assert {name: len(store[name]) for name in store} == {"train": len(store["train"])}


def test_files_that_exist_are_preferred_to_rendering(arad, tmp_path):
    parts = split_officially(open_collection(arad[0]))
    prepare_store(plan_store(parts), tmp_path / "store")
    store = open_store(tmp_path / "store")
    assert store.splits == ("train", "validation", "test-clean", "test-real-world")
    origins = [entry.images["clean"].origin for entry in store["train"].entries]
    assert origins == ["ARAD_HS_0001_clean.png", "rendered"]


def test_values_that_are_not_finite_are_masked_and_do_not_travel(scenes, tmp_path, rng):
    import respectra as rs

    cube = rs.open_cube(scenes / "scene0.npz")
    track = get_track("clean")
    from respectra.cameras import simulate

    simulate(track, cube, scenes, "scene0")
    cube.values[3, 4, 5] = np.nan
    rs.save_cube(cube, scenes / "scene0.npz", overwrite=True)
    stored = prepared(open_collection(scenes), tmp_path / "store")["train"][0]
    assert np.isfinite(stored.cube).all()
    assert not stored.valid[3, 4]


def test_other_bands(scenes, tmp_path):
    import respectra as rs

    cube = rs.open_cube(scenes / "scene0.npz")
    fine = rs.cubes.resample(cube, np.arange(400, 701, 5))
    rs.save_cube(fine, scenes / "fine.npz")
    with pytest.raises(DataError, match="has other ones; resample"):
        plan_store({"train": open_collection(scenes)})
    grid = tuple(np.arange(400.0, 701.0, 10.0))
    store = prepared(open_collection(scenes), tmp_path / "store", wavelengths_nm=grid)
    np.testing.assert_array_equal(
        store["train"][0].cube, rs.cubes.resample(fine, grid, "band-average")
    )


def test_size_is_known_beforehand(scenes, tmp_path):
    plan = plan_store({"train": open_collection(scenes)})
    assert estimate_seconds(plan) > 0
    prepare_store(plan, tmp_path / "store")
    assert (tmp_path / "store" / "train.bin").stat().st_size == plan.size


def test_a_full_disk_is_refused_before_anything_is_written(scenes, tmp_path, monkeypatch):
    import shutil

    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OutputError, match="GiB more and the disk of"):
        prepare_store(plan_store({"train": open_collection(scenes)}), tmp_path / "store")
    assert not is_store(tmp_path / "store")


_RUN = """
import sys, time
from respectra.datasets.collections import open_collection
from respectra.datasets import plan_store, prepare_store
def slowly(done, total, what):
    print(done, flush=True)
    if done:
        time.sleep(float(sys.argv[3]))
prepare_store(plan_store({"train": open_collection(sys.argv[1])}), sys.argv[2], progress=slowly)
"""


def test_a_killed_run_continues_to_the_same_bytes(scenes, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    prepare_store(plan_store({"train": open_collection(scenes)}), whole)
    command = [sys.executable, "-c", _RUN, str(scenes), str(killed), "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        deadline = time.monotonic() + 60
        journal = killed / ".part" / "journal"
        while not journal.is_file() or journal.read_bytes().count(b"\n") < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.kill()
    with pytest.raises(FormatError, match="unfinished store"):
        open_store(killed)
    with journal.open("a") as file:
        file.write('{"split": "tra')  # a line cut short
    seen = []

    def watched(done, total, what):
        seen.append((done, total, what))

    prepare_store(plan_store({"train": open_collection(scenes)}), killed, progress=watched)
    assert seen == [(done, 3, "preparing") for done in range(4)]
    assert {p.name: p.read_bytes() for p in killed.iterdir()} == {
        p.name: p.read_bytes() for p in whole.iterdir()
    }


def stopped_after(count):
    """A progress that ends a run once some scenes are written."""

    def progress(done, total, what):
        if done == count:
            raise KeyboardInterrupt

    return progress


def test_a_scene_that_changed_since_is_made_again(scenes, tmp_path):
    import respectra as rs

    plan = plan_store({"train": open_collection(scenes)})
    with pytest.raises(KeyboardInterrupt):
        prepare_store(plan, tmp_path / "store", progress=stopped_after(3))
    file = scenes / "scene1.npz"
    before = file.stat()
    cube = rs.open_cube(file)
    cube.values[:] = cube.values[::-1]
    rs.save_cube(cube, file, overwrite=True)
    assert file.stat().st_size == before.st_size
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    made = []
    prepare_store(plan, tmp_path / "store", progress=lambda *state: made.append(state))
    assert made[0][:2] == (0, 2)  # the scene that changed and the one that was missing
    split = open_store(tmp_path / "store")["train"]
    split.verify()
    np.testing.assert_array_equal(split[1].cube, np.nan_to_num(cube.values))


def test_two_runs_do_not_prepare_one_store(scenes, tmp_path):
    plan = plan_store({"train": open_collection(scenes)})

    def meddling(done, total, what):
        with pytest.raises(OutputError, match="store is being written by this process"):
            prepare_store(plan, tmp_path / "store")

    prepare_store(plan, tmp_path / "store", progress=meddling)
    open_store(tmp_path / "store")["train"].verify()
    assert sorted(p.name for p in (tmp_path / "store").iterdir()) == ["index.json", "train.bin"]


def test_a_store_that_vanishes_at_the_very_end_is_not_called_saved(scenes, tmp_path, monkeypatch):
    from respectra.datasets import prepare

    tidy = prepare._Growth.tidy

    def vanish(growth):
        tidy(growth)
        growth.path.rename(tmp_path / "elsewhere")

    monkeypatch.setattr(prepare._Growth, "tidy", vanish)
    with pytest.raises(OutputError, match="vanished meanwhile"):
        prepare_store(plan_store({"train": open_collection(scenes)}), tmp_path / "store")


def test_the_old_store_is_there_until_the_new_one_is_complete(scenes, tmp_path):
    collection = open_collection(scenes)
    prepare_store(plan_store({"train": collection}), tmp_path / "store")
    half = plan_store({"test": collection}, PrepareOptions(dtype="float16"))
    with pytest.raises(KeyboardInterrupt):
        prepare_store(half, tmp_path / "store", overwrite=True, progress=stopped_after(2))
    open_store(tmp_path / "store")["train"].verify()
    prepare_store(half, tmp_path / "store", overwrite=True)
    assert sorted(p.name for p in (tmp_path / "store").iterdir()) == ["index.json", "test.bin"]


def test_what_is_in_the_way_is_never_lost(scenes, tmp_path):
    collection = open_collection(scenes)
    plan = plan_store({"train": collection})
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("precious")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="holds files; choose another name"):
            prepare_store(plan, folder, overwrite=overwrite)
    assert (folder / "thesis.txt").read_text() == "precious"
    prepare_store(plan, tmp_path / "store")
    half = plan_store({"train": collection}, PrepareOptions(dtype="float16"))
    with pytest.raises(OutputError, match="--overwrite"):
        prepare_store(half, tmp_path / "store")
    prepare_store(half, tmp_path / "store", overwrite=True)
    assert open_store(tmp_path / "store").index.dtype == "float16"


def test_damage_is_noticed(scenes, tmp_path):
    store = prepared(open_collection(scenes), tmp_path / "store")
    data = tmp_path / "store" / "train.bin"
    with data.open("r+b") as file:
        file.seek(1000)
        file.write(b"\xff")
    with pytest.raises(FormatError, match="data of scene0 changed"):
        open_store(tmp_path / "store")["train"].verify()
    with data.open("ab") as file:
        file.write(b"more")
    with pytest.raises(FormatError, match="where its index says"):
        open_store(tmp_path / "store")["train"][0]
    index = tmp_path / "store" / "index.json"
    facts = json.loads(index.read_text())
    facts["splits"]["train"]["file"] = "../../etc/passwd"
    index.write_text(json.dumps(facts))
    with pytest.raises(FormatError, match="lies outside"):
        open_store(tmp_path / "store")
    index.write_text("{}")
    with pytest.raises(FormatError, match="not an index"):
        open_store(tmp_path / "store")
    with pytest.raises(FormatError, match="is no store"):
        open_store(scenes)
    assert not is_store(scenes)
    with pytest.raises(ConfigError, match="unknown split 'trian'; did you mean 'train'"):
        store["trian"]


def test_a_split_travels_to_another_process_without_its_data(scenes, tmp_path):
    split = prepared(open_collection(scenes), tmp_path / "store")["train"]
    values = np.array(split[2].cube)
    sent = pickle.dumps(split)
    assert len(sent) < 20_000
    np.testing.assert_array_equal(pickle.loads(sent)[2].cube, values)


def test_nothing_to_prepare():
    with pytest.raises(DataError, match="no scenes"):
        plan_store({"train": Collection("none", ())})


def test_random_splits_can_be_stored(scenes, tmp_path):
    plan = plan_store(split_by_scene(open_collection(scenes)))
    prepare_store(plan, tmp_path / "store")
    assert open_store(tmp_path / "store").splits == ("train", "validation", "test")
