"""Scenes on disk against the cubes they were made of."""

import numpy as np
import pytest

import respectra as rs
from respectra.progress import unseen
from respectra.viewer.blocks import CubeSource, SceneBlock
from respectra.viewer.pyramid import Plane, PlaneInfo, level_sizes
from respectra.viewer.scene import StoredScene
from respectra.viewer.scene_writer import write_scene


def cube_of(rng, height, width):
    rough = rng.random((height // 8 + 1, width // 8 + 1, 4)).astype(np.float32)
    values = np.kron(rough, np.ones((8, 8, 1), np.float32))[:height, :width]
    return rs.make_cube(values @ rng.random((4, 31)), np.arange(400, 701, 10))


def test_every_pixel_is_as_near_as_the_scene_says(rng, tmp_path):
    cube = cube_of(rng, 700, 900)  # more than a first look
    phases = []
    write_scene(CubeSource(cube), tmp_path, lambda done, total, what: phases.append(what))
    scene = StoredScene(tmp_path)
    shown = scene.spectra(slice(None), slice(None))
    error = np.abs(shown - cube.values).max()
    assert error <= scene.manifest.largest_error * 1.01 + 1e-6
    assert scene.manifest.largest_error < 1e-3 * cube.values.max()
    assert phases.index("first look") < phases.index("block")


def test_coarser_levels_are_means(rng, tmp_path):
    cube = cube_of(rng, 600, 520)
    write_scene(CubeSource(cube), tmp_path, unseen)
    coarse = StoredScene(tmp_path).spectra(slice(None), slice(None), level=1)
    means = cube.values.reshape(300, 2, 260, 2, 31).mean(axis=(1, 3))
    np.testing.assert_allclose(coarse, means, atol=2e-3 * means.max())


class Speckled:
    """A picture of few colours, recovered by the colour: spectra that name it."""

    pictures = ("picture", "difference")
    deviates = False
    light = None
    quantity = "radiance"
    wavelengths_nm = np.arange(400.0, 701.0, 100.0)

    def __init__(self, codes):
        self.codes = codes
        self.height, self.width = codes.shape
        self.asked = []

    def colours(self, rows, columns):
        return self.codes[rows, columns]

    def block(self, rows, columns):
        raise AssertionError("by the colour, not by the pixel")

    def preview(self, colours, counts):
        return self.block_of(colours), True

    def block_of(self, colours):
        self.asked.extend(colours.tolist())
        grey = (colours[:, None] % 256).astype(np.float32)
        spectra = grey / 255 * np.array([1, 2, 3, 4], np.float32)
        plain = np.repeat(grey.astype(np.uint8), 3, axis=1)
        difference = (colours[:, None] == 7).astype(np.uint8)
        return SceneBlock(spectra, pictures={"picture": plain, "difference": difference})


@pytest.mark.parametrize(("height", "width"), [(900, 1203), (800, 601), (30, 41)])
def test_each_colour_is_computed_once_and_all_levels_are_right(rng, tmp_path, height, width):
    source = Speckled(rng.integers(0, 200, (height, width)).astype(np.int32))
    manifest = write_scene(source, tmp_path, unseen)
    assert sorted(source.asked) == sorted(set(source.codes.ravel().tolist()))
    assert manifest.differing_pixels == (source.codes == 7).sum()
    scene = StoredScene(tmp_path)
    grey = source.codes.astype(np.float64)
    for level in range(len(level_sizes(height, width))):
        side = 2**level
        padded = np.pad(grey, [(0, -length % side) for length in grey.shape], mode="edge")
        means = padded.reshape(-(-height // side), side, -1, side).mean(axis=(1, 3))
        shown = scene.spectra(slice(None), slice(None), level)
        np.testing.assert_allclose(shown[..., 1], means / 255 * 2, atol=4e-3)
        picture = scene.plane("picture").read(level, slice(None), slice(None))
        np.testing.assert_allclose(picture[0], means, atol=0.51)
    part = scene.spectra(slice(10, 20), slice(width - 3, width))
    np.testing.assert_allclose(part[..., 0], grey[10:20, -3:] / 255, atol=2e-3)


def test_a_glance_that_is_not_final_is_not_kept(rng, tmp_path):
    class Guessing(Speckled):
        def preview(self, colours, counts):
            assert counts.sum() == 300 * 300
            return self.block_of(colours * 0), False

    source = Guessing(rng.integers(0, 200, (600, 600)).astype(np.int32))
    looks = []

    def progress(done, total, what):
        if what == "first look":
            looks.append(StoredScene(tmp_path).spectra(slice(None), slice(None), level=1))

    write_scene(source, tmp_path, progress)
    shown = StoredScene(tmp_path).spectra(slice(None), slice(None))[..., 0]
    np.testing.assert_allclose(shown, source.codes / 255, atol=2e-3)
    assert not looks[0].any()


def test_what_is_looked_at_is_computed_first_and_can_be_read_at_once(rng, tmp_path):
    cube = cube_of(rng, 1100, 1600)
    seen = []

    def progress(done, total, what):
        if what == "block" and not seen:
            scene = StoredScene(tmp_path)
            seen.append(scene.manifest)
            there = scene.spectra(slice(1050, 1052), slice(100, 103))
            np.testing.assert_allclose(there, cube.values[1050:1052, 100:103], atol=5e-3)

    write_scene(CubeSource(cube), tmp_path, progress, focus=lambda: (1060, 90))
    (first,) = seen
    assert first.finest > 0
    assert first.ready == ((2, 0),)
    assert first.level_of(1099, 511) == 0
    assert first.level_of(1099, 512) == first.finest
    assert first.covers(1, slice(512, 550), slice(0, 256))
    assert not first.covers(1, slice(500, 550), slice(0, 256))
    assert StoredScene(tmp_path).manifest.level_of(0, 0) == 0


def test_values_that_are_not_finite_are_counted_and_shown_as_zero(rng, tmp_path):
    cube = cube_of(rng, 20, 30)
    cube.values[3, 4, 5] = np.nan
    manifest = write_scene(CubeSource(cube), tmp_path, unseen)
    assert manifest.invalid_pixels == 1
    assert np.isfinite(StoredScene(tmp_path).spectra(slice(None), slice(None))).all()


@pytest.mark.parametrize("size", [(1, 1), (512, 512), (513, 1), (4000, 6000)])
def test_levels_halve_until_they_fit(size):
    sizes = level_sizes(*size)
    assert sizes[0] == size
    assert max(sizes[-1]) <= 512
    halves = [((height + 1) // 2, (width + 1) // 2) for height, width in sizes]
    assert sizes[1:] == halves[:-1]


def test_a_difference_keeps_its_maximum_when_it_shrinks(tmp_path):
    info = PlaneInfo(name="difference", channels=1, dtype="uint8", reduce="max")
    plane = Plane(tmp_path, info, 600, 601)
    plane.create()
    values = np.zeros((1, 600, 601), np.uint8)
    values[0, 301, 600] = 9
    plane.write(0, slice(None), slice(None), values)
    plane.fill_from(0, 1)
    assert plane.open(1)[0, 150, 300] == 9
    assert np.count_nonzero(plane.open(1)) == 1
