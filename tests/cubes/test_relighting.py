"""Other lights on cubes."""

import numpy as np
import pytest

import respectra as rs
from respectra.colour import make_light
from respectra.errors import ConfigError, DataError

GRID = np.arange(400.0, 701.0, 10.0)


def cube(quantity, **attrs):
    values = np.random.default_rng(0).uniform(0.1, 1, (2, 3, 31))
    return rs.make_cube(values, GRID, quantity=quantity, **attrs)


def test_there_and_back_and_to_a_third():
    reflectance = cube("reflectance")
    radiance = rs.to_radiance(reflectance, "A")
    assert (radiance.attrs["quantity"], radiance.attrs["light"]) == ("radiance", "A")
    np.testing.assert_allclose(rs.to_reflectance(radiance), reflectance, rtol=1e-6)
    np.testing.assert_allclose(
        rs.relight(radiance, "FL2"), rs.to_radiance(reflectance, "FL2"), rtol=1e-5
    )
    np.testing.assert_array_equal(rs.relight(reflectance, "A"), radiance)


def test_a_measured_lamp_travels_with_the_cube(tmp_path):
    lamp = make_light(np.linspace(1, 3, 31), GRID, name="lamp")
    radiance = rs.to_radiance(cube("reflectance"), lamp)
    rs.save_cube(radiance, tmp_path / "a.zarr")
    again = rs.to_reflectance(rs.open_cube(tmp_path / "a.zarr"))
    np.testing.assert_allclose(again, cube("reflectance"), rtol=1e-5)


@pytest.mark.parametrize(
    "said",
    [
        {"light_power": "[1, 2"},
        {"light_power": "[" * 5000},
        {"light_power": "[1, 2]"},
        {"light_power": '{"a": 1}'},
        {"capture": "5"},
        {"capture": '{"light": {"name": "lamp"}}'},
        {"capture": '{"light": {"name": "lamp", "power": "x", "wavelengths_nm": [1]}}'},
    ],
)
def test_a_light_that_a_file_states_wrongly_is_an_error_of_ours(said):
    with pytest.raises(DataError, match="attributes state a light 'lamp' that cannot be used"):
        rs.to_reflectance(cube("radiance", light="lamp", **said))


def test_white_is_as_bright_under_any_light():
    white = rs.make_cube(np.ones((1, 1, 31)), GRID, quantity="reflectance")
    from respectra.colour import colour_matching

    luminance = colour_matching("cie1931", GRID)[:, 1]
    levels = [float(rs.relight(white, n).values[0, 0] @ luminance) for n in ("A", "FL11", "E")]
    np.testing.assert_allclose(levels, luminance.sum(), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: rs.to_radiance(cube("radiance"), "A"), DataError, "radiance already"),
        (lambda: rs.to_reflectance(cube("reflectance"), "A"), DataError, "reflectance already"),
        (lambda: rs.relight(cube("radiance"), "A"), ConfigError, "which light"),
        (lambda: rs.to_radiance(cube("reflectance")), ConfigError, "which light"),
        (lambda: rs.relight(cube("reflectance"), "FL99"), ConfigError, "unknown light"),
    ],
)
def test_what_cannot_be_relit(call, error, message):
    with pytest.raises(error, match=message):
        call()
