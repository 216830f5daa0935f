from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.datasets import spectra
from respectra.datasets.spectra import (
    illuminants,
    list_illuminant_collections,
    list_reflectances,
    reflectances,
    resample_spectrum,
)
from respectra.errors import ConfigError, DataError, MissingExtraError


@pytest.mark.parametrize("source", list_reflectances(installed=True))
def test_every_collection_of_reflectances_is_plausible(source: str) -> None:
    found = reflectances(source)
    assert found.dims == ("sample", "wavelength")
    assert found.sizes["sample"] >= 14
    assert np.array_equal(found["wavelength"], CHALLENGE_WAVELENGTHS_NM)
    assert float(found.min()) >= 0
    assert float(found.max()) < 1.1
    assert found.attrs["licence"]
    assert found.attrs["left_out"] == []


@pytest.mark.parametrize("source", list_illuminant_collections())
def test_every_collection_of_illuminants_has_a_maximum_of_one(source: str) -> None:
    found = illuminants(source)
    assert np.allclose(found.max("wavelength"), 1.0)
    assert float(found.min()) >= 0
    assert len(set(found["sample"].values)) == found.sizes["sample"]


def test_published_values_come_through_where_the_grids_agree() -> None:
    # ColorChecker "white 9.5", 550 nm, in the published average of 30 charts.
    white = reflectances("colorchecker-babelcolor").isel(sample=18).sel(wavelength=550.0)
    assert float(white) == pytest.approx(0.914, abs=0.002)


def test_nothing_is_extrapolated() -> None:
    found = illuminants("cie")
    assert "ISO 7589 Studio Tungsten" in found.attrs["left_out"]  # published to 690 nm only
    assert "ISO 7589 Studio Tungsten" not in found["sample"].values
    with pytest.raises(DataError, match="covers 300 to 400 nm"):
        reflectances("pmc", [300.0, 400.0])


def test_resampling_keeps_straight_lines_and_averages_out_fine_detail() -> None:
    native = np.arange(400.0, 701.0, 1.0)
    grid = np.arange(400.0, 701.0, 10.0)
    straight = resample_spectrum(native, 0.001 * native, grid)
    assert straight is not None
    np.testing.assert_allclose(straight, 0.001 * grid, rtol=1e-12)
    ripple = resample_spectrum(native, np.cos(2 * np.pi * native / 10), grid)
    assert ripple is not None
    assert np.abs(ripple[1:-1]).max() < 0.02


def test_coarse_data_are_interpolated_linearly() -> None:
    native = np.array([400.0, 450.0, 500.0])
    grid = np.arange(400.0, 501.0, 10.0)
    values = np.array([0.0, 1.0, 0.5])
    np.testing.assert_allclose(
        resample_spectrum(native, values, grid), np.interp(grid, native, values), atol=1e-12
    )


def test_unknown_names_suggest_near_ones() -> None:
    with pytest.raises(ConfigError, match="'rawtoaces'"):
        reflectances("rawtoace")
    with pytest.raises(ConfigError, match="'lamps'"):
        illuminants("lamp")


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectra.importlib.util, "find_spec", lambda name: None)
    assert "earthlib" not in list_reflectances(installed=True)
    with pytest.raises(MissingExtraError, match=r"respectra\[spectra\]"):
        reflectances("earthlib")


@pytest.mark.skipif(importlib.util.find_spec("earthlib") is None, reason="earthlib is optional")
def test_earthlib_has_its_categories() -> None:
    found = reflectances("earthlib")
    assert found.sizes["sample"] == 7261
    assert "vegetation/canopy/simulated" in set(found["category"].values)
    assert "" not in set(found["category"].values)
