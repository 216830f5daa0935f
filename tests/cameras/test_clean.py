import numpy as np
import pytest

import respectra as rs
from respectra import cameras
from respectra.cameras import codec
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.errors import ConfigError, DataError

GRID = CHALLENGE_WAVELENGTHS_NM


def test_bit_identical_to_the_official_steps(official, rng):
    F = cameras.get_response("cie-1964-ntire2020").values
    track = cameras.get_track("clean")
    for scale in (1e-3, 1.0, 3.0):
        values = scale * rng.random((200, 300, 31), dtype=np.float32)
        codes = track.render_codes(rs.make_cube(values, GRID))
        np.testing.assert_array_equal(codes, official.clean_codes(values, F))


def test_bit_identical_next_to_whole_numbers(official):
    """Spectra scaled so that a channel falls on, or a float step beside, a code's edge."""
    F = cameras.get_response("cie-1964-ntire2020").values
    base = np.linspace(0.2, 1.0, 31)
    signal = (base @ F)[:, None] / 256 * 255
    edges = np.arange(1.0, 256.0)
    values = (edges / signal)[..., None] * base
    values = np.stack([values, np.nextafter(values.astype(np.float32), np.float32(9))])
    values = values.reshape(6, 255, 31).astype(np.float32)
    codes = cameras.get_track("clean").render_codes(rs.make_cube(values, GRID))
    np.testing.assert_array_equal(codes, official.clean_codes(values, F))


def test_ones_give_254_and_more_is_clipped():
    track = cameras.get_track("clean")
    assert (track.render_codes(rs.make_cube(np.ones((2, 2, 31)), GRID)) == 254).all()
    assert (track.render_codes(rs.make_cube(np.full((2, 2, 31), 1e30), GRID)) == 255).all()
    assert (track.render_codes(rs.make_cube(np.zeros((2, 2, 31)), GRID)) == 0).all()


def test_options_change_one_quirk_each():
    ones = rs.make_cube(np.ones((1, 1, 31)), GRID)
    assert cameras.get_track("clean", divisor=255.0).render_codes(ones).max() >= 254
    assert (cameras.get_track("clean", rounding="nearest").render_codes(ones) == 254).all()
    half = rs.make_cube(np.full((1, 1, 31), 254.6 / 254.0039), GRID)
    assert (cameras.get_track("clean", rounding="nearest").render_codes(half) == 255).all()
    with pytest.raises(DataError, match=r"times full scale"):
        cameras.get_track("clean", overflow="refuse").render(2 * ones)


def test_negative_signals():
    cube = rs.make_cube(np.full((1, 1, 31), -0.5), GRID)
    with pytest.raises(DataError, match="negative signals"):
        cameras.get_track("clean").render(cube)
    assert cameras.get_track("clean", negative="clip").render(cube).max() == 0
    # A negative band is the scene's affair as long as the camera's signals are positive.
    mixed = np.ones((1, 1, 31))
    mixed[..., 3] = -0.01
    cameras.get_track("clean").render(rs.make_cube(mixed, GRID))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite(bad):
    values = np.ones((3, 3, 31))
    values[1, 1, 30] = bad
    with pytest.raises(DataError, match="1 pixels of the cube hold NaN or infinite"):
        cameras.get_track("clean").render(rs.make_cube(values, GRID))


def test_image_and_recipe(cube):
    image = cameras.get_track("clean").render(cube)
    assert image.dims == ("y", "x", "channel")
    assert (image.attrs["encoding"], image.attrs["bits"], image.attrs["track"]) == (
        "linear",
        8,
        "clean",
    )
    recipe = image.attrs["recipe"]
    assert recipe["response"]["name"] == "cie-1964-ntire2020"
    assert recipe["options"]["divisor"] == 256.0
    assert recipe["versions"]["respectra"] == rs.__version__


def test_project_is_what_the_codes_truncate(cube):
    track = cameras.get_track("clean")
    codes = np.floor(255 * np.minimum(1, track.project(cube).values))
    np.testing.assert_array_equal(codes, track.render_codes(cube))


def test_file_holds_the_codes(cube):
    track = cameras.get_track("clean")
    codes = track.render_codes(cube)
    np.testing.assert_array_equal(codec.decode(track.encode(codes)), codes)


def test_official_images_stay_below_the_possible_maximum(data_dir):
    files = sorted((data_dir / "ntire2020_inputs").glob("*_clean.png"))
    assert len(files) == 20
    maxima = []
    for file in files:
        image = cameras.open_image(file)
        assert image.shape == (482, 512, 3)
        assert image.attrs["bits"] == 8
        maxima.append(round(float(image.max()) * 255))
    assert max(maxima) == 247


def test_unknown_options_are_refused():
    with pytest.raises(ConfigError, match=r"unknown option 'gamma' \(allowed: divisor"):
        cameras.get_track("clean", gamma=2.2)
    with pytest.raises(ConfigError, match="divisor"):
        cameras.get_track("clean", divisor=0)
    with pytest.raises(ConfigError, match="did you mean 'clean'"):
        cameras.get_track("claen")
