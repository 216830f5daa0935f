"""Pictures of every kind: the service has the values of the command line."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms
from tests.cameras.dng_file import BLACK, WHITE, write_dng
from tests.cameras.heic_file import heic
from tests.viewer.test_captures import export

import respectra as rs

LIBRARIES = {"heic": "pi_heif", "raw": "rawpy"}
PIXELS = np.kron(
    np.random.default_rng(4).integers(20, 220, (5, 7, 3), np.uint8), np.ones((4, 4, 1), np.uint8)
)


def encoded(kind: str, pixels=PIXELS, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    return encoded("JPEG", exif=exif.tobytes(), quality=95)


def of_a_camera() -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Maker", "Model 1"
    return encoded("JPEG", exif=exif.tobytes(), quality=95)


def of_another_space() -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    return encoded("PNG", icc_profile=profile.tobytes())


def transparent() -> bytes:
    alpha = np.full((*PIXELS.shape[:2], 1), 255, np.uint8)
    alpha[3:9, 4:9] = 100
    return encoded("PNG", np.concatenate([PIXELS, alpha], axis=2))


def palette() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS // 128 * 255).quantize(8).save(buffer, "PNG")
    return buffer.getvalue()


def raw() -> bytes:
    buffer = io.BytesIO()
    shares = np.kron(np.random.default_rng(5).uniform(0.05, 0.9, (6, 8)), np.ones((4, 4)))
    write_dng(buffer, np.rint(BLACK + shares * (WHITE - BLACK)))
    return buffer.getvalue()


CASES = {
    "webp": ("a.webp", encoded("WEBP", lossless=True), {}),
    "tiff": ("a.tif", encoded("TIFF"), {}),
    "turned": ("a.jpg", rotated(), {}),
    "a camera's": ("a.jpg", of_a_camera(), {}),
    "a camera's, tone left": ("a.jpg", of_a_camera(), {"tone": "none"}),
    "profile": ("a.png", of_another_space(), {}),
    "profile ignored": ("a.png", of_another_space(), {"profile": "ignore"}),
    "transparent": ("a.png", transparent(), {"alpha": "white"}),
    "grey": ("a.png", encoded("PNG", PIXELS[..., 0]), {"grey": "repeat"}),
    "palette": ("a.png", palette(), {}),
    "heic": ("a.heic", heic(), {}),
    "raw": ("a.dng", raw(), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_the_command_line(client, tmp_path, name):
    from respectra.inference import reconstruct_files

    file, data, reading = CASES[name]
    if name in LIBRARIES:
        pytest.importorskip(LIBRARIES[name], reason="the extra is not installed")
    state = client.done(data, file, **reading)
    (tmp_path / "out.npz").write_bytes(export(client, state))
    (tmp_path / file).write_bytes(data)
    options = rs.cameras.PictureOptions(**reading)
    reconstruct_files(tmp_path / file, tmp_path / "cube.npz", picture_options=options)
    expected = rs.open_cube(tmp_path / "cube.npz")
    cube = rs.open_cube(tmp_path / "out.npz")
    np.testing.assert_array_equal(cube.values, expected.values)
    if name == "turned":
        assert cube.shape[:2] == PIXELS.shape[1::-1]


@pytest.mark.parametrize("name", ["transparent", "grey"])
def test_what_has_no_answer_is_refused_with_the_way_out(client, name):
    file, data, _ = CASES[name]
    state = client.done(data, file)
    assert state["state"] == "failed"
    assert name in state["error"]
