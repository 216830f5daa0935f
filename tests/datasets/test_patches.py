"""Patches are where seed, epoch and number put them, and what options ask for."""

import numpy as np
import pytest
from tests.datasets.memory import MemoryScenes

import respectra as rs
from respectra.cameras import get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.datasets.patches import Patches, PatchOptions, RenderOptions, turn
from respectra.errors import ConfigError, DataError


@pytest.fixture
def source(rng):
    cubes = {
        f"scene{k}": rs.make_cube(rng.uniform(0.05, 0.6, (*s, 31)), CHALLENGE_WAVELENGTHS_NM)
        for k, s in enumerate(((40, 48), (34, 38), (64, 40)))
    }
    return MemoryScenes(cubes, [get_track("clean"), get_track("real-world")])


def test_a_patch_is_a_piece_of_its_scene(source):
    patches = Patches(source, PatchOptions(size=16, track="real-world"), seed=3)
    assert len(patches) == 3
    batch = patches.batch(2, [0, 1, 2])
    assert sorted(batch.scenes) == ["scene0", "scene1", "scene2"]
    for k in range(3):
        window = patches.window(2, k)
        scene = source[window.scene]
        area = (slice(window.y, window.y + 16), slice(window.x, window.x + 16))
        np.testing.assert_array_equal(batch.cubes[k], scene.cube[area])
        codes, _ = scene.images["real-world"]
        np.testing.assert_allclose(batch.images[k], codes[area] / 255, rtol=1e-6)


def test_strided_patches_cover_the_grid_once(source):
    options = PatchOptions(size=16, stride=8, sampling="strided")
    patches = Patches(source, options, seed=0)
    expected = {
        (k, y, x)
        for k, (rows, columns) in enumerate(((40, 48), (34, 38), (64, 40)))
        for y in range(0, rows - 15, 8)
        for x in range(0, columns - 15, 8)
    }
    windows = [patches.window(0, i) for i in range(len(patches))]
    assert {(w.scene, w.y, w.x) for w in windows} == expected
    assert len(windows) == len(expected)
    other = [patches.window(1, i) for i in range(len(patches))]
    assert [(w.scene, w.y) for w in windows] != [(w.scene, w.y) for w in other]
    ordered = Patches(source, PatchOptions(**{**options.model_dump(), "shuffle": False}))
    places = [ordered.window(0, i) for i in range(len(ordered))]
    assert [(w.scene, w.y, w.x) for w in places] == sorted(expected)


def test_the_published_number_of_patches():
    cube = rs.make_cube(np.full((482, 512, 2), 0.5), [500.0, 600.0])
    source = MemoryScenes({"a": cube}, [])
    options = PatchOptions(size=64, stride=32, sampling="strided", render=RenderOptions())
    assert len(Patches(source, options)) == 210  # AWAN's, of one image


@pytest.mark.parametrize("symmetries", ["none", "horizontal", "vertical", "flips", "all"])
def test_symmetries_turn_image_and_cube_alike(source, symmetries):
    options = PatchOptions(size=12, symmetries=symmetries, per_scene=40)
    patches = Patches(source, options, seed=1)
    batch = patches.batch(0, range(len(patches)))
    seen = set()
    for k in range(len(patches)):
        w = patches.window(0, k)
        seen.add(w.symmetry)
        area = (slice(w.y, w.y + 12), slice(w.x, w.x + 12))
        np.testing.assert_array_equal(batch.cubes[k], turn(source[w.scene].cube[area], w.symmetry))
        codes = source[w.scene].images["clean"][0]
        np.testing.assert_allclose(batch.images[k], turn(codes[area], w.symmetry) / 255, rtol=1e-6)
    count = {"none": 1, "horizontal": 2, "vertical": 2, "flips": 4, "all": 8}[symmetries]
    assert len(seen) == count


def test_exposure_scales_both_and_clips_the_image(source):
    plain = Patches(source, PatchOptions(size=16), seed=2).batch(0, [0, 1, 2])
    options = PatchOptions(size=16, exposure=(3.0, 3.0))
    bright = Patches(source, options, seed=2).batch(0, [0, 1, 2])
    np.testing.assert_allclose(bright.cubes, 3 * plain.cubes, rtol=1e-6)
    np.testing.assert_allclose(bright.images, np.minimum(3 * plain.images, 1), rtol=1e-6)
    assert bright.images.max() == 1


def test_rendering_anew_equals_the_image_where_nothing_changes(source):
    stored = Patches(source, PatchOptions(size=16), seed=2).batch(1, [0, 1, 2])
    options = PatchOptions(size=16, render=RenderOptions(track="clean"))
    anew = Patches(source, options, seed=2).batch(1, [0, 1, 2])
    np.testing.assert_array_equal(anew.cubes, stored.cubes)
    np.testing.assert_allclose(anew.images, stored.images, rtol=1e-6)


def test_rendering_with_other_cameras_and_fresh_noise(source):
    render = RenderOptions(
        track="real-world",
        responses=("nikon-5100-npl", "ntire2020-example-d40"),
        options={"dark_noise_e": 3.0},
    )
    patches = Patches(source, PatchOptions(size=15, render=render), seed=2)
    windows = [patches.window(e, k) for e in range(8) for k in range(3)]
    assert {w.response for w in windows} == set(render.responses)
    assert len({w.noise_seed for w in windows}) == len(windows)
    image = patches.batch(0, [0]).images
    assert image.shape == (1, 15, 15, 3)
    assert 0.05 < image.mean() < 0.9
    np.testing.assert_array_equal(image, patches.batch(0, [0]).images)


def test_pixels_that_were_not_measured_are_avoided_or_marked(rng):
    values = rng.uniform(0.1, 1, (40, 40, 31))
    values[:, 20:] = 0
    source = MemoryScenes(
        {"half": rs.make_cube(values, CHALLENGE_WAVELENGTHS_NM)}, [get_track("clean")]
    )
    marked = Patches(source, PatchOptions(size=10, per_scene=20)).batch(0, range(20))
    np.testing.assert_array_equal(marked.valid, (marked.cubes > 0).all(axis=3))
    assert not marked.valid.all()
    options = PatchOptions(size=10, per_scene=20, least_valid=1.0)
    assert Patches(source, options).batch(0, range(20)).valid.all()
    options = PatchOptions(size=10, sampling="strided", least_valid=1.0)
    assert len(Patches(source, options)) == 8


def test_what_is_refused(source):
    with pytest.raises(DataError, match="no scene holds a patch of 100 x 100"):
        Patches(source, PatchOptions(size=100))
    with pytest.raises(DataError, match="has no exposed image, only clean, real-world"):
        Patches(source, PatchOptions(size=8, track="exposed"))
    with pytest.raises(ConfigError, match="unknown option 'flip'"):
        PatchOptions(flip=True)
    with pytest.raises(ConfigError, match="two positive factors"):
        PatchOptions(exposure=(2.0, 1.0))
    with pytest.raises(ConfigError, match="unknown track 'claen'"):
        Patches(source, PatchOptions(size=8, render=RenderOptions(track="claen")))
    with pytest.raises(ConfigError, match="patches 0 to 2; got 3"):
        Patches(source, PatchOptions(size=8)).window(0, 3)
