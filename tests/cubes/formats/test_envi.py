"""ENVI against the `spectral` library."""

import gzip
import zlib

import numpy as np
import pytest
import spectral.io.envi as envi

import respectra as rs
from respectra.cubes import inspect
from respectra.errors import FormatError, OutputError

GRID = [400.0, 500.5, 600.0, 700.0]


@pytest.fixture
def values(rng):
    return rng.random((3, 5, 4), np.float32)


@pytest.mark.parametrize("name", ["a.hdr", "a.img", "a.bip", "a.bil", "a.bsq"])
def test_what_we_write_opens_in_spectral(tmp_path, values, name):
    rs.save_cube(rs.make_cube(values, GRID), tmp_path / name)
    image = envi.open(str(tmp_path / "a.hdr"))
    np.testing.assert_array_equal(np.asarray(image.load()), values)
    assert image.bands.centers == GRID
    assert image.metadata["interleave"] == (name[2:] if name[2] == "b" else "bip")


@pytest.mark.parametrize("interleave", ["bip", "bil", "bsq"])
@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("suffix", ["img", "dat", "raw", ""])
def test_what_spectral_writes_opens_by_either_name(tmp_path, values, interleave, order, suffix):
    envi.save_image(
        str(tmp_path / "a.hdr"),
        (values * 1000).astype(np.int16),
        interleave=interleave,
        byteorder=order,
        ext=suffix,
        metadata={"wavelength": GRID, "wavelength units": "nm"},
    )
    for name in ("a.hdr", f"a.{suffix}".rstrip(".")):
        cube = rs.open_cube(tmp_path / name)
        np.testing.assert_array_equal(cube.values, (values * 1000).astype(np.int16))
        np.testing.assert_array_equal(cube["wavelength"], GRID)


@pytest.mark.parametrize("unit", ["Micrometers", "Unknown"])
def test_micrometres_become_nanometres_and_scaled_reflectance_values(tmp_path, values, unit):
    codes = np.rint(values * 10_000).astype(np.uint16)
    metadata = {
        "wavelength": [0.4, 0.5005, 0.6, 0.7],
        "wavelength units": unit,
        "reflectance scale factor": 10_000,
    }
    envi.save_image(str(tmp_path / "a.hdr"), codes, metadata=metadata)
    cube = rs.open_cube(tmp_path / "a.hdr")
    np.testing.assert_allclose(cube["wavelength"], GRID)
    np.testing.assert_allclose(cube.values, codes / 10_000, rtol=1e-6)
    assert cube.attrs["quantity"] == "reflectance"


def test_a_30000_by_30000_header_over_one_kilobyte(tmp_path):
    (tmp_path / "a.hdr").write_text(
        "ENVI\nsamples = 30000\nlines = 30000\nbands = 31\ndata type = 4\ninterleave = bil\n"
        "byte order = 0\nheader offset = 0\n"
    )
    (tmp_path / "a.img").write_bytes(bytes(1024))
    with pytest.raises(FormatError, match=r"promises 30000 x 30000 x 31 .* holds 1,024 bytes"):
        rs.open_cube(tmp_path / "a.hdr")


def test_halves_of_a_pair(tmp_path, values):
    rs.save_cube(rs.make_cube(values, GRID), tmp_path / "a.hdr")
    (tmp_path / "a.hdr").rename(tmp_path / "b.hdr")
    with pytest.raises(FormatError, match=r"header without its data; put b\.img"):
        rs.open_cube(tmp_path / "b.hdr")
    with pytest.raises(FormatError, match=r"has no ENVI header; put a\.hdr"):
        rs.open_cube(tmp_path / "a.img")


def test_a_pair_is_replaced_as_a_whole_or_not_at_all(tmp_path, values):
    cube = rs.make_cube(values, GRID)
    (tmp_path / "a.img").write_text("precious")
    with pytest.raises(OutputError, match=r"a\.img exists already"):
        rs.save_cube(cube, tmp_path / "a.hdr")
    assert [p.name for p in tmp_path.iterdir()] == ["a.img"]
    rs.save_cube(cube, tmp_path / "a.hdr", overwrite=True)
    rs.save_cube(cube * 2, tmp_path / "a.hdr", overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.hdr", "a.img"]
    np.testing.assert_array_equal(rs.open_cube(tmp_path / "a.hdr"), cube * 2)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("interleave = bix", "interleave is bip, bil or bsq; got 'bix'"),
        ("lines = 0", "sizes that cannot be"),
        ("data type = 99", "damaged"),
        ("reflectance scale factor = 0", "scale factor is positive"),
    ],
)
def test_headers_that_cannot_be(tmp_path, values, line, message):
    rs.save_cube(rs.make_cube(values, GRID), tmp_path / "a.hdr")
    with (tmp_path / "a.hdr").open("a") as file:
        file.write(f"\n{line}\n")
    with pytest.raises(FormatError, match=message):
        rs.open_cube(tmp_path / "a.hdr")


