"""Photographs and raw files through the command line."""

import numpy as np
import pytest
from PIL import Image
from tests.cameras.dng_file import BLACK, WHITE, write_dng

import respectra as rs
from respectra.cameras.pictures import profiles
from respectra.cli import reconstruct as _  # noqa: F401 - registers the command
from respectra.cli.app import run
from respectra.colour import rgb_space

RGB = np.random.default_rng(4).integers(60, 200, (10, 12, 3)).astype(np.uint8)


def reconstruct(*arguments):
    options = ["--method", "pseudo-inverse", "--overwrite"]
    return run(["reconstruct", *map(str, arguments), *options])


def test_a_wide_gamut_photograph(tmp_path):
    profile = profiles.write_profile("P3", rgb_space("display-p3").to_xyz_d50, 2.2)
    Image.fromarray(RGB).save(tmp_path / "a.png", icc_profile=profile)
    assert reconstruct(tmp_path / "a.png", "-o", tmp_path / "a.npz") == 0
    cube = rs.open_cube(tmp_path / "a.npz")
    expected = rs.load("pseudo-inverse")(rs.open_image(tmp_path / "a.png", encoding="srgb"))
    np.testing.assert_allclose(cube.values, expected.values, atol=1e-6)
    assert reconstruct(tmp_path / "a.png", "-o", tmp_path / "b.npz", "--profile", "ignore") == 0
    assert np.abs(rs.open_cube(tmp_path / "b.npz").values - cube.values).max() > 0.01


def test_grey_and_transparent(tmp_path):
    Image.fromarray(RGB[..., 0]).save(tmp_path / "g.png")
    out = tmp_path / "g.npz"
    assert reconstruct(tmp_path / "g.png", "-o", out) == 1
    assert reconstruct(tmp_path / "g.png", "-o", out, "--grey", "repeat") == 0
    assert reconstruct(tmp_path / "g.png", "-o", out, "--grey", "paint") == 1


def test_a_raw_file(tmp_path):
    pytest.importorskip("rawpy", reason="the extra raw is not installed")
    # A grey surface of a quarter of white: as-shot neutral is (0.5, 1, 0.625).
    level = np.tile(np.array([[0.125, 0.25], [0.25, 0.15625]]), (12, 16))
    path = write_dng(tmp_path / "a.dng", np.rint(BLACK + level * (WHITE - BLACK)))
    assert reconstruct(path, "-o", tmp_path / "a.npz") == 0
    cube = rs.open_cube(tmp_path / "a.npz")
    assert cube.attrs["quantity"] == "reflectance"
    assert np.median(cube.values) == pytest.approx(0.25, abs=0.05)
