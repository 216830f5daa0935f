"""Folders of PNGs in CAVE's layout."""

import cv2
import numpy as np
import pytest

import respectra as rs
from respectra.errors import DataError, FormatError


def write_bands(folder, codes, name="toy_ms"):
    folder.mkdir(parents=True)
    for number in range(codes.shape[2]):
        assert cv2.imwrite(str(folder / f"{name}_{number + 1:02d}.png"), codes[:, :, number])


@pytest.fixture
def codes(rng):
    return rng.integers(0, 65536, (3, 5, 31)).astype(np.uint16)


@pytest.mark.parametrize("nested", [True, False])
def test_cave_layout(tmp_path, codes, nested):
    folder = tmp_path / "toy_ms"
    write_bands(folder / "toy_ms" if nested else folder, codes)
    (folder / "toy_RGB.bmp").write_bytes(b"BM")
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf")
    cube = rs.open_cube(folder)
    np.testing.assert_array_equal(cube.values, codes.astype(np.float32) / np.float32(65535))
    np.testing.assert_array_equal(cube["wavelength"], np.arange(400, 701, 10))


def test_eight_bits_and_grey_pictures_kept_as_rgba(tmp_path, rng):
    codes = rng.integers(0, 256, (3, 5, 31)).astype(np.uint8)
    write_bands(tmp_path / "a", codes)
    grey = np.dstack([codes[:, :, 0]] * 3 + [np.full((3, 5), 255, np.uint8)])
    cv2.imwrite(str(tmp_path / "a" / "toy_ms_01.png"), grey)
    cube = rs.open_cube(tmp_path / "a")
    np.testing.assert_array_equal(cube.values, codes.astype(np.float32) / np.float32(255))


def test_what_we_write_opens_in_opencv(tmp_path, rng):
    values = rng.random((3, 5, 4), np.float32)
    rs.save_cube(rs.make_cube(values, [400, 500, 600, 700]), tmp_path / "a", format="png")
    band = cv2.imread(str(tmp_path / "a" / "band_03.png"), cv2.IMREAD_UNCHANGED)
    assert band.dtype == np.uint16
    np.testing.assert_array_equal(band, np.rint(values[:, :, 2].astype(float) * 65535))


@pytest.mark.parametrize("bad", [-0.1, 1.1, np.nan])
def test_values_that_sixteen_bits_cannot_hold_are_refused(tmp_path, bad):
    values = np.full((2, 2, 2), 0.5)
    values[0, 0, 0] = bad
    with pytest.raises(DataError, match=r"keeps values in \[0, 1\]"):
        rs.save_cube(rs.make_cube(values, [400, 500]), tmp_path / "a", format="png")
    assert list(tmp_path.iterdir()) == []


def test_folders_that_are_no_cube(tmp_path, codes):
    write_bands(tmp_path / "gap", codes)
    (tmp_path / "gap" / "toy_ms_07.png").unlink()
    with pytest.raises(FormatError, match="not numbered 1, 2, 3"):
        rs.open_cube(tmp_path / "gap")
    write_bands(tmp_path / "two", codes)
    cv2.imwrite(str(tmp_path / "two" / "other_01.png"), codes[:, :, 0])
    with pytest.raises(FormatError, match="several cubes: other_, toy_ms_"):
        rs.open_cube(tmp_path / "two")
    write_bands(tmp_path / "sizes", codes)
    cv2.imwrite(str(tmp_path / "sizes" / "toy_ms_01.png"), codes[:2, :, 0])
    with pytest.raises(FormatError, match="differ in size or depth"):
        rs.open_cube(tmp_path / "sizes")


def test_colour_pictures_are_no_bands(tmp_path, rng):
    write_bands(tmp_path / "a", rng.integers(0, 256, (3, 5, 31)).astype(np.uint8))
    colour = rng.integers(0, 256, (3, 5, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a" / "toy_ms_09.png"), colour)
    with pytest.raises(FormatError, match=r"toy_ms_09\.png is a colour picture"):
        rs.open_cube(tmp_path / "a").load()


def test_a_truncated_band(tmp_path, codes):
    write_bands(tmp_path / "a", codes)
    band = tmp_path / "a" / "toy_ms_09.png"
    band.write_bytes(band.read_bytes()[:-20])
    with pytest.raises(FormatError, match=r"toy_ms_09\.png is truncated or damaged"):
        rs.open_cube(tmp_path / "a").load()
