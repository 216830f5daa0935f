import struct

import numpy as np
import pytest
from tests.cameras.dng_file import BLACK, MATRIX, WHITE, write_dng

from respectra.cameras import open_image, open_picture
from respectra.cameras.pictures.demosaicing import fill_in
from respectra.cameras.pictures.raw import read_raw_header
from respectra.errors import DataError, FormatError

pytest.importorskip("rawpy", reason="the extra raw is not installed")

BAYER = np.array([[0, 1], [1, 2]])
XTRANS = np.array(
    [
        [1, 2, 1, 1, 0, 1],
        [0, 1, 0, 2, 1, 2],
        [1, 2, 1, 1, 0, 1],
        [1, 0, 1, 1, 2, 1],
        [2, 1, 2, 0, 1, 0],
        [1, 0, 1, 1, 2, 1],
    ]
)
RGB = np.array([0.3, 0.6, 0.15])


def mosaic(height=24, width=32, colour=RGB, pattern=BAYER):
    kinds = np.tile(pattern, (height // len(pattern) + 1, width // len(pattern) + 1))
    shares = np.asarray(colour)[kinds[:height, :width]]
    return np.rint(BLACK + shares * (WHITE - BLACK))


@pytest.mark.parametrize("demosaic", ["edge-aware", "bilinear", "half"])
def test_linear_values_after_black_and_saturation(tmp_path, demosaic):
    path = write_dng(tmp_path / "a.dng", mosaic())
    image = open_image(path, demosaic=demosaic)
    assert image.shape == ((12, 16, 3) if demosaic == "half" else (24, 32, 3))
    np.testing.assert_allclose(image.values.reshape(-1, 3), np.tile(RGB, (image[..., 0].size, 1)),
                               atol=0.6 / (WHITE - BLACK))  # fmt: skip
    assert image.attrs["encoding"] == "linear"


def test_what_the_file_says(tmp_path):
    attrs = open_image(write_dng(tmp_path / "a.dng", mosaic())).attrs
    assert (attrs["camera_make"], attrs["camera_model"]) == ("Acme", "Acme One")
    np.testing.assert_allclose(attrs["as_shot_neutral"], (0.5, 1, 0.625))
    np.testing.assert_allclose(attrs["xyz_to_camera_1"], MATRIX)
    assert attrs["calibration_light_1"] == "D65"
    assert attrs["iso"] == 400
    assert attrs["noise_gain"] == pytest.approx(1e-4)
    assert attrs["noise_read"] == pytest.approx(2e-3)
    assert (attrs["black_level"], attrs["white_level"]) == (BLACK, WHITE)


def test_channels_have_their_own_black(tmp_path):
    black = (500, 600, 600, 700)
    codes = np.tile(np.array([[500, 600], [600, 700]]), (12, 16)).astype(float)
    image = open_image(write_dng(tmp_path / "a.dng", codes, black=black))
    assert image.values.max() <= 1e-6


def test_saturated_and_below_black(tmp_path):
    codes = mosaic()
    codes[:12] = 4095
    codes[12:] = 100
    image = open_image(write_dng(tmp_path / "a.dng", codes), demosaic="half")
    assert image.values[:5].min() == 1.0
    assert image.values[7:].max() == 0.0


def test_upright_whatever_is_asked(tmp_path):
    codes = mosaic()
    codes[:12] = BLACK
    path = write_dng(tmp_path / "a.dng", codes, orientation=6)
    for encoding in ("linear", "srgb"):
        image = open_image(path, encoding=encoding)
        assert image.shape == (32, 24, 3)
        assert image.values[:, 16:].max() < 0.1  # what was above is on the right
    picture = open_picture(path, "camera", convert=lambda image: image)
    assert (picture.height, picture.width) == (32, 24)


@pytest.mark.parametrize("pattern", [BAYER, BAYER[::-1], BAYER[:, ::-1], BAYER[::-1, ::-1], XTRANS])
@pytest.mark.parametrize("way", ["edge-aware", "bilinear", "half"])
def test_flat_colours_stay_flat_in_every_pattern(pattern, way):
    side = len(pattern)
    kinds = np.tile(pattern, (36 // side, 36 // side))
    filled = fill_in(RGB.astype(np.float32)[kinds], pattern, way)
    np.testing.assert_allclose(filled, np.broadcast_to(RGB, filled.shape), atol=2e-5)


def test_bilinear_is_exact_on_ramps():
    y, x = np.mgrid[:20, :24].astype(np.float32) / 50
    full = np.stack([x + y, 0.5 * y, 0.2 + 0.3 * x], axis=-1)
    kinds = np.tile(BAYER, (10, 12))
    values = np.take_along_axis(full, kinds[..., None], 2)[..., 0]
    filled = fill_in(values, BAYER, "bilinear")
    np.testing.assert_allclose(filled[2:-2, 2:-2], full[2:-2, 2:-2], atol=1e-6)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.999])
def test_cut_short(tmp_path, share):
    path = write_dng(tmp_path / "a.dng", mosaic())
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(FormatError, match=r"a\.dng"):
        open_image(path)


def test_what_libraw_does_not_know(tmp_path):
    (tmp_path / "a.nef").write_bytes(b"no camera wrote this" * 100)
    with pytest.raises(FormatError, match=r"a\.nef"):
        open_image(tmp_path / "a.nef")
    (tmp_path / "b.cr2").write_bytes(b"")
    with pytest.raises(FormatError, match="empty"):
        open_image(tmp_path / "b.cr2")
    with pytest.raises(FormatError, match="there is no file"):
        open_image(tmp_path / "c.arw")


def test_a_dng_by_another_name(tmp_path):
    path = write_dng(tmp_path / "a.tif", mosaic())
    with pytest.raises(FormatError, match=r"rename it to \.dng"):
        open_image(path)


def test_damaged_headers_open_or_are_refused(tmp_path):
    rng = np.random.default_rng(5)
    data = write_dng(tmp_path / "a.dng", mosaic()).read_bytes()
    for _ in range(6):
        changed = bytearray(data)
        for at in rng.integers(8, 700, 3):
            changed[at] = rng.integers(256)
        (tmp_path / "a.dng").write_bytes(changed)
        try:
            image = open_image(tmp_path / "a.dng")
        except DataError:
            continue
        assert np.isfinite(image.values).all()


@pytest.mark.parametrize("data", [b"II", b"MM\0*\0\0\0", b"CMT1" + b"xCMT1II*\0", b""])
def test_headers_shorter_than_a_header(data):
    assert read_raw_header(data) == {}


@pytest.mark.parametrize("tag", [273, 330, 34665])
def test_a_header_whose_numbers_are_text(tag):
    entries = struct.pack("<HHII", tag, 2, 4, 0x00636261) + struct.pack("<HHII", 279, 4, 1, 9)
    header = b"II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)
    assert read_raw_header(header) == {}
