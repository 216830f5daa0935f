"""Lights by name, temperature and file; what cannot be one is refused."""

import numpy as np
import pytest

import respectra as rs
from respectra.colour import (
    make_light,
    normalise_light,
    open_light,
    resample_light,
)
from respectra.errors import ConfigError, DataError, FormatError, RespectraWarning

GRID = np.arange(400.0, 701.0, 10.0)


@pytest.mark.parametrize("name", [n for n in rs.list_illuminants() if not n.startswith("ISO")])
def test_every_illuminant_lights_every_band(name):
    assert (resample_light(open_light(name), GRID) > 0).all()


def test_names_do_not_mind_case_and_unknown_ones_suggest_others():
    assert open_light("led-b3").attrs["name"] == "LED-B3"
    with pytest.raises(ConfigError, match="unknown light 'FL99'"):
        open_light("FL99")


def test_illuminant_a_is_nearly_a_black_body_of_2856_kelvin():
    a, planck = (resample_light(open_light(n), GRID) for n in ("A", "planck:2856"))
    np.testing.assert_allclose(planck / planck.sum(), a / a.sum(), rtol=2e-3)


def test_daylight_of_6504_kelvin_is_d65():
    d65, series = (resample_light(open_light(n), GRID) for n in ("D65", "daylight:6504"))
    np.testing.assert_allclose(series / series.sum(), d65 / d65.sum(), rtol=5e-3)


@pytest.mark.parametrize("text", ["planck:", "planck:hot", "planck:20", "daylight:2800"])
def test_temperatures_out_of_range_are_refused(text):
    with pytest.raises(ConfigError, match=" K"):
        open_light(text)


def test_a_line_between_two_bands_counts_in_both():
    nm = np.arange(380.0, 721.0, 1.0)
    power = np.where(nm == 435, 100.0, 1.0)
    bands = resample_light(make_light(power, nm, name="line"), GRID)
    np.testing.assert_allclose(bands[[3, 4]], 1 + 99 * 0.5 / 10, rtol=1e-9)
    assert bands[[2, 5]] == pytest.approx(1.0)
    assert bands.sum() == pytest.approx(31 + 99 / 10)


def test_a_light_on_the_bands_own_grid_and_a_coarser_one():
    power = np.random.default_rng(0).uniform(1, 2, 31)
    np.testing.assert_allclose(resample_light(make_light(power, GRID, name="x"), GRID), power)
    coarse = make_light(power[::2], GRID[::2], name="x")
    expected = np.interp(GRID, GRID[::2], power[::2])
    np.testing.assert_allclose(resample_light(coarse, GRID), expected)


def test_lights_of_one_luminance_after_normalising():
    from respectra.colour import colour_matching

    luminance = colour_matching("cie1931", GRID)[:, 1]
    for name in ("A", "FL2", "E"):
        power = normalise_light(resample_light(open_light(name), GRID), GRID)
        assert power @ luminance == pytest.approx(luminance.sum())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, -1, 1], "negative at 500 nm"),
        ([1, np.nan, 1], "not finite"),
        ([0, 0, 0], "zero everywhere"),
        ([1, 1], "one value a wavelength"),
    ],
)
def test_what_is_no_light_is_refused(values, message):
    with pytest.raises(DataError, match=message):
        make_light(values, [400, 500, 600], name="lamp")


def test_dark_bands_and_bands_beyond_the_table_are_refused():
    lamp = make_light(np.where(GRID < 420, 0.0, 1.0), GRID, name="lamp")
    with pytest.raises(DataError, match=r"'lamp' is zero at 400, 410 nm"):
        resample_light(lamp, GRID)
    with pytest.raises(DataError, match=r"known from 400 to 700 nm, the bands run from 390"):
        resample_light(lamp, np.arange(390.0, 701.0, 10.0))
    lamp = make_light(np.ones(31), 10 * GRID, name="lamp")
    with pytest.raises(DataError, match=r"4000 to 7000 nm, .* if these are ångström"):
        resample_light(lamp, GRID)


