import numpy as np
import pytest
from PIL import Image

from respectra.cameras import Tone, open_image, open_picture
from respectra.cameras.pictures.tone import Rendering, open_tone
from respectra.colour import decode_srgb
from respectra.errors import ConfigError, FormatError

LIGHT = np.linspace(0.0, 1.0, 501)


@pytest.mark.parametrize(
    "tone", [Tone(0.458, 0.121), Tone(), Tone(0.5, -0.05, 0.01), Tone(-0.3, 0.2)]
)
def test_more_code_is_more_light(tone):
    light = tone.undo(LIGHT)
    assert (np.diff(light) >= 0).all()
    assert light[0] == 0.0
    assert light[-1] == pytest.approx(1.0)


def test_the_formula():
    tone = Tone(0.2, 0.03, 0.004)
    v = np.array([0.02, 0.1, 0.4, 0.9])
    expected = (np.exp(1.2 * np.log(v) + 0.03 * np.log(v) ** 2) - 0.004) / 0.996
    np.testing.assert_allclose(tone.undo(v), expected, atol=1e-5)
    np.testing.assert_allclose(Tone().undo(LIGHT), LIGHT, atol=1e-5)


@pytest.mark.parametrize("numbers", [(-1.0, 0, 0), (0, 0, 0.7), (np.nan, 0, 0), (0, -2.0, 0)])
def test_what_is_no_curve(numbers):
    with pytest.raises(ConfigError):
        Tone(*numbers)


def test_chosen_where_a_camera_developed_the_picture(tmp_path):
    codes = np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5
    exif = Image.Exif()
    exif[271], exif[272] = "Canon", "EOS R5"
    Image.fromarray(codes).save(tmp_path / "camera.png", exif=exif)
    Image.fromarray(codes).save(tmp_path / "drawn.png")
    developed = open_image(tmp_path / "camera.png", encoding="srgb")
    assert "developed by a camera (EOS R5)" in developed.attrs["tone"]
    assert developed.attrs["space"] == "rec2020"
    undone = Rendering().undo(decode_srgb(codes / 255), "srgb")
    np.testing.assert_allclose(developed.values, undone, atol=1e-5)
    drawn = open_image(tmp_path / "drawn.png", encoding="srgb")
    assert drawn.attrs["tone"] == "none"
    assert drawn.attrs["encoding"] == "srgb"
    off = open_image(tmp_path / "camera.png", encoding="srgb", tone="none")
    np.testing.assert_array_equal(off.values, drawn.values)
    asked = open_image(tmp_path / "drawn.png", encoding="srgb", tone="generic")
    np.testing.assert_array_equal(asked.values, developed.values)
    linear = open_image(tmp_path / "camera.png")
    assert "tone" not in linear.attrs
    picture = open_picture(tmp_path / "camera.png", "srgb", convert=lambda image: image)
    np.testing.assert_array_equal(picture.read(slice(1, 3), slice(0, 4)), developed.values[1:3])


def test_a_file_of_one(tmp_path):
    Tone(0.1, 0.02, 0.001, name="my phone").save(tmp_path / "tone.json")
    Image.new("RGB", (3, 2), (90, 100, 110)).save(tmp_path / "a.png")
    image = open_image(tmp_path / "a.png", encoding="srgb", tone=str(tmp_path / "tone.json"))
    assert image.attrs["tone"] == "my phone, undone"
    assert open_tone(tmp_path / "tone.json") == Tone(0.1, 0.02, 0.001, name="my phone")
    for text in ("", "[]", "{}", '{"format": "respectra tone", "version": 1, "slope": "a"}'):
        (tmp_path / "tone.json").write_text(text)
        with pytest.raises((FormatError, ConfigError)):
            open_tone(tmp_path / "tone.json")
    with pytest.raises(FormatError, match="there is no file"):
        open_image(tmp_path / "a.png", encoding="srgb", tone=str(tmp_path / "none.json"))
