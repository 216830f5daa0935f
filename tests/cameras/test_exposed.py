import numpy as np
import pytest

import respectra as rs
from respectra import cameras
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.errors import DataError


def test_bit_identical_to_the_official_steps(official, cube):
    track = cameras.get_track("exposed", seed=5)
    response = cameras.get_response("nikon-5100-npl").values * [2.2933984, 1, 1.62308182]
    codes = track.render_codes(cube, key="scene")
    expected = official.exposed_codes(cube.values, response, seed=5, key="scene")
    np.testing.assert_array_equal(codes, expected)
    assert track.encode(codes) == official.jpeg(expected, 65)


def test_brightness_is_lost(cube):
    track = cameras.get_track("exposed", electrons_per_unit=0.0)
    codes = track.render_codes(cube)
    np.testing.assert_array_equal(codes, track.render_codes(4 * cube))
    assert codes.mean() == pytest.approx(0.18 * 255, abs=0.6)


def test_shot_noise_follows_the_signal():
    scene = rs.make_cube(np.full((200, 64, 31), 0.5), CHALLENGE_WAVELENGTHS_NM)
    track = cameras.get_track("exposed", analog_gains=(1.0, 1.0, 1.0), mean_level=0.5)
    signal = track.project(scene).values[0, 0]
    codes = track.render_codes(scene).astype(float)
    relative = codes.std(axis=(0, 1)) / codes.mean(axis=(0, 1))
    np.testing.assert_allclose(relative, 1 / np.sqrt(750 * signal), rtol=0.05)


def test_black_and_negative(cube):
    with pytest.raises(DataError, match="no signal at all"):
        cameras.get_track("exposed").render(0 * cube)
    assert cameras.get_track("exposed", black="keep").render(0 * cube).max() == 0
    cameras.get_track("exposed").render(cube - 0.2)
    with pytest.raises(DataError, match="negative signals"):
        cameras.get_track("exposed", negative="refuse").render(cube - 1.0)
