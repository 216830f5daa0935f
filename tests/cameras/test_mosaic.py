import numpy as np
import pytest

from respectra.cameras.sensor import demosaic, mosaic
from respectra.errors import DataError


def test_rggb_layout():
    rgb = np.arange(4 * 4 * 3).reshape(4, 4, 3)
    raw = mosaic(rgb)
    assert raw[0, 0] == rgb[0, 0, 0]
    assert raw[0, 1] == rgb[0, 1, 1]
    assert raw[1, 0] == rgb[1, 0, 1]
    assert raw[3, 3] == rgb[3, 3, 2]


@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize("algorithm", ["edge-aware", "bilinear"])
def test_a_pure_colour_comes_back_in_its_channel(channel, algorithm):
    rgb = np.zeros((8, 10, 3), np.uint16)
    rgb[..., channel] = 50_000
    np.testing.assert_array_equal(demosaic(mosaic(rgb), algorithm), rgb)


def test_the_border_repeats_its_neighbours(rng):
    rgb = demosaic(mosaic(rng.integers(0, 65536, (8, 10, 3), dtype=np.uint16)))
    np.testing.assert_array_equal(rgb[0], rgb[1])
    np.testing.assert_array_equal(rgb[:, -1], rgb[:, -2])


def test_too_small():
    with pytest.raises(DataError, match="at least 4 × 4"):
        demosaic(np.zeros((2, 8), np.uint16))
