"""The capture: camera and light as one response, its file, and what cannot be one."""

import json

import numpy as np
import pytest

import respectra as rs
from respectra.cameras import Noise, make_response, native_response
from respectra.colour import make_light, normalise_light, open_light, resample_light
from respectra.errors import ConfigError, DataError, FormatError, RespectraError

GRID = np.arange(400.0, 701.0, 10.0)
CAMERA = "ampas-nikon-d700"


def test_a_white_gives_the_white_that_was_told():
    capture = rs.Capture(camera=CAMERA, light="A", white=(0.8, 0.7, 0.3))
    np.testing.assert_allclose(np.ones(31) @ capture.effective_response(GRID), [0.8, 0.7, 0.3])


def test_without_a_told_white_its_brightest_channel_is_at_full_scale():
    capture = rs.Capture(camera=CAMERA, light="A")
    white = np.ones(31) @ capture.effective_response(GRID)
    camera = native_response(CAMERA).values
    power = resample_light(open_light("A"), GRID)
    np.testing.assert_allclose(white, power @ camera / (power @ camera).max())
    assert "full scale" in capture.describe()


def test_radiance_is_reflectance_times_the_light():
    capture = rs.Capture(camera=CAMERA, light="FL2", white=(1, 1, 1))
    power = normalise_light(resample_light(open_light("FL2"), GRID), GRID)
    np.testing.assert_allclose(
        capture.effective_response(GRID, "radiance") * power[:, None],
        capture.effective_response(GRID),
    )


def test_a_photograph_is_linear_srgb_under_d65():
    response = rs.Capture.photograph().effective_response(GRID)
    np.testing.assert_allclose(response.sum(axis=0), 1.0, atol=1e-9)
    reflectance = np.random.default_rng(0).uniform(0, 1, (4, 5, 31))
    cube = rs.make_cube(reflectance, GRID, quantity="reflectance")
    from respectra.colour import encode_srgb

    shown = rs.cubes.preview(cube, illuminant="D65")
    np.testing.assert_array_equal(shown, np.rint(encode_srgb(reflectance @ response) * 255))


@pytest.mark.parametrize("temperature", ["planck:2856", "daylight:6500"])
def test_the_assumed_light_is_the_one_whose_white_was_told(temperature):
    camera = native_response(CAMERA).values
    white = resample_light(open_light(temperature), GRID) @ camera
    capture = rs.Capture(camera=CAMERA, white=tuple(0.9 * white / white.max()))
    assert capture.assumed_light(GRID).attrs["name"] == temperature
    assert "light not known" in capture.describe()


def test_a_capture_survives_its_file(tmp_path):
    lamp = make_light(np.linspace(1, 2, 31), GRID, name="lamp", source="measured")
    own = make_response(np.random.default_rng(0).random((31, 3)), GRID, name="own")
    refs = rs.References([[1, 2, 3, 4]], np.full((1, 31), 0.5), GRID, values=[[0.1, 0.2, 0.3]])
    for number, capture in enumerate(
        [
            rs.Capture(),
            rs.Capture.photograph(),
            rs.Capture(camera=CAMERA, light="daylight:5200", white=(0.5, 0.6, 0.7), noise=0.01),
            rs.Capture(own, lamp, (1, 2, 3, 4), 256, 4000, 12, Noise(1e-4, 2e-3), refs, "truncate"),
        ]
    ):
        file = tmp_path / f"{number}.json"
        capture.save(file)
        assert rs.Capture.load(file) == capture
    assert json.loads((tmp_path / "2.json").read_text())["camera"] == CAMERA


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a capture"),
        ('{"format": "respectra capture", "version": 9}', "version 9"),
        ('{"format": "respectra capture", "version": 1, "lamp": 1}', "lamp"),
        ('{"format": "respectra capture", "version": 1, "camera": "none"}', "unknown camera"),
        ('{"format": "respectra capture", "version": 1, "light": "/etc/a.csv"}', "instead of"),
        ('{"format": "respectra capture", "version": 1, "white": [1]}', "a white is"),
        ('{"format": "respectra capture", "version": 1, "noise": {"x": 1}}', "damaged"),
        ('{"format": "respectra capture", "version": 1, "camera": {"name": "x"}}', "damaged"),
    ],
)
def test_damaged_captures_are_one_clear_error(tmp_path, text, message):
    file = tmp_path / "capture.json"
    file.write_text(text)
    with pytest.raises(FormatError, match=message) as caught:
        rs.Capture.load(file)
    assert str(file) in str(caught.value)


