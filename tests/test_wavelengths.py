"""Band axes in every unit that files state."""

import warnings

import numpy as np
import pytest

from respectra.errors import FormatError, RespectraWarning
from respectra.wavelengths import to_nanometres, unit_in_heading, unit_of_array

NM = np.arange(400.0, 701.0, 10.0)


@pytest.mark.parametrize(
    ("unit", "values"),
    [
        *[(unit, NM) for unit in ("nm", "NM", "Nanometers", "nanometre", " [nm] ")],
        *[(u, NM / 1e3) for u in ("um", "µm", "μm", "Micrometers", "microns", "micrometre")],
        *[(unit, NM / 1e6) for unit in ("mm", "Millimeters")],
        *[(unit, NM / 1e7) for unit in ("cm", "Centimeters")],
        *[(unit, NM / 1e9) for unit in ("m", "meters", "Metre")],
        *[(unit, NM * 10) for unit in ("Å", "Å", "Angstroms", "ångström")],
        *[(unit, 1e7 / NM) for unit in ("cm-1", "cm^-1", "1/cm", "cm⁻¹", "Wavenumber", "cm**-1")],
        ("GHz", 299_792_458.0 / NM),
        ("THz", 299_792.458 / NM),
        ("eV", 1239.841984 / NM),
    ],
)
def test_a_stated_unit_is_converted(unit: str, values: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.allclose(to_nanometres(values, unit, where="f"), NM, rtol=1e-9)


def test_few_digits_stay_few_digits() -> None:
    assert to_nanometres([0.41, 0.57, 0.58], "um", where="f").tolist() == [410.0, 570.0, 580.0]


@pytest.mark.parametrize("unit", [None, "", "Unknown", "unspecified"])
def test_numbers_without_a_unit_are_nanometres_where_they_can_be(unit: str | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert to_nanometres(NM[::-1], unit, where="f").tolist() == NM[::-1].tolist()


@pytest.mark.parametrize(("factor", "name"), [(1e-3, "micrometres"), (1e-9, "metres")])
def test_the_only_plausible_unit_is_taken_and_said(factor: float, name: str) -> None:
    with pytest.warns(RespectraWarning, match=name):
        assert np.allclose(to_nanometres(NM * factor, None, where="f"), NM)


@pytest.mark.parametrize(
    ("unit", "values", "said"),
    [
        ("nm", NM / 1e3, "micrometres"),
        ("nm", np.arange(20.0, 51.0), "no camera measures"),
        ("um", NM, "nanometres"),
        ("Index", NM, "no unit of wavelength"),
        ("W/m2", NM, "no unit of wavelength"),
        (None, np.arange(20.0, 51.0), "fits none"),
        (None, NM * 10, "nanometres and ångström"),
        ("nm", [400.0, np.nan], "finite"),
        (None, [0.0, 400.0], "positive"),
        ("nm", ["red", "green"], "list of numbers"),
        ("nm", [], "list of numbers"),
        ("nm", [[400.0, 500.0]], "list of numbers"),
    ],
)
def test_what_no_camera_measures_is_refused(unit: str | None, values: object, said: str) -> None:
    with pytest.raises(FormatError, match=said) as refusal:
        to_nanometres(values, unit, where="scene.hdr")  # type: ignore[arg-type]
    assert "scene.hdr" in str(refusal.value)


@pytest.mark.parametrize(
    ("heading", "unit"),
    [
        ("wavelength [um]", "um"),
        ("Wellenlänge (nm)", "nm"),
        ("wavenumber (cm-1)", "cm-1"),
        ("k {cm^-1}", "cm^-1"),
        ("1/cm", "1/cm"),
        ("wavelength_nm", "nm"),
        ("λ/µm", "µm"),
        ("lambda_Å", "Å"),
        ("energy/eV", "eV"),
        ("frequency THz", "THz"),
        ("wavelength (m)", "m"),
        ("l/m", "m"),
        ("a", None),
        ("m", None),
        ("R", None),
        ("bands", None),
        ("", None),
    ],
)
def test_a_heading_states_a_unit(heading: str, unit: str | None) -> None:
    assert unit_in_heading(heading) == unit


def test_the_unit_of_an_array_lies_beside_it_or_in_its_name() -> None:
    assert unit_of_array("wavelength_nm", {"units": "um"}) == "um"
    assert unit_of_array("wavelength_nm", {"note": "um"}) == "nm"
    assert unit_of_array("bands", {}) is None
