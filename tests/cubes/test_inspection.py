"""Facts about files without their values."""

import json

import numpy as np
import pytest

import respectra as rs
from respectra.cubes import inspect, make_cube
from respectra.cubes.model import describe_wavelengths


@pytest.mark.parametrize(
    "name", ["a.mat", "a.hdr", "a.nc", "a.zarr", "a.npz", "a.npy", "a.tif", "folder"]
)
def test_facts_of_every_format(tmp_path, rng, name):
    cube = make_cube(rng.random((3, 5, 4)), [400, 500, 600, 700], quantity="reflectance")
    form = "png" if name == "folder" else None
    rs.save_cube(cube, tmp_path / name, format=form)
    facts = json.loads(json.dumps(inspect(tmp_path / name)))
    assert facts["shape"] == [3, 5, 4]
    assert facts["stored_type"] == ("uint16" if form else "float32")
    assert facts["memory_bytes"] == 240
    if name != "a.npy":
        assert facts["wavelengths_nm"] == [400, 500, 600, 700]
        assert facts["attributes"]["quantity"] == "reflectance"
    else:
        assert facts["wavelengths_nm"] is None


def test_grids_in_few_words():
    assert describe_wavelengths(np.arange(400, 701, 10)) == "400 to 700 nm in steps of 10"
    assert describe_wavelengths([700, 600, 500]) == "700 to 500 nm in steps of 100"
    assert describe_wavelengths([400, 410, 430]) == "400 to 430 nm in uneven steps"
    assert describe_wavelengths([550]) == "550 nm"
    assert describe_wavelengths(None) == "unknown wavelengths"