def test_a_white_is_looked_up_in_the_picture():
    values = np.full((10, 20, 3), 0.1, np.float32)
    values[2:4, 5:9] = [0.5, 0.6, 0.7]
    image = rs.make_image(values, bits=32)
    capture = rs.Capture(camera=CAMERA, white=(5, 2, 4, 2))
    with pytest.raises(ConfigError, match="resolve"):
        capture.effective_response(GRID)
    np.testing.assert_allclose(capture.resolve(image).white, [0.5, 0.6, 0.7], rtol=1e-6)


@pytest.mark.parametrize(
    ("white", "level", "message"),
    [((0, 0, 4, 4), 1.0, "clipped"), ((0, 0, 4, 4), 0.001, "black"), ((8, 8, 4, 4), 0.5, "beyond")],
)
def test_what_cannot_be_a_white_in_the_picture(white, level, message):
    image = rs.make_image(np.full((10, 10, 3), level))
    with pytest.raises(DataError, match=message):
        rs.Capture(camera=CAMERA, white=white).resolve(image)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"camera": "ampas-nikon-d7001"}, "unknown camera"),
        ({"camera": 3}, "a camera is"),
        ({"light": "FL99"}, "unknown light"),
        ({"white": (0, 0, 0)}, "black"),
        ({"white": (2, 1, 1)}, "at most 1"),
        ({"white": (1, 2)}, "a white is"),
        ({"bits": 0}, "bits"),
        ({"black_level": 300, "white_level": 200}, "below the white"),
        ({"noise": -1.0}, "noise"),
        ({"references": [1]}, "references are"),
        ({"rounding": "up"}, "rounding"),
    ],
)
def test_what_is_no_capture_is_refused(facts, message):
    with pytest.raises(RespectraError, match=message):
        rs.Capture(**facts)


def test_cameras_and_lights_that_do_not_cover_the_bands():
    short = make_response(np.ones((2, 3)), [450, 650], name="short")
    with pytest.raises(DataError, match=r"'short' ends at 450 nm"):
        rs.Capture(camera=short, light="E").effective_response(GRID)
    with pytest.raises(DataError, match=r"'ISO 7589 Photoflood' is known from 350 to 690 nm"):
        rs.Capture(camera=CAMERA, light="ISO 7589 Photoflood").effective_response(GRID)
    with pytest.raises(ConfigError, match="which camera"):
        rs.Capture(light="A").effective_response(GRID)


@pytest.mark.parametrize("mix", [[[1, 0], [0, 1], [0, 1]], [[1, 0], [0, 1], [1, 1]]])
def test_cameras_whose_channels_are_not_three_are_refused(mix):
    two = native_response(CAMERA)
    camera = make_response(two.values[:, :2] @ np.array(mix).T, two["wavelength"], name="two")
    with pytest.raises(DataError, match="'two' are alike"):
        rs.Capture(camera=camera, light="A").effective_response(GRID)


def test_levels_make_codes_linear():
    codes = np.array([[[256, 2128, 4000]]]) / 4095
    image = rs.make_image(codes, bits=12)
    capture = rs.Capture(camera=CAMERA, black_level=256, white_level=4000)
    linear = capture.linear(image)
    np.testing.assert_allclose(linear.values, [[[0, 0.5, 1]]], atol=1e-6)
    assert capture.linear(linear) is linear
    with pytest.raises(ConfigError, match="12-bit"):
        rs.Capture(camera=CAMERA, white_level=5000).linear(image)


def test_every_listed_camera_can_be_told():
    names = rs.list_cameras()
    assert "ampas-sony-ilce-7sm2" in names
    for name in names:
        assert rs.Capture(camera=name, light="D65").effective_response(GRID).shape == (31, 3)
