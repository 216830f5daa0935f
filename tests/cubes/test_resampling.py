"""Resampling against scipy and numeric integration; cropping."""

import itertools

import numpy as np
import pytest
from scipy.interpolate import interp1d

from respectra.cubes import crop, make_cube, resample
from respectra.errors import ConfigError, DataError


@pytest.fixture
def cube(rng):
    grid = np.sort(rng.uniform(400, 700, 40))
    return make_cube(rng.random((3, 4, 40), np.float32), grid, quantity="reflectance", note="kept")


def test_linear_equals_scipy(cube):
    grid = cube["wavelength"].values
    target = np.linspace(grid[0], grid[-1], 31)
    expected = interp1d(grid, cube.values, axis=2)(target)
    result = resample(cube, target)
    np.testing.assert_allclose(result.values, expected, atol=1e-6)
    np.testing.assert_array_equal(result["wavelength"], target)
    assert result.attrs == cube.attrs


def test_its_own_grid_changes_nothing(cube):
    np.testing.assert_array_equal(resample(cube, cube["wavelength"]).values, cube.values)


def test_band_average_equals_fine_numeric_integration(cube):
    target = np.array([450.0, 470.0, 500.0, 560.0, 640.0])
    edges = np.array([440.0, 460.0, 485.0, 530.0, 600.0, 680.0])
    spectrum = interp1d(cube["wavelength"].values, cube.values, axis=2)
    for band, (low, high) in enumerate(itertools.pairwise(edges)):
        middles = low + (np.arange(20_000) + 0.5) * (high - low) / 20_000
        expected = spectrum(middles).mean(axis=2)
        result = resample(cube, target, "band-average").values[:, :, band]
        np.testing.assert_allclose(result, expected, atol=2e-6)


def test_band_averages_keep_constants_and_leave_out_what_was_not_measured():
    grid = np.arange(400, 701, 5)
    flat = make_cube(np.full((1, 1, grid.size), 0.25), grid)
    np.testing.assert_allclose(
        resample(flat, np.arange(400, 701, 10), "band-average").values, 0.25, rtol=1e-6
    )
    ramp = make_cube((grid / 1000.0)[None, None], grid)
    result = resample(ramp, np.arange(400, 701, 10), "band-average").values[0, 0]
    assert result[0] == pytest.approx(0.4025)  # the mean of 400 to 405 nm
    assert result[15] == pytest.approx(0.55)


def test_extrapolation_is_refused_unless_told(cube):
    first = cube.values[:, :, 0]
    for method in ("linear", "band-average"):
        with pytest.raises(DataError, match=r"not at 300, 310 nm; .* extrapolate=True"):
            resample(cube, [300, 310, 500], method)
        held = resample(cube, [300, 310, 500], method, extrapolate=True)
        np.testing.assert_allclose(held.values[:, :, 0], first, rtol=1e-6)


def test_what_cannot_be_resampled(cube):
    with pytest.raises(DataError, match="width of a single band"):
        resample(cube, [500], "band-average")
    with pytest.raises(ConfigError, match="'linear', 'band-average' or 'auto'; got 'cubic'"):
        resample(cube, [500], "cubic")
    cube.values[0, 0, 0] = np.inf
    with pytest.raises(DataError, match="infinite values"):
        resample(cube, [500])


@pytest.mark.parametrize("method", ["linear", "band-average"])
def test_what_was_not_measured_stays_so_where_it_counts(rng, method):
    values = rng.random((3, 4, 31), np.float32)
    whole = make_cube(values, np.arange(400, 701, 10))
    missing = np.zeros(values.shape, bool)
    missing[0, 1, 4] = missing[2, 3] = True  # 440 nm of one pixel, all of another
    holed = make_cube(np.where(missing, np.nan, values), np.arange(400, 701, 10))
    target = np.arange(405, 696, 20) if method == "band-average" else np.arange(402, 699, 4)
    expected = resample(whole, target, method).values
    # Whatever stands in the hole changes what the hole has a weight in, and nothing else.
    changed = resample(whole.where(~missing, 9.0), target, method).values
    expected[changed != expected] = np.nan
    result = resample(holed, target, method)
    np.testing.assert_array_equal(result.values, expected)
    assert np.isnan(result.values[2, 3]).all()
    assert 0 < np.isnan(result.values[0, 1]).sum() < target.size / 2
    assert np.isfinite(result.values[1]).all()


def test_crop(cube):
    part = crop(cube, y=(1, 3), x=(0, 2))
    np.testing.assert_array_equal(part.values, cube.values[1:3, 0:2])
    for y in ((0, 4), (2, 2), (-1, 2)):
        with pytest.raises(DataError, match=r"cannot crop y .* from 0 to 3"):
            crop(cube, y=y, x=(0, 1))
