"""Colour differences against colour-science and the published test data."""

from __future__ import annotations

import colour
import numpy as np
import pytest
import torch

from respectra.cubes import make_cube
from respectra.errors import ConfigError, DataError
from respectra.evaluation import metrics as m

#: Pairs whose hues straddle the turn, are opposite, or are not defined, and their ΔE00
#: (Sharma, Wu, Dalal 2005, table 1: pairs 4, 7, 8, 9, 11, 13, 16, 17, 20 and 34).
_PUBLISHED = [
    ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0000),
    ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, -1, 2), (50, 0, 0), 2.3669),
    ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
    ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
    ((50, -0.001, 2.49), (50, 0.0009, -2.49), 4.8045),
    ((50, -0.001, 2.49), (50, 0.0011, -2.49), 4.7461),
    ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
]


@pytest.mark.parametrize(("lab_1", "lab_2", "expected"), _PUBLISHED)
def test_published_pairs(lab_1, lab_2, expected):
    one, two = np.array(lab_1, float), np.array(lab_2, float)
    assert float(m.ciede2000(one, two)) == pytest.approx(expected, abs=5e-5)
    assert float(m.ciede2000(two, one)) == pytest.approx(expected, abs=5e-5)


def test_random_colours_agree_with_colour_science(rng):
    lab = rng.uniform([0, -128, -128], [100, 128, 128], (2, 20_000, 3))
    lab[1, :2000] = lab[0, :2000] + rng.normal(0, 0.5, (2000, 3))
    lab[0, 2000:2100, 1:] = 0  # neutral
    lab[:, 2100:2200, 2] = 0  # on the axis where the hue turns over
    lab[1, 2200:2300, 1:] = -0.5 * lab[0, 2200:2300, 1:] + rng.normal(0, 1e-3, (100, 2))
    expected = colour.delta_E(lab[0], lab[1], method="CIE 2000")
    np.testing.assert_allclose(m.ciede2000(*lab), expected, atol=1e-6)
    np.testing.assert_allclose(m.ciede2000(*torch.tensor(lab)), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("quantity", "light", "spd"),
    [("reflectance", None, "D65"), ("radiance", None, "E"), ("radiance", "A", "A")],
)
def test_rendered_colours_agree_with_colour_science(rng, quantity, light, spd):
    grid = np.arange(400, 701, 10)
    arrays = rng.uniform(0, 1, (2, 3, 4, 31)).astype(np.float32)
    cmfs = colour.MSDS_CMFS["CIE 1964 10 Degree Standard Observer"].copy()
    shape = colour.SpectralShape(400, 700, 10)
    cmfs = cmfs.align(shape)
    power = colour.SDS_ILLUMINANTS[spd].copy().align(shape).values[:, None]
    weights = cmfs.values * power
    white = weights.sum(0)
    chromaticity = white[:2] / white.sum()
    labs = [colour.XYZ_to_Lab(a @ weights / white[1], chromaticity) for a in arrays]
    expected = colour.delta_E(*labs, method="CIE 2000")
    cubes = [make_cube(a, grid, quantity=quantity) for a in arrays]
    rendering = m.Rendering(illuminant=light)
    np.testing.assert_allclose(m.delta_e_2000_map(*cubes, rendering), expected, atol=1e-5)
    assert m.delta_e_2000(*cubes, rendering) == pytest.approx(expected.mean(), abs=1e-5)
    assert m.delta_e_2000_quantile(*cubes, rendering) == pytest.approx(
        np.quantile(expected, 0.95), abs=1e-5
    )


def test_white_sets_the_scale(rng):
    truth, estimate = rng.uniform(0, 1, (2, 3, 3, 31))
    grid = np.arange(400, 701, 10)
    assert m.delta_e_2000(truth * 50, estimate * 50, m.Rendering(grid, white=50)) == pytest.approx(
        m.delta_e_2000(truth, estimate, m.Rendering(grid))
    )


@pytest.mark.parametrize(
    ("rendering", "error", "message"),
    [
        (None, DataError, r"wavelengths to compute colours.*Rendering\(wavelengths_nm"),
        (m.Rendering([500, 600]), DataError, "3 wavelengths, one a band, got 2"),
        (m.Rendering([800, 810, 820]), DataError, "visible range, got 800 to 820"),
        (m.Rendering([450, 550, 650], white=0), ConfigError, "positive white"),
        (m.Rendering([450, 550, 650], observer="me"), ConfigError, "observer 'me'"),
        (m.Rendering([450, 550, 650], illuminant="sun"), ConfigError, "illuminant 'sun'"),
    ],
)
def test_bad_input_is_explained(rendering, error, message):
    with pytest.raises(error, match=message):
        m.delta_e_2000(np.ones((1, 1, 3)), np.ones((1, 1, 3)), rendering)


def test_a_quantile_is_a_share():
    with pytest.raises(ConfigError, match=r"quantile in \[0, 1\], got 95"):
        m.delta_e_2000_quantile(np.ones((1, 1, 3)), np.ones((1, 1, 3)), None, 95)
