"""ENVI against the `spectral` library."""

import numpy as np
import pytest
import spectral.io.envi as envi

import respectra as rs
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
