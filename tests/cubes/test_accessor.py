"""A cube in a notebook."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

import respectra as rs
from respectra.errors import ConfigError

mpl.use("Agg")


@pytest.fixture
def cube() -> xr.DataArray:
    values = np.linspace(0.1, 0.9, 4 * 5 * 31).reshape(4, 5, 31)
    return rs.make_cube(values, np.arange(400, 701, 10), source="a test", quantity="reflectance")


def test_spectra_are_plotted_beside_where_they_are(cube: xr.DataArray):
    axes = cube.respectra.plot_spectra([(0, 1), (3, 4)])
    assert [line.get_label() for line in axes.get_lines()] == ["y 0, x 1", "y 3, x 4"]
    np.testing.assert_allclose(axes.get_lines()[1].get_ydata(), cube.values[3, 4])
    assert len(axes.figure.axes) == 2
    again = cube.respectra.plot_spectra([(1, 1)], ax=axes)
    assert again is axes
    assert len(axes.get_lines()) == 3


@pytest.mark.parametrize("points", [[], [(4, 0)], [(0, -1)]])
def test_pixels_that_are_not_there_are_refused(cube: xr.DataArray, points: list[tuple[int, int]]):
    with pytest.raises(ConfigError, match=r"at least one pixel|lies outside"):
        cube.respectra.plot_spectra(points)


def test_a_cube_shows_what_it_is(cube: xr.DataArray):
    assert repr(cube.respectra) == (
        "cube of 4 x 5 pixels, 31 bands from 400 to 700 nm, reflectance; a test"
    )
    page = cube.respectra._repr_html_()
    assert "data:image/png;base64," in page
    assert "31 bands" in page
    assert cube.respectra.preview().dtype == np.uint8
