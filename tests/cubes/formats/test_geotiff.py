"""TIFF files as GDAL and cameras write them: pages, previews, tiles, metadata, orientation."""

import warnings

import numpy as np
import pytest
import tifffile

import respectra as rs
from respectra.cubes import inspect
from respectra.cubes.io import peek_cube
from respectra.errors import FormatError

GRID = [400.0, 500.0, 600.0, 700.0]


@pytest.fixture
def values(rng):
    return rng.random((37, 50, 4), np.float32)


def gdal(items):
    rows = "".join(f'<Item name="{name}"{more}>{text}</Item>' for name, more, text in items)
    return f"<GDALMetadata>{rows}</GDALMetadata>"


def of_bands(name, texts, more=""):
    return [(name, f' sample="{k}"{more}', text) for k, text in enumerate(texts)]


def tags(items=(), nodata=None):
    found = []
    if items:
        text = gdal(items)
        found.append((42112, "s", len(text) + 1, text, True))
    if nodata is not None:
        found.append((42113, "s", len(nodata) + 1, nodata, True))
    return found


def save(path, array, **options):
    plain = {"photometric": "minisblack", "metadata": None}
    tifffile.imwrite(path, array, **{**plain, **options})


@pytest.mark.parametrize(
    "items",
    [
        of_bands("wavelength", ["400", "500", "600", "700"]),
        of_bands("wavelength", [".4", ".5", ".6", ".7"])
        + of_bands("wavelength_units", ["Micrometers"] * 4),
        of_bands("CENTRAL_WAVELENGTH_UM", ["0.4", "0.5", "0.6", "0.7"], ' domain="IMAGERY"'),
        of_bands("DESCRIPTION", [f"Band {k} ({g:g} nm)" for k, g in enumerate(GRID)],
                 ' role="description"'),
        [(f"Band_{k + 1}", "", f"{g:g} Nanometers") for k, g in enumerate(GRID)],
        [("wavelength", "", "{400, 500, 600, 700}"), ("wavelength_units", "", "nm")],
        of_bands("wavelength", [f"{g / 1e3:g} um" for g in GRID]),
    ],
)  # fmt: skip
def test_wavelengths_of_gdal(tmp_path, values, items):
    save(tmp_path / "a.tif", values, planarconfig="contig", extratags=tags(items))
    cube = rs.open_cube(tmp_path / "a.tif")
    np.testing.assert_allclose(cube["wavelength"], GRID)
    np.testing.assert_array_equal(cube.values, values)


def test_a_scale_that_leaves_nothing_is_refused(tmp_path, values):
    items = of_bands("SCALE", ["0"] * 4, ' role="scale"')
    save(tmp_path / "a.tif", values, planarconfig="contig", extratags=tags(items))
    with pytest.raises(FormatError, match="gains are 0"):
        rs.open_cube(tmp_path / "a.tif", wavelengths_nm=GRID)


def test_no_data_scale_offset_and_descriptions(tmp_path, values):
    codes = np.rint(values * 1000).astype(np.int16)
    codes[3, 4] = -999
    items = [
        *of_bands("wavelength", [str(nm) for nm in GRID]),
        *of_bands("SCALE", ["0.001", "0.002", "0.001", "0.001"], ' role="scale"'),
        *of_bands("OFFSET", ["0", "0", "1", "0"], ' role="offset"'),
        *of_bands("DESCRIPTION", ["violet", "cyan", "orange", "red"], ' role="description"'),
        *of_bands("fwhm", ["5", "6", "7", "8"]),
        *of_bands("wavelength_units", ["Nanometers"] * 4),
    ]
    save(tmp_path / "a.tif", codes, planarconfig="contig", extratags=tags(items, "-999"))
    cube = rs.open_cube(tmp_path / "a.tif")
    expected = codes * np.array([0.001, 0.002, 0.001, 0.001]) + np.array([0, 0, 1, 0])
    expected[3, 4] = np.nan
    np.testing.assert_allclose(cube.values, expected.astype(np.float32), rtol=1e-6)
    np.testing.assert_array_equal(cube[2:5, :, 1:3].values, cube.values[2:5, :, 1:3])
    assert cube.attrs["band_names"] == ["violet", "cyan", "orange", "red"]
    assert cube.attrs["fwhm_nm"] == [5, 6, 7, 8]


def test_metadata_with_entities_are_refused(tmp_path, values):
    text = '<!DOCTYPE x [<!ENTITY a "b">]><GDALMetadata/>'
    tag = [(42112, "s", len(text) + 1, text, True)]
    save(tmp_path / "a.tif", values, planarconfig="contig", extratags=tag)
    with pytest.raises(FormatError, match="GDAL metadata cannot be read"):
        rs.open_cube(tmp_path / "a.tif", wavelengths_nm=GRID)


