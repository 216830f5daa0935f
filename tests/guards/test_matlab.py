"""MATLAB 4 to 7 without a library: scipy's values, and one error for whatever is damaged."""

import struct
import zlib

import h5py
import numpy as np
import pytest
import scipy.io

import respectra as rs
from respectra.cameras import open_response
from respectra.errors import FormatError
from respectra.guards import limits
from respectra.guards.mat5 import open_mat5
from respectra.guards.matlab import open_matlab

GRID = [400.0, 500.0, 600.0]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "c8", "c16"])  # fmt: skip # noqa: E501
def test_numbers_are_those_of_scipy(tmp_path, rng, dtype, compressed):
    values = (rng.random((4, 5, 3)) * 100).astype(dtype)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * values[::-1]
    scipy.io.savemat(tmp_path / "a.mat", {"a": values, "b": 3.0}, do_compression=compressed)
    version, found = open_matlab(tmp_path / "a.mat")
    assert version == "5"
    expected = scipy.io.loadmat(tmp_path / "a.mat")
    np.testing.assert_array_equal(found["a"].read(), expected["a"])
    assert found["b"].read() == 3.0


@pytest.mark.parametrize("compressed", [False, True])
def test_structures_and_cells_have_parts(tmp_path, rng, compressed):
    values = rng.random((4, 5, 3), np.float32)
    cells = np.empty((1, 2), object)
    cells[0, 0], cells[0, 1] = "text", values
    content = {
        "scene": {"data": {"cube": values, "bands": GRID, "wavelength_units": "nm"}, "name": "x"},
        "cells": cells,
    }
    scipy.io.savemat(tmp_path / "a.mat", content, do_compression=compressed)
    found = open_mat5(tmp_path / "a.mat")
    assert found["scene/name"].text() == "x"
    assert found["cells/1"].text() == "text"
    np.testing.assert_array_equal(found["cells/2"].read(), values)
    for key in ("scene/data/cube", "scene.data.cube"):
        cube = rs.open_cube(tmp_path / "a.mat", key=key)
        np.testing.assert_array_equal(cube, values)
        np.testing.assert_array_equal(cube["wavelength"], GRID)
    with pytest.raises(FormatError, match="is not an array of numbers: a structure"):
        rs.open_cube(tmp_path / "a.mat", key="scene")


def test_structures_and_cells_of_version_73(tmp_path, rng):
    values = rng.random((4, 5, 3), np.float32)
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        for name, data in (("scene/cube", values.T), ("#refs#/b", values.T), ("scene/bands", GRID)):
            file[name] = data
            file[name].attrs["MATLAB_class"] = np.bytes_("single")
        cell = file.create_dataset("cells", (1, 1), h5py.ref_dtype)
        cell[0, 0] = file["#refs#/b"].ref
        cell.attrs["MATLAB_class"] = np.bytes_("cell")
    cube = rs.open_cube(tmp_path / "a.mat", key="scene/cube")
    np.testing.assert_array_equal(cube, values)
    np.testing.assert_array_equal(cube["wavelength"], GRID)
    cube = rs.open_cube(tmp_path / "a.mat", key="cells/1", wavelengths_nm=GRID)
    np.testing.assert_array_equal(cube, values)


def test_version_4(tmp_path):
    table = np.array([[0.1, 0.2, 0.9], [0.2, 0.8, 0.3], [0.7, 0.1, 0.0]])
    content = {"filters": table, "bands": np.array([GRID]), "name": "text"}
    scipy.io.savemat(tmp_path / "a.mat", content, format="4")
    version, found = open_matlab(tmp_path / "a.mat")
    assert version == "4"
    assert found["name"].text() == "text"
    np.testing.assert_array_equal(found["filters"].read(), table)
    np.testing.assert_array_equal(open_response(tmp_path / "a.mat"), table)
    with pytest.raises(FormatError, match="no array with three dimensions"):
        rs.open_cube(tmp_path / "a.mat")
    (tmp_path / "a.mat").write_bytes((tmp_path / "a.mat").read_bytes()[:-4])
    with pytest.raises(FormatError, match="truncated"):
        open_matlab(tmp_path / "a.mat")


def test_text_beyond_ascii(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"t": "Grün µm", "rows": np.array(["ab", "cd"])})
    found = open_mat5(tmp_path / "a.mat")
    assert found["t"].text() == "Grün µm"
    assert found["rows"].text() == "ab"


def element(kind, data):
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(name, shape, data, matlab_class=6, kind=9):
    return element(
        14,
        element(6, struct.pack("<II", matlab_class, 0))
        + element(5, struct.pack(f"<{len(shape)}i", *shape))
        + element(1, name)
        + element(kind, data),
    )


def write(path, *elements):
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"".join(elements))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (matrix(b"cube", (2, 2, 2), bytes(8)), r"promises \(2, 2, 2\) values"),
        (matrix(b"cube", (2, 2, 2), bytes(64), kind=77), "have type 77"),
        (matrix(b"cube", (-2, 2, 2), bytes(64)), "negative size"),
        (matrix(b"cube", (2,), bytes(16)), "no dimensions"),
        (matrix(b"cube", (1,) * 40, bytes(8)), "no dimensions"),
        (matrix(b"cube", (2, 2, 2), bytes(64))[:100], "truncated|reaches beyond"),
        (element(3, bytes(8)), "type 3 is no variable"),
        (element(15, zlib.compress(b"x")), "without a tag"),
        (element(15, b"no deflate"), "cannot be unpacked"),
        (element(15, zlib.compress(matrix(b"c", (9, 9, 9), bytes(5832))[:-800])), "shorter|trunc"),
        (matrix(b"cube", (1, 1), struct.pack("<I", 2**31), 2, 5), "truncated|no field names"),
        (matrix(b"cube", (1000, 1000), b"", 1, 14), "claims 1,000,000 parts"),
    ],
)  # fmt: skip
def test_damage_is_one_error(tmp_path, content, message):
    write(tmp_path / "a.mat", content)
    with pytest.raises(FormatError, match=message):
        rs.open_cube(tmp_path / "a.mat", wavelengths_nm=[400, 500]).load()
    with pytest.raises(FormatError):
        open_response(tmp_path / "a.mat")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "ALLOWANCE", 2**20)
    packer = zlib.compressobj(9)
    head = matrix(b"cube", (1024, 32, 300), b"")
    count = 1024 * 32 * 300
    inner = head[8:-8] + struct.pack("<II", 2, count)
    inner = inner.replace(struct.pack("<II", 6, 0), struct.pack("<II", 9, 0))
    data = packer.compress(struct.pack("<II", 14, len(inner) + count) + inner)
    data += packer.compress(bytes(count)) + packer.flush()
    write(tmp_path / "a.mat", struct.pack("<II", 15, len(data)) + data)
    with pytest.raises(FormatError, match="would grow from"):
        rs.open_cube(tmp_path / "a.mat", wavelengths_nm=np.arange(400, 700)).load()