def _cgats(power):
    fields = " ".join(f"SPEC_{nm:.0f}" for nm in GRID)
    numbers = " ".join(f"{value:.6f}" for value in power)
    return (
        'SPECT\n\nDESCRIPTOR "lamp"\nSPECTRAL_BANDS "31"\nSPECTRAL_START_NM "400.0"\n'
        f'SPECTRAL_END_NM "700.0"\nNUMBER_OF_FIELDS 31\nBEGIN_DATA_FORMAT\n{fields}\n'
        f"END_DATA_FORMAT\nNUMBER_OF_SETS 1\nBEGIN_DATA\n{numbers}\nEND_DATA\n"
    )


def _spdx(power):
    lines = "".join(
        f'<SpectralData wavelength="{nm}">{v}</SpectralData>'
        for nm, v in zip(GRID, power, strict=True)
    )
    return (
        '<?xml version="1.0"?><IESTM2714 xmlns="http://www.ies.org/iestm2714">'
        f"<SpectralDistribution>{lines}</SpectralDistribution></IESTM2714>"
    )


def _table(separator, unit, scale):
    def write(power):
        rows = [
            f"{nm * scale:g}{separator}{v!r}" for nm, v in zip(GRID, power.tolist(), strict=True)
        ]
        return "\n".join(["# measured", f"wavelength ({unit}){separator}power", *rows[::-1]])

    return write


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("lamp.sp", _cgats),
        ("lamp.spdx", _spdx),
        ("lamp.csv", _table(",", "nm", 1)),
        ("lamp.txt", _table("\t", "um", 1e-3)),
    ],
)
def test_files_of_every_kind_give_the_same_light(tmp_path, name, write):
    power = np.random.default_rng(1).uniform(0.5, 2, 31).round(6)
    file = tmp_path / name
    file.write_text(write(power))
    light = open_light(file)
    assert light.attrs["name"] == "lamp"
    np.testing.assert_allclose(light["wavelength"], GRID)
    np.testing.assert_allclose(light.values, power)
    np.savez(tmp_path / "lamp.npz", wavelengths=GRID, power=power)
    np.testing.assert_allclose(open_light(tmp_path / "lamp.npz").values, power)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", ""),
        ("a.csv", "400,1\n410"),
        ("a.csv", "400,1,2\n410,1,2"),
        ("a.csv", "400,1\n400,2"),
        ("a.csv", "wavelength (nm),power\n0.4,1\n0.5,1"),
        ("a.csv", "nm,power\nx,1"),
        ("a.sp", "SPECT\nBEGIN_DATA\n1 2\nEND_DATA"),
        ("a.spdx", "<a>"),
        ("a.spdx", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
        ("a.npz", "nothing"),
    ],
)
def test_damaged_files_are_one_clear_error(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(FormatError, match=name.replace(".", r"\.")):
        open_light(tmp_path / name)


@pytest.mark.parametrize("name", ["lamp.xlsx", "lamp.json", "photo.png"])
def test_a_file_of_another_kind_is_no_unknown_name(name):
    with pytest.raises(FormatError, match=f"{name} is not a known kind of light file"):
        open_light(name)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FormatError, match="there is no file"):
        open_light(tmp_path / "lamp.csv")


@pytest.mark.parametrize(
    "text",
    [
        "wavelength (nm);power\n410,0;2,5\n400,0;1,25\n",
        "% measured\nphoton energy/eV\tpower\n3.0996049600\t1.25\n3.0240048390\t2.5\n",
        "cm-1 power\n25000 1.25\n24390.24390 2.5\n",
    ],
)
def test_tables_of_any_country_and_unit(tmp_path, text):
    (tmp_path / "lamp.txt").write_text(text, "utf-8")
    light = open_light(tmp_path / "lamp.txt")
    np.testing.assert_allclose(light["wavelength"], [400, 410], rtol=1e-7)
    np.testing.assert_array_equal(light.values, [1.25, 2.5])


def test_an_archive_states_its_unit(tmp_path):
    lamp = {"wavelengths": 1e7 / GRID, "wavelength_units": "cm-1", "power": np.arange(31.0)}
    np.savez(tmp_path / "lamp.npz", **lamp)
    np.testing.assert_allclose(open_light(tmp_path / "lamp.npz")["wavelength"], GRID)


