"""Pixels that were not measured are found, and dark or artificial ones are not taken for them."""

import numpy as np

from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, make_cube
from respectra.datasets.collections import open_collection
from respectra.datasets.scenes import valid_pixels


def cube_of(values):
    return make_cube(values, CHALLENGE_WAVELENGTHS_NM)


def test_what_is_not_measured(rng):
    values = rng.uniform(0.1, 1, (30, 40, 31))
    values[0, 0, 3] = np.nan
    values[1, 1, 4] = np.inf
    values[2, 2, 5] = -0.1
    values[3, 3] = 0.0
    values[4, 4, 6] = 0.0  # a zero in one band is a matter of the floor
    values[20:, 35:] = values[20, 35]  # 50 of 1200 pixels filled in
    valid = valid_pixels(cube_of(values))
    wrong = {tuple(place) for place in np.argwhere(~valid)}
    assert wrong >= {(0, 0), (1, 1), (2, 2), (3, 3)}
    assert wrong - {(0, 0), (1, 1), (2, 2), (3, 3)} == {
        (y, x) for y in range(20, 30) for x in range(35, 40)
    }


def test_an_artificial_cube_of_one_spectrum_is_valid():
    assert valid_pixels(cube_of(np.full((8, 8, 31), 0.3))).all()


def test_measured_scenes(data_dir):
    share = {
        scene.name: valid_pixels(scene.open_cube()).mean()
        for scene in open_collection(data_dir / "scenes")
    }
    assert abs(1 - share.pop("muufl_demo_51x88") - 0.135) < 0.005
    assert min(share.values()) > 0.997