@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
def test_a_part_of_a_compressed_picture_costs_the_tiles_it_lies_in(
    tmp_path, values, planarconfig, monkeypatch
):
    array = values if planarconfig == "contig" else np.ascontiguousarray(values.transpose(2, 0, 1))
    options = {"planarconfig": planarconfig, "tile": (16, 16), "compression": "zlib"}
    save(tmp_path / "a.tif", array, predictor=True, **options)
    _, stored = peek_cube(tmp_path / "a.tif")
    np.testing.assert_array_equal(stored.load(), values)
    part = slice(14, 20), slice(15, 34), slice(1, 3)
    np.testing.assert_array_equal(stored.window(*part), values[part])
    np.testing.assert_array_equal(
        stored.window(slice(36, 37), slice(48, 50), slice(0, 4)), values[36:, 48:]
    )
    assert stored.chunks == ((16, 16, 4) if planarconfig == "contig" else (16, 16, 1))
    for form in ("strips", "one"):  # which are read as a whole
        packed = {"rowsperstrip": 8} if form == "strips" else {}
        save(tmp_path / "b.tif", array, compression="zlib", planarconfig=planarconfig, **packed)
        _, stored = peek_cube(tmp_path / "b.tif")
        np.testing.assert_array_equal(stored.window(*part), values[part])


def test_a_tile_for_every_pixel_is_refused(tmp_path, values):
    save(tmp_path / "a.tif", np.zeros((16, 16, 4), np.uint8), tile=(16, 16), planarconfig="contig", compression="zlib")  # fmt: skip # noqa: E501
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
        for name in ("ImageWidth", "ImageLength"):
            tiff.pages[0].tags[name].overwrite(8000)
    with pytest.raises(FormatError, match="claims 250,000 pieces"):
        rs.open_cube(tmp_path / "a.tif", wavelengths_nm=GRID).load()


def test_pages_written_one_by_one_are_the_bands(tmp_path, values):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for band in range(4):
            tiff.write(np.ascontiguousarray(values[:, :, band]), photometric="minisblack")
    cube = rs.open_cube(tmp_path / "a.tif", wavelengths_nm=GRID)
    np.testing.assert_array_equal(cube.values, values)
    with tifffile.TiffWriter(tmp_path / "b.tif") as tiff:
        for band, nm in enumerate(GRID):
            plane = np.ascontiguousarray(values[:, :, band])
            packed = {"compression": "zlib"} if band % 2 else {}
            tiff.write(plane, description=f"{nm:g} nm", photometric="minisblack", metadata=None, **packed)  # fmt: skip # noqa: E501
    np.testing.assert_array_equal(rs.open_cube(tmp_path / "b.tif")["wavelength"], GRID)
    np.testing.assert_array_equal(rs.open_cube(tmp_path / "b.tif")[5].values, values[5])


def test_previews_and_masks_are_passed_over(tmp_path, values):
    small = np.ascontiguousarray(values[::4, ::4])
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        plain = {"photometric": "minisblack", "planarconfig": "contig", "metadata": None}
        tiff.write(small, subfiletype=1, **plain)
        tiff.write(values, **plain)
        tiff.write(np.ones(values.shape[:2], bool), subfiletype=4, photometric="minisblack", metadata=None)  # fmt: skip # noqa: E501
    np.testing.assert_array_equal(rs.open_cube(tmp_path / "a.tif", wavelengths_nm=GRID), values)


def test_several_pictures_are_not_guessed_among(tmp_path, values):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for array in (values, values[:20]):
            tiff.write(np.ascontiguousarray(array), planarconfig="contig", photometric="minisblack", metadata=None)  # fmt: skip # noqa: E501
    with pytest.raises(FormatError, match="holds 2 pictures of the shapes"):
        rs.open_cube(tmp_path / "a.tif", wavelengths_nm=GRID)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(tmp_path, values, orientation):
    turn = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2), 6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
        7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1], 8: lambda a: a.transpose(1, 0, 2)[::-1],
    }  # fmt: skip
    tag = [(274, "H", 1, orientation, True)]
    save(tmp_path / "a.tif", values, planarconfig="contig", extratags=tag)
    cube = rs.open_cube(tmp_path / "a.tif", wavelengths_nm=GRID)
    np.testing.assert_array_equal(cube.values, turn[orientation](values))


def test_axes_that_the_file_does_not_tell(tmp_path, values):
    save(tmp_path / "a.tif", values)  # as 37 pages of 50 x 4 pixels
    with pytest.raises(FormatError, match="say with --axes"):
        rs.open_cube(tmp_path / "a.tif", wavelengths_nm=GRID)
    cube = rs.open_cube(tmp_path / "a.tif", wavelengths_nm=GRID, axes="y,x,band")
    np.testing.assert_array_equal(cube.values, values)
    np.testing.assert_array_equal(cube[3:9, 2].values, values[3:9, 2])


def test_a_single_band_says_that_it_has_no_wavelength(tmp_path, values):
    save(tmp_path / "a.tif", values[:, :, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert inspect(tmp_path / "a.tif")["wavelengths_nm"] is None
    with pytest.raises(FormatError, match="does not say at which wavelengths its 1 bands"):
        rs.open_cube(tmp_path / "a.tif")
