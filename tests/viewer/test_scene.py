"""Scenes on disk against the cubes they were made of."""

import numpy as np
import pytest

import respectra as rs
from respectra.viewer.blocks import CubeSource
from respectra.viewer.pyramid import Plane, PlaneInfo, level_sizes
from respectra.viewer.scene import Scene
from respectra.viewer.scene_writer import write_scene


def cube_of(rng, height, width):
    rough = rng.random((height // 8 + 1, width // 8 + 1, 4)).astype(np.float32)
    values = np.kron(rough, np.ones((8, 8, 1), np.float32))[:height, :width]
    return rs.make_cube(values @ rng.random((4, 31)), np.arange(400, 701, 10))


def test_every_pixel_is_as_near_as_the_scene_says(rng, tmp_path):
    cube = cube_of(rng, 700, 900)  # more than a first look
    phases = []
    write_scene(CubeSource(cube), tmp_path, lambda phase, share: phases.append(phase))
    scene = Scene(tmp_path)
    shown = scene.spectra(slice(None), slice(None))
    error = np.abs(shown - cube.values).max()
    assert error <= scene.manifest.largest_error * 1.01 + 1e-6
    assert scene.manifest.largest_error < 1e-3 * cube.values.max()
    assert phases.index("first") < phases.index("computing")


def test_coarser_levels_are_means(rng, tmp_path):
    cube = cube_of(rng, 600, 520)
    write_scene(CubeSource(cube), tmp_path, lambda phase, share: None)
    coarse = Scene(tmp_path).spectra(slice(None), slice(None), level=1)
    means = cube.values.reshape(300, 2, 260, 2, 31).mean(axis=(1, 3))
    np.testing.assert_allclose(coarse, means, atol=2e-3 * means.max())


def test_values_that_are_not_finite_are_counted_and_shown_as_zero(rng, tmp_path):
    cube = cube_of(rng, 20, 30)
    cube.values[3, 4, 5] = np.nan
    manifest = write_scene(CubeSource(cube), tmp_path, lambda phase, share: None)
    assert manifest.invalid_pixels == 1
    assert np.isfinite(Scene(tmp_path).spectra(slice(None), slice(None))).all()


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
    values = np.zeros((600, 601, 1), np.uint8)
    values[301, 600] = 9
    plane.write(0, slice(None), slice(None), values)
    plane.fill_from(0)
    assert plane.open(1)[0, 150, 300] == 9
    assert np.count_nonzero(plane.open(1)) == 1
