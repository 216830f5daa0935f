import json

import numpy as np
import pytest

from respectra import cameras
from respectra.errors import ConfigError


@pytest.mark.parametrize("name", cameras.list_tracks())
def test_recipe_is_plain_and_renders_the_same_again(name, cube):
    image = cameras.get_track(name, seed=7).render(cube, key="a")
    recipe = json.loads(json.dumps(image.attrs["recipe"]))
    again = cameras.get_track(
        recipe["track"],
        seed=recipe["seed"],
        response=recipe["response"]["name"],
        **recipe["options"],
    )
    np.testing.assert_array_equal(again.render(cube, key=recipe["key"]).values, image.values)


def test_recipe_holds_a_response_that_has_no_name():
    response = cameras.make_response(np.ones((2, 3)), [400, 700], name="mine")
    recipe = cameras.get_track("clean", response=response).recipe()
    assert recipe["response"]["values"] == [[1.0] * 3] * 2


@pytest.mark.parametrize("name", cameras.list_tracks())
def test_any_wavelengths(name, cube):
    """A scene gives about the same picture however finely its spectra were sampled."""
    fine = cube.interp(wavelength=np.arange(400, 701, 4.0)).astype("float32")
    track = cameras.get_track(name)
    coarse = track.project(cube)
    assert float(abs(track.project(fine) - coarse).max() / coarse.max()) < 0.02
    assert track.render(fine).shape == (130, 70, 3)


def test_seed_is_checked():
    with pytest.raises(ConfigError, match="non-negative"):
        cameras.get_track("real-world", seed=-1)


@pytest.mark.parametrize("name", cameras.list_tracks())
def test_options_and_summary_are_listed(name):
    assert cameras.track_summary(name)
    if name in ("clean", "real-world", "exposed"):  # another one need not be of 8 bits
        assert "rounding" in cameras.track_options(name).model_fields
    assert cameras.default_response(name) in cameras.list_responses()


def test_code_bounds_of_16_and_32_bits():
    track = cameras.get_track("clean")
    image = cameras.make_image(np.full((1, 1, 3), 0.5), bits=32)
    low, high = track.code_bounds(image)
    assert (low == 0.5).all()
    assert (high == 0.5).all()
    image = cameras.make_image(np.full((1, 1, 3), 1.0), bits=16)
    low, high = track.code_bounds(image)
    assert (low == 1.0).all()
    assert np.isinf(high).all()
