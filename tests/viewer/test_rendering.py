"""Renderings against the package's own previews, and what they must do by definition."""

import numpy as np
import pytest

import respectra as rs
from respectra.colour import encode_srgb
from respectra.cubes import preview
from respectra.errors import ConfigError
from respectra.viewer.rendering import LIGHTS, band_colours, light_power, rendering_matrix

GRID = np.arange(400.0, 701.0, 10.0)


def test_radiance_as_it_is_agrees_with_preview(rng):
    cube = rs.make_cube(rng.random((6, 7, 31)) * 0.5, GRID)
    shown = preview(cube, illuminant="D65", exposure=1.0)
    linear = cube.values @ rendering_matrix(GRID, illuminant="D65")
    # Radiance 1 is a hundredth of the scale of D65's table, on which white is 1.
    again = np.rint(255 * encode_srgb(np.clip(linear / 100.0, 0, 1)))
    np.testing.assert_allclose(again, shown, atol=1)


def test_reflectance_agrees_with_preview(rng):
    cube = rs.make_cube(rng.random((6, 7, 31)), GRID, quantity="reflectance")
    shown = preview(cube, illuminant="A")
    linear = cube.values @ rendering_matrix(GRID, illuminant="A", scene="E")
    np.testing.assert_allclose(np.rint(255 * encode_srgb(np.clip(linear, 0, 1))), shown, atol=1)


@pytest.mark.parametrize("light", LIGHTS)
def test_white_stays_white_when_the_eye_adapts(light):
    white = light_power("D65", GRID) / 100
    rgb = white @ rendering_matrix(GRID, illuminant=light, scene="D65", adapt=True)
    np.testing.assert_allclose(rgb, 1.0, atol=2e-3)


def test_a_candle_is_orange_to_an_eye_used_to_daylight():
    white = light_power("D65", GRID) / 100
    r, g, b = white @ rendering_matrix(GRID, illuminant="candle", scene="D65", adapt=False)
    assert r > g > b
    assert r > 1.5 * g


def test_the_candle_follows_planck():
    # Ratio of a black body's power at two wavelengths, from the law itself.
    c2 = 1.438776877e-2
    expected = (450 / 650) ** -5 * np.expm1(c2 / (650e-9 * 1900)) / np.expm1(c2 / (450e-9 * 1900))
    grid = np.arange(400.0, 701.0, 5.0)
    power = dict(zip(grid, light_power("candle", grid), strict=True))
    assert power[450.0] / power[650.0] == pytest.approx(expected, rel=1e-9)


def test_wavelengths_have_the_colours_people_call_them():
    colours = dict(zip(GRID, band_colours(tuple(GRID)), strict=True))
    assert np.argmax(colours[650.0]) == 0
    assert np.argmax(colours[530.0]) == 1
    assert np.argmax(colours[450.0]) == 2


def test_unknown_lights_are_refused():
    with pytest.raises(ConfigError, match="unknown light"):
        rendering_matrix(GRID, illuminant="sunshine")
