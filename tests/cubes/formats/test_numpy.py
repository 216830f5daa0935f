"""NPY and NPZ: codes with a scale, and archives that lie."""

import io
import zipfile

import numpy as np
import pytest

import respectra as rs
from respectra.errors import FormatError

GRID = [400.0, 500.0, 600.0, 700.0]


@pytest.mark.parametrize("bits", [8, 16])
def test_codes_times_scale(tmp_path, rng, bits):
    codes = rng.integers(0, 2**bits, (3, 5, 4)).astype(f"u{bits // 8}")
    scale = np.float32(1 / (2**bits - 1))
    np.savez_compressed(
        tmp_path / "a.npz", **{f"cube_u{bits}": codes}, scale=scale, wavelengths=GRID, note="n"
    )
    cube = rs.open_cube(tmp_path / "a.npz")
    np.testing.assert_array_equal(cube.values, codes * scale)
    assert cube.attrs["note"] == "n"


def test_real_values_are_not_scaled(tmp_path, rng):
    values = rng.random((3, 5, 4), np.float32)
    np.savez(tmp_path / "a.npz", cube=values, scale=2.0, wavelengths=GRID)
    np.testing.assert_array_equal(rs.open_cube(tmp_path / "a.npz").values, values)


@pytest.mark.parametrize("scale", [[1.0, 2.0], np.nan, 0.0, "a"])
def test_scales_that_cannot_be(tmp_path, scale):
    np.savez(
        tmp_path / "a.npz", cube_u8=np.ones((2, 2, 4), np.uint8), scale=scale, wavelengths=GRID
    )
    with pytest.raises(FormatError, match="scale is one finite number"):
        rs.open_cube(tmp_path / "a.npz")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<u2", ">i4", "f2"])
def test_npy_of_any_order_and_type(tmp_path, rng, order, dtype):
    values = np.asarray(rng.integers(0, 200, (3, 5, 4)), dtype, order=order)
    np.save(tmp_path / "a.npy", values)
    cube = rs.open_cube(tmp_path / "a.npy", wavelengths_nm=GRID)
    np.testing.assert_array_equal(cube.values, values)
    assert cube.values.flags.c_contiguous


def test_objects_are_never_unpickled(tmp_path):
    objects = np.empty((2, 2, 4), object)
    np.save(tmp_path / "a.npy", objects)
    with pytest.raises(FormatError, match="Python objects, which are never loaded"):
        rs.open_cube(tmp_path / "a.npy", wavelengths_nm=GRID)
    np.savez(tmp_path / "a.npz", cube=np.ones((2, 2, 4)), wavelengths=np.array([{}], object))
    with pytest.raises(FormatError, match="Python objects, which are never loaded"):
        rs.open_cube(tmp_path / "a.npz")


def header(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    facts = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, facts)
    return stream.getvalue()


def test_a_header_that_promises_more_than_the_file_holds(tmp_path):
    (tmp_path / "a.npy").write_bytes(header((30_000, 30_000, 31)) + bytes(1000))
    with pytest.raises(FormatError, match="promises 30000 x 30000 x 31"):
        rs.open_cube(tmp_path / "a.npy")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_that_promises_more_than_the_archive_holds(tmp_path, compression):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", compression) as archive:
        archive.writestr("cube.npy", header((30_000, 30_000, 31)) + bytes(100_000))
    with pytest.raises(FormatError, match="promises 30000 x 30000 x 31"):
        rs.open_cube(tmp_path / "a.npz", wavelengths_nm=np.arange(400, 701, 10))


def test_a_negative_or_flat_shape(tmp_path):
    for shape, message in (((2, 2), "2 dimensions"), ((0, 2, 4), "empty array")):
        np.save(tmp_path / "a.npy", np.ones(shape))
        with pytest.raises(FormatError, match=message):
            rs.open_cube(tmp_path / "a.npy", wavelengths_nm=GRID)
