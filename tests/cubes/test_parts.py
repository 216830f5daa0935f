"""The files of a cube, and what it is by all of them."""

import numpy as np
import pytest

import respectra as rs
from respectra.cubes.parts import cube_hash, cube_parts
from respectra.errors import FormatError
from respectra.identity import content_hash

NAMES = [("a.hdr", None), ("a.zarr", None), ("a", "png"), ("a.nc", None)]


@pytest.fixture
def cube(rng):
    return rs.make_cube(rng.random((3, 4, 5), np.float32), np.arange(400, 450, 10))


@pytest.mark.parametrize(("name", "form"), NAMES)
def test_a_change_of_any_file_is_a_change(tmp_path, cube, name, form):
    path = tmp_path / name
    rs.save_cube(cube, path, format=form)
    before = cube_hash(path)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    for file in files:
        data = file.read_bytes()
        changed = data.replace(b"4", b"5", 1) if file.suffix == ".hdr" else data[:-1] + b"\x07"
        assert changed != data
        file.write_bytes(changed)
        assert cube_hash(path) != before
        file.write_bytes(data)
    assert cube_hash(path) == before


def test_either_name_of_an_envi_cube_is_the_same_cube(tmp_path, cube):
    rs.save_cube(cube, tmp_path / "a.bil")
    assert cube_parts(tmp_path / "a.bil") == cube_parts(tmp_path / "a.hdr")
    assert cube_hash(tmp_path / "a.bil") == cube_hash(tmp_path / "a.hdr")
    for file in tmp_path.glob("a.*"):
        file.rename(tmp_path / f"b{file.suffix}")
    named_b = cube_hash(tmp_path / "b.hdr")
    assert named_b == cube_hash(tmp_path / "b.bil")


def test_a_single_file_has_the_hash_of_its_bytes(tmp_path, cube):
    rs.save_cube(cube, tmp_path / "a.npz")
    assert cube_hash(tmp_path / "a.npz") == content_hash(tmp_path / "a.npz")
    with pytest.raises(FormatError, match="there is no"):
        cube_hash(tmp_path / "b.npz")