def _lamp(folder, factor, header=()):
    """The file of a lamp whose wavelengths are nm times a factor, and its power."""
    power = 1.0 + np.arange(GRID.size)
    file = folder / "lamp.csv"
    rows = [f"{nm * factor:g},{value:g}" for nm, value in zip(GRID, power, strict=True)]
    file.write_text("\n".join([*header, *rows]))
    return file, power


@pytest.mark.parametrize("header", ["angstrom", "wavelength (angstrom)"])
def test_stated_units_of_wavelengths_are_taken(tmp_path, header):
    file, power = _lamp(tmp_path, 10, [f"{header},power"])
    np.testing.assert_allclose(resample_light(open_light(file), GRID), power, rtol=1e-6)


def test_an_unstated_unit_is_guessed_with_a_warning_if_one_fits_alone(tmp_path):
    file, power = _lamp(tmp_path, 1e-3)
    with pytest.warns(RespectraWarning, match=r"0\.4 to 0\.7 is taken as micrometres"):
        light = open_light(file)
    np.testing.assert_allclose(resample_light(light, GRID), power, rtol=1e-6)
    with pytest.raises(FormatError, match="without a unit, which fits nanometres and ångström"):
        open_light(_lamp(tmp_path, 10)[0])


def test_a_unit_that_is_not_that_of_the_numbers_is_refused(tmp_path):
    with pytest.raises(FormatError, match=r"0\.4 to 0\.7 nm"):
        open_light(_lamp(tmp_path, 1e-3, ["wavelength (nm),power"])[0])
    infrared = open_light(_lamp(tmp_path, 10, ["wavelength (nm),power"])[0])
    with pytest.raises(DataError, match="known from 4000 to 7000 nm, the bands run from 400"):
        resample_light(infrared, GRID)
    in_memory = open_light("E").assign_coords(
        wavelength=np.linspace(0.38, 0.78, open_light("E").size)
    )
    with pytest.raises(DataError, match="nm"):
        resample_light(open_light(in_memory), GRID)


def test_the_unit_of_power_does_not_matter():
    """Milliwatts for watts: a light is relative."""
    light = open_light("A")
    capture, thousand = (
        rs.Capture(camera="cie-1964-ntire2020", light=k * light).effective_response(GRID)
        for k in (1.0, 1000.0)
    )
    np.testing.assert_allclose(capture, thousand, rtol=1e-9)


_FILES = {
    "a.csv": "wavelength (nm),photon flux\n400,400\n410,820\n",
    "b.csv": "nm;µmol m-2 s-1 nm-1\n400;400\n410;820\n",
    "c.txt": "wavelength quanta per s\n400 400\n410 820\n",
    "d.tsv": "lambda [nm]\tPPFD (umol/m2/s/nm)\n410\t820\n400\t400\n",
    "e.spdx": "<S><SpectralQuantity>photon flux</SpectralQuantity><SpectralDistribution>"
    '<SpectralData wavelength="400">400</SpectralData>'
    '<SpectralData wavelength="410">820</SpectralData></SpectralDistribution></S>',
}


@pytest.mark.parametrize("name", _FILES)
def test_photons_become_power(tmp_path, name):
    (tmp_path / name).write_text(_FILES[name], "utf-8")
    np.testing.assert_allclose(open_light(tmp_path / name).values, [1, 2])


def test_photons_of_an_archive_become_power(tmp_path):
    np.savez(tmp_path / "lamp.npz", wavelengths=[400.0, 410], photon_flux=[400.0, 820])
    np.testing.assert_allclose(open_light(tmp_path / "lamp.npz").values, [1, 2])


@pytest.mark.parametrize("heading", ["power", "W/m2/nm", "molecular lamp", "molten salt"])
def test_other_headings_are_power(tmp_path, heading):
    (tmp_path / "lamp.csv").write_text(f"nm,{heading}\n400,1\n410,2\n", "utf-8")
    np.testing.assert_array_equal(open_light(tmp_path / "lamp.csv").values, [1, 2])
