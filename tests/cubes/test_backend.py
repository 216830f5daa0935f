"""Cubes through xarray."""

import io

import numpy as np
import pytest
import xarray as xr

import respectra as rs
from respectra.errors import FormatError


@pytest.fixture
def cube(rng):
    return rs.make_cube(rng.random((3, 5, 4)), [400, 500, 600, 700], source="here")


@pytest.mark.parametrize("name", ["a.mat", "a.hdr", "a.npz", "a.tif", "a.zarr"])
def test_open_dataarray_with_our_engine(tmp_path, cube, name):
    rs.save_cube(cube, tmp_path / name)
    xr.testing.assert_identical(xr.open_dataarray(tmp_path / name, engine="respectra"), cube)


def test_matlab_and_envi_are_recognised_without_naming_the_engine(tmp_path, cube):
    for name in ("a.mat", "b.bil"):
        rs.save_cube(cube, tmp_path / name)
        xr.testing.assert_identical(xr.open_dataset(tmp_path / name)["cube"], cube)


def test_options_reach_the_reader(tmp_path, cube):
    np.save(tmp_path / "a.npy", cube.values)
    opened = xr.open_dataset(
        tmp_path / "a.npy",
        engine="respectra",
        wavelengths_nm=[401, 402, 403, 404],
        quantity="reflectance",
        drop_variables="nothing",
    )
    assert opened["cube"].attrs["quantity"] == "reflectance"


def test_only_paths_are_opened():
    with pytest.raises(FormatError, match="from a path; got BytesIO"):
        xr.open_dataset(io.BytesIO(b""), engine="respectra")
