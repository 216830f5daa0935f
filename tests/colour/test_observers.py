"""Observers and illuminants equal the published tables."""

import numpy as np
import pytest

from respectra.colour import colour_matching, illuminant, list_illuminants
from respectra.colour.observers import bradford, illuminant_table, tabulated_illuminants
from respectra.errors import ConfigError, DataError


def test_published_values_of_the_two_observers():
    # CIE 015: 2° at 450, 550, 600 nm; 10° at 550 nm.
    np.testing.assert_allclose(
        colour_matching("cie1931", [450, 550, 600]),
        [[0.3362, 0.038, 1.77211], [0.4334499, 0.9949501, 0.008749999], [1.0622, 0.631, 0.0008]],
        atol=1e-6,
    )
    np.testing.assert_allclose(
        colour_matching("cie1964", [550])[0], [0.529826, 0.991761, 0.003988], atol=1e-6
    )


def test_between_table_entries_the_functions_are_linear_and_outside_zero():
    low, middle, high = colour_matching("cie1931", [500, 500.25, 501])
    np.testing.assert_allclose(middle, 0.75 * low + 0.25 * high)
    assert not colour_matching("cie1931", [300, 1000]).any()


def test_ntire_response_is_the_10_degree_observer_with_gain(data_dir):
    published = np.load(data_dir / "spectra" / "ntire2020_responses.npz")["cie_1964_w_gain"]
    table = colour_matching("cie1964", np.arange(400, 701, 10))
    np.testing.assert_allclose(published / published.sum(0), table / table.sum(0), atol=2e-4)


def test_published_values_of_illuminants():
    np.testing.assert_allclose(
        illuminant("D65", [400, 450, 560, 700]), [82.7549, 117.008, 100.0, 71.6091]
    )
    np.testing.assert_allclose(illuminant("a", [400, 560]), [14.708, 100.0], rtol=1e-4)
    np.testing.assert_array_equal(illuminant("E", [200, 2500]), [100.0, 100.0])
    assert "FL2" in list_illuminants()


def test_unknown_names_and_bands_outside_the_table_are_errors():
    with pytest.raises(ConfigError, match=r"unknown observer 'cie1932'; did you mean"):
        colour_matching("cie1932", [500])
    with pytest.raises(ConfigError, match="unknown illuminant 'D66'; did you mean 'd6"):
        illuminant("D66", [500])
    with pytest.raises(DataError, match="known from 300 to 780 nm, not from 400 to 1000"):
        illuminant("D65", [400, 1000])


def test_the_tables_in_the_package_are_the_librarys():
    import colour

    titles = {"cie1931": "CIE 1931 2 Degree", "cie1964": "CIE 1964 10 Degree"}
    for name, title in titles.items():
        table = colour.MSDS_CMFS[f"{title} Standard Observer"]
        np.testing.assert_array_equal(colour_matching(name, table.wavelengths), table.values)
    for name in ("D65", "A"):
        known = colour.SDS_ILLUMINANTS[name]
        grid, power = illuminant_table(name)
        np.testing.assert_array_equal(grid, known.wavelengths)
        np.testing.assert_array_equal(power, known.values)
    assert tabulated_illuminants() == tuple(colour.SDS_ILLUMINANTS)


def test_the_adaptation_is_the_librarys():
    import colour

    display = colour.xy_to_XYZ(colour.RGB_COLOURSPACES["sRGB"].whitepoint)
    for white in ([1.1, 1.0, 0.35], [0.8, 1.1, 1.4]):
        expected = colour.adaptation.matrix_chromatic_adaptation_VonKries(
            np.array(white), display, transform="Bradford"
        )
        np.testing.assert_allclose(bradford(np.array(white), display), expected, rtol=1e-14)
