"""Every finding is found where it is, counted, and nowhere else."""

import json

import numpy as np
import pytest

import respectra as rs
from respectra.cubes import check, make_cube

GRID = np.arange(400, 701, 10)


@pytest.fixture
def values(rng):
    return rng.uniform(0.1, 0.9, (10, 12, 31)).astype(np.float32)


def findings(values, grid=GRID, **attrs):
    return {f.code: f for f in check(make_cube(values, grid, **attrs)).findings}


def test_a_good_cube_has_no_findings(values):
    report = check(make_cube(values, GRID))
    assert report.ok
    assert report.findings == ()
    assert report.shape == (10, 12, 31)
    assert report.mean == pytest.approx(values.mean(), rel=1e-6)


def test_what_breaks_training_is_an_error(values):
    values[0, 0, :3] = np.nan
    values[0, 1, 0] = np.inf
    values[1, 0, :5] = -0.1
    report = check(make_cube(values, GRID))
    assert not report.ok
    assert [(f.severity, f.code, f.count) for f in report.findings] == [
        ("error", "not-finite", 4),
        ("error", "negative", 5),
    ]
    assert report.minimum == pytest.approx(-0.1)
    assert "3,720 values" in report.findings[0].message


def test_zeros_are_counted(values):
    values[2, :5, 0] = 0
    found = findings(values)
    assert found["zero"].count == 5
    assert found["zero"].severity == "warning"
    assert "dead-pixels" not in found
    assert findings(np.zeros((2, 2, 31)))["zero"].severity == "error"


@pytest.mark.parametrize(("top", "scale"), [(255, 255), (4095, 4095), (60000, 65535)])
def test_the_scale_is_guessed(values, top, scale):
    found = findings(values / values.max() * top)
    assert f"divide by {scale}" in found["scale"].message


def test_reflectance_above_one(values):
    values[0, 0, 0] = 1.5
    assert findings(values, quantity="reflectance")["reflectance-above-1"].count == 1
    assert "reflectance-above-1" not in findings(values, quantity="radiance")


def test_saturation(values):
    values[:, :, 5] = np.minimum(values[:, :, 5] * 2, 1.0)
    assert findings(values)["saturated"].count == int((values == 1.0).sum())


def test_dead_and_repeated_pixels(values):
    values[0, :2] = 0
    values[5, :7] = values[5, 0]
    found = findings(values)
    assert found["dead-pixels"].count == 2
    assert found["repeated-spectrum"].count == 7


def test_constant_bands_and_other_grids(values):
    values[:, :, 3] = 0.5
    assert findings(values)["constant-band"].count == 1
    assert "430 nm" in findings(values)["constant-band"].message
    found = findings(values, np.arange(410, 711, 10))
    assert found["other-bands"].severity == "info"


def test_a_dark_cube(values):
    assert "dark" in findings(values / 200)


def test_a_cube_without_one_finite_value():
    report = check(make_cube(np.full((2, 2, 3), np.nan), [400, 500, 600]))
    assert not report.ok
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["mean"] is None


def test_the_known_gap_of_a_measured_scene_is_found(data_dir):
    report = check(rs.open_cube(data_dir / "scenes" / "muufl_demo_51x88.npz"))
    found = {f.code: f for f in report.findings}
    # The scene's notes: a triangle of 13.5 % of its pixels is one constant spectrum.
    assert found["repeated-spectrum"].count == pytest.approx(0.135 * 51 * 88, rel=0.01)