# --- headers as people have them -----------------------------------------------------------------


def written(
    folder, values, extra="", *, name="a", dtype=4, order="byte order = 0\n", suffix=".img"
):
    """A pixel-interleaved file with a hand-made header; returns the header's path."""
    rows, columns, bands = values.shape
    text = (
        f"ENVI\nsamples = {columns}\nlines = {rows}\nbands = {bands}\ndata type = {dtype}\n"
        f"interleave = bip\n{order}{extra}"
    )
    header = folder / f"{name}.hdr"
    header.write_bytes(text.encode("utf-8"))
    (folder / f"{name}{suffix}").write_bytes(values.tobytes())
    return header


WAVES = "wavelength = {400, 500.5, 600, 700}\n"


@pytest.mark.parametrize(
    ("extra", "order"),
    [
        (WAVES, ""),
        ("wavelength = {400, 500.5, 600, 700,}\n", "byte order = 0\n"),
        ("wavelengths = {400, 500.5, 600, 700}\n", "byte order = 0\n"),
        ("Wavelength = [400, 500.5, 600, 700]\n", "byte order = 0\n"),
        ("wavelength =\n{\n 400, 500.5,\n 600, 700\n}\n", "Byte_Order = 0\n"),
        ("wavelength = {400 500.5 600 700}\r\n", "byte order = 0\r\n"),
        ("; a comment\nwavelength = {400, 500.5, 600, 700}\nbbl = {1,1,0,1}", "byte order = 0\n"),
        ("wavelength units = Millimeters\nwavelength = {.0004,.0005005,.0006,.0007}\n", ""),
        ("wavelength units = cm-1\nwavelength = {25000, 19980.02, 16666.667, 14285.714}\n", ""),
        ("band names = {a (400 nm), b (500.5 nm), c (600 nm), d (700 nm)}\n", ""),
    ],
)
def test_headers_as_people_have_them(tmp_path, values, extra, order):
    cube = rs.open_cube(written(tmp_path, values, extra, order=order))
    np.testing.assert_array_equal(cube.values, values)
    np.testing.assert_allclose(cube["wavelength"], GRID, rtol=1e-6)


@pytest.mark.parametrize(
    "encode", [lambda text: text.encode("latin-1"), lambda text: text.encode("utf-8-sig")]
)
def test_latin_1_and_a_byte_order_mark(tmp_path, values, encode):
    header = written(tmp_path, values, "description = {Küste, März}\n" + WAVES)
    header.write_bytes(encode(header.read_text("utf-8")))
    cube = rs.open_cube(header)
    assert cube.attrs["description"] == "Küste, März"
    np.testing.assert_array_equal(cube.values, values)


def test_data_of_any_suffix_opens_by_either_name(tmp_path, values):
    header = written(tmp_path, values, WAVES, suffix=".hyspex")
    (tmp_path / "a.png").write_bytes(b"a preview beside it")
    for name in (header, tmp_path / "a.hyspex"):
        np.testing.assert_array_equal(rs.open_cube(name).values, values)
    (tmp_path / "a.other").write_bytes(b"of another size")
    np.testing.assert_array_equal(rs.open_cube(header).values, values)


def test_no_data_is_nan_before_anything_is_scaled(tmp_path, values):
    codes = np.rint(values * 10_000).astype("<i2")
    codes[0, 0] = -9999
    codes[1, 1, 2] = -9999
    extra = "data ignore value = -9999\ndata gain values = {1e-4, 2e-4, 1e-4, 1e-4}\n"
    extra += "data offset values = {0, 0, 0, 5}\n" + WAVES
    cube = rs.open_cube(written(tmp_path, codes, extra, dtype=2))
    expected = codes * np.array([1e-4, 2e-4, 1e-4, 1e-4]) + np.array([0, 0, 0, 5.0])
    expected[codes == -9999] = np.nan
    np.testing.assert_allclose(cube.values, expected.astype(np.float32), rtol=1e-6)
    np.testing.assert_array_equal(cube[1:, :, 1:3].values, cube.values[1:, :, 1:3])


def test_two_scales_that_contradict_are_refused(tmp_path, values):
    both = "reflectance scale factor = 10000\ndata gain values = {1e-4,1e-4,1e-4,1e-4}\n" + WAVES
    once = rs.open_cube(written(tmp_path, values, both))
    np.testing.assert_allclose(once.values, values / 1e4, rtol=1e-6)
    assert once.attrs["quantity"] == "reflectance"
    other = both.replace("10000", "500")
    with pytest.raises(FormatError, match="states two scales"):
        rs.open_cube(written(tmp_path, values, other, name="b"))


