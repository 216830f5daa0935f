"""Folders of scenes are recognised, and what is known of them comes with them."""

import json
import warnings

import cv2
import numpy as np
import pytest

import respectra as rs
from respectra.cameras import get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.datasets.collections import list_layouts, open_collection
from respectra.errors import ConfigError, DataError, RespectraWarning


def test_arad_2020(arad):
    root, cubes = arad
    collection = open_collection(root)
    assert collection.layout == "arad-2020"
    assert [scene.name for scene in collection] == sorted(cubes)
    for scene in collection:
        np.testing.assert_array_equal(scene.open_cube(), cubes[scene.name])
        assert set(scene.images) == (set() if scene.name == "ARAD_HS_0002" else {"clean"})
    bad = [scene.name for scene in collection if scene.bad]
    assert bad == ["ARAD_HS_0340"]


def test_images_that_are_missing_are_rendered(arad):
    root, _ = arad
    first, second = open_collection(root).scenes[:2]
    track = get_track("clean")
    for scene in (first, second):
        np.testing.assert_array_equal(scene.image(track), track.render(scene.open_cube()))


def test_arad_1k(tmp_path, rng, write_mat73):
    write_mat73(tmp_path / "Train_Spec" / "ARAD_1K_0531.mat", rng.random((8, 10, 31)))
    (tmp_path / "Train_RGB").mkdir()
    cv2.imwrite(str(tmp_path / "Train_RGB" / "ARAD_1K_0531.jpg"), np.zeros((8, 10, 3), np.uint8))
    collection = open_collection(tmp_path)
    assert collection.layout == "arad-1k"
    assert set(collection.scenes[0].images) == {"exposed"}
    assert "897" in collection.scenes[0].bad


@pytest.mark.parametrize(
    ("name", "layout"), [("BGU_HS_00203", "bgu"), ("4cam_0411-1640-1", "icvl")]
)
def test_twelve_bit_radiance_becomes_values(tmp_path, rng, write_mat73, name, layout):
    codes = rng.integers(0, 4096, (6, 7, 31)).astype(np.float64)
    write_mat73(tmp_path / f"{name}.mat", codes, "rad")
    collection = open_collection(tmp_path)
    assert collection.layout == layout
    np.testing.assert_allclose(collection.scenes[0].open_cube(), codes / 4095, rtol=1e-6)


def test_cave_folders(tmp_path, rng):
    cube = rs.make_cube(rng.random((8, 9, 31)), CHALLENGE_WAVELENGTHS_NM)
    for name in ("balloons_ms", "beads_ms"):
        folder = tmp_path / name / name
        folder.mkdir(parents=True)
        for band in range(31):
            codes = np.rint(cube.values[:, :, band] * 65535).astype(np.uint16)
            cv2.imwrite(str(folder / f"{name}_{band + 1:02d}.png"), codes)
    collection = open_collection(tmp_path)
    assert collection.layout == "cave"
    assert [scene.name for scene in collection] == ["balloons", "beads"]
    np.testing.assert_allclose(collection.scenes[0].open_cube(), cube, atol=1e-5)


def test_cubes_that_a_layout_leaves_out_are_said(arad, rng, write_mat73):
    root, cubes = arad
    name = next(iter(cubes))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_collection(root)
    rs.save_cube(rs.make_cube(rng.random((4, 4, 3)), [450, 550, 650]), root / "mine.npz")
    write_mat73(root / "with" / f"{name}.mat", rng.random((4, 4, 31)))
    with pytest.warns(RespectraWarning, match=rf"2 left out of .*: mine.npz, with/{name}.mat"):
        collection = open_collection(root)
    assert [scene.name for scene in collection] == sorted(cubes)


def test_one_scene_in_two_formats_is_one_scene(scenes):
    rs.save_cube(rs.open_cube(scenes / "scene0.npz"), scenes / "scene0.hdr")
    rs.save_cube(rs.open_cube(scenes / "scene1.npz"), scenes / "below" / "scene0.npz")
    collection = open_collection(scenes)
    groups = {scene.name: scene.group for scene in collection}
    assert groups["scene0.npz"] == groups["scene0.hdr"]
    assert groups["below/scene0.npz"] != groups["scene0.npz"]
    assert len(collection) == 6


def test_any_folder_of_cubes(scenes, tmp_path):
    (scenes / "below").mkdir()
    rs.save_cube(rs.open_cube(scenes / "scene0.npz"), scenes / "below" / "more.hdr")
    (scenes / "notes.txt").write_text("no cube")
    collection = open_collection(scenes)
    assert collection.layout == "cubes"
    names = [scene.name for scene in collection]
    assert names == ["more", "scene0", "scene1", "scene2", "scene3"]


def test_files_of_one_name_are_told_apart(scenes):
    (scenes / "below").mkdir()
    rs.save_cube(rs.open_cube(scenes / "scene0.npz"), scenes / "below" / "scene0.npz")
    names = [scene.name for scene in open_collection(scenes)]
    assert "below/scene0.npz" in names
    assert len(set(names)) == 5


def test_simulated_images_beside_cubes_belong_to_them(scenes):
    from respectra.cameras import simulate

    track = get_track("real-world", seed=4)
    simulate(track, rs.open_cube(scenes / "scene0.npz"), scenes, "scene0")
    scene = open_collection(scenes).scenes[0]
    assert set(scene.images) == {"real-world"}
    assert json.loads((scenes / "scene0_RealWorld.recipe.json").read_text())["seed"] == 4


def test_measured_archives_know_which_files_show_one_scene(data_dir):
    collection = open_collection(data_dir / "scenes")
    assert collection.layout == "archives"
    groups = {scene.name: scene.group for scene in collection}
    assert groups["kbr_d1"] == groups["cave_u8_feathers"]
    assert groups["kbr_d2"] == groups["cave256_chart_and_stuffed_toy"]
    assert groups["kbr_d3"] == groups["cave101_balloons"]
    laboratory = {name for name in groups.values() if name.startswith("cave/")}
    assert len(laboratory) == 6


def test_what_is_refused(tmp_path, scenes):
    with pytest.raises(DataError, match="there is no folder"):
        open_collection(tmp_path / "none")
    with pytest.raises(ConfigError, match="unknown layout 'arad-2021'; did you mean"):
        open_collection(scenes, layout="arad-2021")
    with pytest.raises(DataError, match="no cube laid out as cave"):
        open_collection(scenes, layout="cave")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no cube"):
        open_collection(tmp_path / "empty")
    with pytest.raises(DataError, match="no scene scene9"):
        open_collection(scenes).select(("scene9",))
    assert "arad-2020" in list_layouts()


def test_radiance_up_to_1_is_no_code(tmp_path, rng, write_mat73):
    values = rng.random((4, 6, 31)).astype(np.float32)
    write_mat73(tmp_path / "scene.mat", values, "rad")
    scene = open_collection(tmp_path).scenes[0]
    np.testing.assert_array_equal(scene.open_cube().values, values)


@pytest.mark.posix
def test_linked_folders_are_followed_and_circles_end(tmp_path):
    values = np.full((3, 4, 31), 0.5, np.float32)
    cube = rs.make_cube(values, np.arange(400, 701, 10))
    rs.save_cube(cube, tmp_path / "elsewhere" / "away.npz")
    rs.save_cube(cube, tmp_path / "here" / "near.npz")
    (tmp_path / "here" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "here")
    names = [scene.name for scene in open_collection(tmp_path / "here").scenes]
    assert sorted(names) == ["away", "near"]
