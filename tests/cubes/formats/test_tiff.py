"""TIFF against OpenCV and tifffile."""

import struct

import cv2
import numpy as np
import pytest
import tifffile

import respectra as rs
from respectra.errors import FormatError

GRID = [400.0, 500.0, 600.0, 700.0]


@pytest.fixture
def values(rng):
    return rng.random((3, 5, 4), np.float32)


def test_what_we_write_opens_in_opencv(tmp_path, values):
    rs.save_cube(rs.make_cube(values, GRID), tmp_path / "a.tif")
    ok, pages = cv2.imreadmulti(str(tmp_path / "a.tif"), flags=cv2.IMREAD_UNCHANGED)
    assert ok
    np.testing.assert_array_equal(np.stack(pages, axis=2), values)


@pytest.mark.parametrize("form", ["pages", "imagej", "contiguous", "planar", "shaped", "deflate"])
def test_forms_of_other_programs(tmp_path, values, form):
    path = tmp_path / "a.tiff"
    pages = np.ascontiguousarray(values.transpose(2, 0, 1))
    if form == "pages":
        ok = cv2.imwritemulti(str(path), list(pages))
        assert ok
    elif form == "imagej":
        tifffile.imwrite(path, pages, imagej=True)
    elif form == "contiguous":
        tifffile.imwrite(path, values, planarconfig="contig", photometric="minisblack")
    elif form == "planar":
        tifffile.imwrite(path, pages, planarconfig="separate", photometric="minisblack")
    elif form == "shaped":
        tifffile.imwrite(path, pages, photometric="minisblack", metadata={"wavelengths": GRID})
    else:
        tifffile.imwrite(path, pages, photometric="minisblack", compression="zlib")
    given = None if form == "shaped" else GRID
    cube = rs.open_cube(path, wavelengths_nm=given)
    np.testing.assert_array_equal(cube.values, values)
    np.testing.assert_array_equal(cube["wavelength"], GRID)


def test_integer_samples_are_codes(tmp_path, rng):
    codes = rng.integers(0, 65536, (4, 3, 5)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", codes, photometric="minisblack")
    cube = rs.open_cube(tmp_path / "a.tif", wavelengths_nm=GRID)
    np.testing.assert_array_equal(cube.values, codes.transpose(1, 2, 0))


def test_hyperstacks_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 3, 4, 5), np.uint8), photometric="minisblack")
    with pytest.raises(FormatError, match="one page or one sample a band"):
        rs.open_cube(tmp_path / "a.tif")


def test_a_30000_by_30000_header_over_one_kilobyte(tmp_path):
    rs.save_cube(rs.make_cube(np.ones((3, 5, 1)), [400]), tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            tiff.pages[0].tags[name].overwrite(30_000)
    with pytest.raises(FormatError, match="promises 30000 x 30000 x 1"):
        rs.open_cube(tmp_path / "a.tif")


def test_damage_is_not_reported_twice(tmp_path, values, capsys, caplog):
    rs.save_cube(rs.make_cube(values, GRID), tmp_path / "a.tif")
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(data[: len(data) // 2])
    with pytest.raises(FormatError):
        rs.open_cube(tmp_path / "a.tif")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_pages_that_form_a_circle(tmp_path, values, bigtiff, byteorder):
    path = tmp_path / "a.tif"
    pages = values.transpose(2, 0, 1)
    options = {"photometric": "minisblack", "bigtiff": bigtiff, "byteorder": byteorder}
    tifffile.imwrite(path, pages, **options)
    np.testing.assert_array_equal(rs.open_cube(path, wavelengths_nm=GRID).values, values)
    with tifffile.TiffFile(path) as tiff:
        first, last = tiff.pages[0].offset, tiff.pages[-1].offset
    data = bytearray(path.read_bytes())
    code = byteorder + ("Q" if bigtiff else "H")
    (count,) = struct.unpack_from(code, data, last)
    end = last + struct.calcsize(code) + count * (20 if bigtiff else 12)
    struct.pack_into(byteorder + ("Q" if bigtiff else "I"), data, end, first)
    path.write_bytes(data)
    with pytest.raises(FormatError, match="its pages have no end"):
        rs.open_cube(path, wavelengths_nm=GRID)
