"""The still life is a cube one can score against."""

import numpy as np

from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.datasets.still_life import still_life


def test_it_is_a_cube_without_zeros_on_the_challenge_grid():
    scene = still_life(24, 32)
    assert dict(scene.sizes) == {"y": 24, "x": 32, "wavelength": 31}
    assert scene.attrs["quantity"] == "radiance"
    np.testing.assert_array_equal(scene["wavelength"], CHALLENGE_WAVELENGTHS_NM)
    assert scene.values.min() > 0
    assert scene.values.max() <= 1


def test_the_same_seed_gives_the_same_scene():
    np.testing.assert_array_equal(still_life(16, 16, seed=3), still_life(16, 16, seed=3))
    assert not np.array_equal(still_life(16, 16, seed=3), still_life(16, 16, seed=4))


def test_two_lights_of_different_colour_reach_it():
    """Cloth in the lamp's light is redder than cloth in the shade of the daylight alone."""
    scene = still_life(48, 64).values[-10:]
    warmth = scene[..., 25] / scene[..., 5]
    assert np.quantile(warmth, 0.95) > 1.3 * np.quantile(warmth, 0.05)
