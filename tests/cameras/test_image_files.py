import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile

import respectra as rs
from respectra.cameras import make_image, open_image, save_image
from respectra.errors import DataError, FormatError, OutputError

RGB8 = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 14
RGB16 = RGB8.astype(np.uint16) * 257 + 3


def png(path, array):
    order = [2, 1, 0, *range(3, array.shape[2])] if array.ndim == 3 else slice(None)
    path.write_bytes(cv2.imencode(".png", array[..., order])[1].tobytes())
    return path


def codes(image):
    return np.rint(image.values * (2 ** image.attrs["bits"] - 1)).astype(int)


@pytest.mark.parametrize("array", [RGB8, RGB16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_reads_8_and_16_bits(tmp_path, array, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix == ".png":
        png(path, array)
    else:
        tifffile.imwrite(path, array, photometric="rgb")
    image = open_image(path, encoding="srgb")
    assert image.attrs["bits"] == 8 * array.dtype.itemsize
    assert image.attrs["encoding"] == "srgb"
    np.testing.assert_array_equal(codes(image), array)


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_round_trip(tmp_path, rng, bits, suffix):
    values = rng.random((5, 4, 3))
    if bits < 32:
        values = np.rint(values * (2**bits - 1)) / (2**bits - 1)
    image = make_image(values, bits=bits)
    save_image(image, tmp_path / f"a{suffix}")
    back = open_image(tmp_path / f"a{suffix}")
    tolerance = 0.6 / 65535 if (suffix, bits) == (".png", 32) else 0
    np.testing.assert_allclose(back.values, image.values, rtol=0, atol=tolerance)
    assert back.attrs["bits"] == (16 if tolerance else bits)


def test_jpeg(tmp_path):
    values = np.full((16, 24, 3), [200, 100, 50], np.uint8)
    save_image(make_image(values / 255), tmp_path / "a.jpg")
    assert np.abs(codes(open_image(tmp_path / "a.jpg")) - values).max() <= 3


def test_one_pixel_is_an_image(tmp_path):
    assert open_image(png(tmp_path / "a.png", RGB8[:1, :1])).shape == (1, 1, 3)


def test_alpha_only_where_opaque(tmp_path):
    alpha = np.full((2, 3, 1), 255, np.uint8)
    np.testing.assert_array_equal(
        codes(open_image(png(tmp_path / "a.png", np.concatenate([RGB8, alpha], 2)))), RGB8
    )
    alpha[0, 0] = 254
    with pytest.raises(DataError, match=r"b\.png: the image is transparent in places"):
        open_image(png(tmp_path / "b.png", np.concatenate([RGB8, alpha], 2)))


def test_grey_needs_a_decision(tmp_path):
    path = png(tmp_path / "a.png", RGB16[..., 0])
    with pytest.raises(DataError, match="grey='repeat'"):
        open_image(path)
    assert (codes(open_image(path, grey="repeat")) == RGB16[..., :1]).all()
    cv2.imwrite(str(tmp_path / "a.jpg"), RGB8[..., 0])
    with pytest.raises(DataError, match="grey"):
        open_image(tmp_path / "a.jpg")


def test_a_file_that_is_another_format(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RGB8, photometric="rgb")
    (tmp_path / "a.tif").rename(tmp_path / "a.jpg")
    with pytest.raises(FormatError, match="suffix says JPEG, its contents are TIFF"):
        open_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_every_shortened_file_is_refused(tmp_path, rng, suffix):
    image = make_image(rng.random((40, 30, 3)))
    save_image(image, tmp_path / f"a{suffix}")
    data = (tmp_path / f"a{suffix}").read_bytes()
    path = tmp_path / f"b{suffix}"
    for length in {0, 1, 8, 20, 40, len(data) // 2, len(data) - 1}:
        path.write_bytes(data[:length])
        with pytest.raises(FormatError, match=r"b\."):
            open_image(path)


def huge_png(width, height):
    def chunk(name, body):
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 800)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_a_huge_claim_is_refused_before_allocation(tmp_path):
    (tmp_path / "a.png").write_bytes(huge_png(30000, 30000))
    with pytest.raises(FormatError, match="claims 30000 × 30000 pixels"):
        open_image(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(huge_png(0, 5))
    with pytest.raises(FormatError, match="needs a pixel"):
        open_image(tmp_path / "b.png")


def test_orientation_is_applied_to_photographs_only(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", RGB8, photometric="rgb", extratags=[(274, "H", 1, 6, True)]
    )
    np.testing.assert_array_equal(codes(open_image(tmp_path / "a.tif")), RGB8)
    upright = codes(open_image(tmp_path / "a.tif", encoding="srgb"))
    np.testing.assert_array_equal(upright, np.rot90(RGB8, -1))


def test_exif_orientation_of_a_jpeg(tmp_path):
    picture = np.zeros((16, 32, 3), np.uint8)
    picture[:, :16] = 255
    data = cv2.imencode(".jpg", picture)[1].tobytes()
    tiff = b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 274, 3, 1, 6, 0, 0)
    exif = b"Exif\0\0" + tiff
    marked = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    (tmp_path / "a.jpg").write_bytes(marked)
    assert open_image(tmp_path / "a.jpg").shape == (16, 32, 3)
    upright = open_image(tmp_path / "a.jpg", encoding="srgb")
    assert upright.shape == (32, 16, 3)
    assert upright[4, 8].mean() > 0.9


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 4, 5, 3), np.uint8), "2 pages"),
        (np.full((4, 5, 3), 2.0, np.float32), r"values in \[0, 1\]"),
        (np.full((4, 5, 3), np.nan, np.float32), r"values in \[0, 1\]"),
        (np.zeros((4, 5, 3), np.int16), "int16"),
    ],
)
def test_tiff_that_is_no_picture(tmp_path, array, message):
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb")
    with pytest.raises(DataError, match=message):
        open_image(tmp_path / "a.tif")


def test_unknown_and_missing(tmp_path):
    with pytest.raises(FormatError, match="there is no file"):
        open_image(tmp_path / "a.png")
    with pytest.raises(FormatError, match="not a known kind of image"):
        open_image(tmp_path / "a.gif")
    (tmp_path / "a.png").write_bytes(b"GIF89a....")
    with pytest.raises(FormatError, match="its contents are GIF"):
        open_image(tmp_path / "a.png")


def test_existing_output_is_kept(tmp_path):
    image = make_image(np.zeros((1, 1, 3)))
    save_image(image, tmp_path / "a.png")
    with pytest.raises(OutputError, match="exists already"):
        save_image(image, tmp_path / "a.png")
    save_image(image, tmp_path / "a.png", overwrite=True)
    with pytest.raises(OutputError, match=r"use one of \.png"):
        save_image(image, tmp_path / "a.bmp")
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_public_names():
    assert rs.open_image is open_image
    assert rs.save_image is save_image


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_one_pixel_that_is_not_finite_is_refused_where_images_are_checked(bad):
    image = make_image(np.full((4, 5, 3), 0.4, np.float32))
    image.values[1, 2, 0] = bad
    with pytest.raises(DataError, match="1 of 20 pixels of the image hold NaN or infinite"):
        rs.cameras.require_image(image)
