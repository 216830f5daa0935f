"""Previews against colour-science's own chain."""

import cv2
import numpy as np
import pytest

from respectra.cubes import make_cube, preview, save_preview
from respectra.errors import ConfigError, DataError, OutputError

GRID = np.arange(380, 781, 5)


def reference(spectrum: np.ndarray, light: str, observer: str) -> np.ndarray:
    """sRGB of a reflectance under a light, adapted to D65, by colour-science."""
    import colour

    shape = colour.SpectralShape(380, 780, 5)
    cmfs = colour.MSDS_CMFS[observer].copy().align(shape)
    lamp = colour.SDS_ILLUMINANTS[light].copy().align(shape)
    matched = colour.sd_to_XYZ(
        colour.SpectralDistribution(spectrum, GRID), cmfs, lamp, method="Integration"
    )
    white = colour.sd_to_XYZ(
        colour.SpectralDistribution(np.ones(GRID.size), GRID), cmfs, lamp, method="Integration"
    )
    return colour.XYZ_to_sRGB(
        matched / 100, colour.XYZ_to_xy(white), chromatic_adaptation_transform="Bradford"
    )


@pytest.mark.parametrize("light", ["D65", "A", "FL2"])
@pytest.mark.parametrize(
    ("observer", "name"),
    [
        ("cie1931", "CIE 1931 2 Degree Standard Observer"),
        ("cie1964", "CIE 1964 10 Degree Standard Observer"),
    ],
)
def test_reflectance_equals_colour_science(rng, light, observer, name):
    values = np.cumsum(rng.uniform(-0.03, 0.03, (2, 3, GRID.size)), axis=2) + 0.5
    cube = make_cube(values, GRID, quantity="reflectance")
    shown = preview(cube, illuminant=light, observer=observer)
    expected = [[reference(spectrum, light, name) for spectrum in row] for row in values]
    np.testing.assert_allclose(shown, np.clip(expected, 0, 1) * 255, atol=0.8)


@pytest.mark.parametrize("light", ["D65", "A", "E"])
def test_a_perfect_diffuser_is_white_and_a_grey_one_neutral(light):
    cube = make_cube(
        [[np.ones(31), np.full(31, 0.2)]], np.arange(400, 701, 10), quantity="reflectance"
    )
    white, grey = preview(cube, illuminant=light)[0]
    assert white.tolist() == [255, 255, 255]
    assert np.ptp(grey.astype(int)) <= 1
    assert grey[0] == pytest.approx(255 * (1.055 * 0.2 ** (1 / 2.4) - 0.055), abs=1)


def test_radiance_is_exposed_by_its_brightest_half_percent(rng):
    values = np.repeat(rng.uniform(0, 7, (40, 50, 1)), 31, axis=2)
    cube = make_cube(values, np.arange(400, 701, 10))
    shown = preview(cube)
    linear = np.clip(values[:, :, 0] / np.quantile(values[:, :, 0], 0.995), 0.01, 1)
    codes = 255 * (1.055 * linear ** (1 / 2.4) - 0.055)
    bright = linear > 0.01
    for channel in range(3):
        np.testing.assert_allclose(shown[:, :, channel][bright], codes[bright], atol=0.6)
    np.testing.assert_array_equal(shown, preview(cube * 100))
    assert preview(cube, exposure=0.01).max() < 100


def test_pixels_that_are_not_finite_are_black():
    values = np.full((1, 3, 31), 0.5)
    values[0, 0, 3], values[0, 1, 4] = np.nan, np.inf
    shown = preview(make_cube(values, np.arange(400, 701, 10), quantity="reflectance"))
    assert shown[0, :2].tolist() == [[0, 0, 0], [0, 0, 0]]
    assert (shown[0, 2] > 180).all()


def test_black_radiance_is_black():
    assert not preview(make_cube(np.zeros((2, 2, 31)), np.arange(400, 701, 10))).any()


def test_bands_out_of_sight_do_not_matter():
    grid = np.arange(400, 1001, 10)
    values = np.where(grid > 780, 1e6, 0.5) * np.ones((1, 1, 1))
    seen = preview(make_cube(values, grid, quantity="reflectance"))
    alone = preview(make_cube(values[..., :39], grid[:39], quantity="reflectance"))
    np.testing.assert_array_equal(seen, alone)
    with pytest.raises(DataError, match="no band is visible: they lie from 900 to 1000 nm"):
        preview(make_cube(np.ones((1, 1, 2)), [900, 1000]))


def test_options_that_cannot_be():
    cube = make_cube(np.ones((1, 1, 2)), [500, 600])
    with pytest.raises(ConfigError, match="positive factor"):
        preview(cube, exposure=0.0)
    with pytest.raises(ConfigError, match="unknown observer"):
        preview(cube, observer="mine")


def test_saved_previews(tmp_path, rng):
    cube = make_cube(rng.random((4, 5, 31)), np.arange(400, 701, 10), quantity="reflectance")
    save_preview(cube, tmp_path / "a.png")
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.png"))[:, :, ::-1], preview(cube))
    with pytest.raises(OutputError, match="exists already"):
        save_preview(cube, tmp_path / "a.png")
    with pytest.raises(ConfigError, match=r"\.png or a \.jpg; got a\.gif"):
        save_preview(cube, tmp_path / "a.gif")
