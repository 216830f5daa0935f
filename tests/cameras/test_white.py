import warnings

import numpy as np
import pytest

from respectra.cameras import Capture, make_image
from respectra.cameras.white import estimate_white, measure_white
from respectra.errors import DataError, FormatError, RespectraWarning


def scene(white, seed=0):
    """Random smooth greys and colours under a light."""
    rng = np.random.default_rng(seed)
    grey = rng.uniform(0.05, 0.95, (60, 60, 1))
    return np.clip(grey * rng.normal(1, 0.15, (60, 60, 3)), 0.01, 1) * np.asarray(white) * 0.95


@pytest.mark.parametrize("white", [(0.5, 1, 0.7), (1, 0.6, 0.3), (1, 1, 1)])
def test_the_colour_of_the_light(white):
    found = np.array(estimate_white(scene(white)))
    np.testing.assert_allclose(found / found.max(), white, atol=0.08)
    assert 0.7 < found.max() <= 1


def test_clipped_pixels_say_nothing_of_the_colour():
    values = scene((0.5, 1, 0.7))
    values[:10] = 1.0
    found = np.array(estimate_white(values))
    np.testing.assert_allclose(found / found.max(), (0.5, 1, 0.7), atol=0.08)


def test_nothing_to_see():
    for level in (0.0, 1.0):
        with pytest.raises(DataError, match="cannot be estimated"):
            estimate_white(np.full((8, 8, 3), level))


def test_a_capture_with_an_estimated_white():
    capture = Capture(camera="ampas-nikon-d70", white="auto")
    assert capture.needs_picture
    assert Capture.from_json(capture.to_json()) == capture
    resolved = capture.resolve(make_image(scene((0.5, 1, 0.7))))
    assert resolved.white == estimate_white(scene((0.5, 1, 0.7)).astype(np.float32))
    assert not resolved.needs_picture
    with pytest.raises((DataError, FormatError)):
        Capture(white="white")


def test_a_dark_white_is_warned_of():
    values = np.full((10, 10, 3), 0.6)
    values[:2, :2] = 0.05
    with pytest.warns(RespectraWarning, match="96% of the picture is brighter than the white 0,0"):
        assert measure_white(values, (0, 0, 2, 2)) == pytest.approx((0.05, 0.05, 0.05))
    values[5, 5] = 0.98  # a gleam is no reason
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measure_white(values, (4, 0, 2, 2))