def test_compressed_values(tmp_path, values):
    header = written(tmp_path, values, "file compression = 1\n" + WAVES)
    for packed in (gzip.compress(values.tobytes()), zlib.compress(values.tobytes())):
        (tmp_path / "a.img").write_bytes(packed)
        np.testing.assert_array_equal(rs.open_cube(header).values, values)
    for wrong, message in ((values.tobytes()[:-4], "fewer"), (values.tobytes() + b"1234", "more")):
        (tmp_path / "a.img").write_bytes(gzip.compress(wrong))
        with pytest.raises(FormatError, match=f"{message} bytes than its header"):
            rs.open_cube(header).load()


def test_radiance_pictures_and_libraries_of_spectra_are_no_cubes(tmp_path, values):
    (tmp_path / "sky.hdr").write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 1\n")
    with pytest.raises(FormatError, match="Radiance picture"):
        rs.open_cube(tmp_path / "sky.hdr")
    with pytest.raises(FormatError, match="library of spectra"):
        rs.open_cube(written(tmp_path, values, "file type = ENVI Spectral Library\n"))


def test_what_else_a_header_says_is_kept_through_a_conversion(tmp_path, values):
    extra = (
        "wavelength units = Micrometers\nwavelength = {0.7, 0.6, 0.5005, 0.4}\n"
        "fwhm = {0.004, 0.003, 0.002, 0.001}\nbbl = {1, 1, 0, 1}\n"
        "band names = {red, orange, green, violet}\n"
        "map info = {UTM, 1, 1, 500000, 4000000, 30, 30, 33, North}\nsensor type = Unknown\n"
    )
    cube = rs.open_cube(written(tmp_path, values, extra))
    assert cube.attrs["fwhm_nm"] == [1.0, 2.0, 3.0, 4.0]  # in the order of the bands
    assert cube.attrs["good_bands"] == [1, 0, 1, 1]
    assert cube.attrs["band_names"] == ["violet", "green", "orange", "red"]
    assert cube.attrs["envi"] == {"map info": "{UTM, 1, 1, 500000, 4000000, 30, 30, 33, North}"}
    rs.save_cube(cube, tmp_path / "b.nc")
    rs.save_cube(rs.open_cube(tmp_path / "b.nc"), tmp_path / "c.hdr")
    back = rs.open_cube(tmp_path / "c.hdr")
    assert back.attrs == cube.attrs
    metadata = envi.read_envi_header(str(tmp_path / "c.hdr"))
    assert metadata["map info"] == ["UTM", "1", "1", "500000", "4000000", "30", "30", "33", "North"]
    assert metadata["fwhm"] == ["1.0", "2.0", "3.0", "4.0"]
    assert metadata["bbl"] == ["1", "0", "1", "1"]


@pytest.mark.parametrize(
    ("unit", "waves"), [("Nanometers", "0.4, 0.5, 0.6, 0.7"), ("Index", "400, 500, 600, 701")]
)
def test_wavelengths_that_no_camera_has_are_not_believed(tmp_path, values, unit, waves):
    extra = f"wavelength units = {unit}\nwavelength = {{{waves}}}\n"
    header = written(tmp_path, values, extra)
    with pytest.raises(FormatError, match=r"a\.hdr: its band axis"):
        rs.open_cube(header)
    assert inspect(header)["wavelengths_nm"] is None
    assert "band axis" in inspect(header)["details"]["wavelength_problem"]
    given = rs.open_cube(header, wavelengths_nm=GRID)  # what cannot be is not contradicted
    np.testing.assert_array_equal(given["wavelength"], GRID)


@pytest.mark.parametrize("unit", ["nm", "um"])
def test_wavelengths_with_their_unit_behind_each(tmp_path, values, unit):
    factor = 1 if unit == "nm" else 1e-3
    spelled = "{" + ", ".join(f"{nm * factor:g} {unit}" for nm in GRID) + "}"
    cube = rs.open_cube(written(tmp_path, values, f"wavelength = {spelled}\n"))
    np.testing.assert_allclose(cube["wavelength"], GRID)


def test_wavelengths_of_another_number_of_bands_are_said(tmp_path, values):
    path = written(tmp_path, values, "wavelength = {400, 500, 600}\n")
    with pytest.raises(FormatError, match="states 3 wavelengths and has 4 bands"):
        rs.open_cube(path)
    assert rs.open_cube(path, wavelengths_nm=GRID).shape == values.shape


def test_a_scale_that_was_meant_to_multiply_is_refused(tmp_path, values):
    codes = (values * 10_000).astype(np.uint16)
    scale = f"{WAVES}reflectance scale factor = "
    path = written(tmp_path, codes, f"{scale}0.0001\n", dtype=12)
    with pytest.raises(FormatError, match="was meant to multiply, write 10000"):
        rs.open_cube(path)
    path = written(tmp_path, values, f"{scale}0.5\n")
    np.testing.assert_allclose(rs.open_cube(path).values, values / 0.5)
