"""convert, inspect and check, as a person at the terminal meets them."""

import json

import numpy as np
import pytest

import respectra as rs
from respectra.cli import cubes as _  # noqa: F401 - registers the commands
from respectra.cli.app import run

GRID = np.arange(400, 701, 10)


@pytest.fixture
def scene(tmp_path, rng):
    cube = rs.make_cube(rng.uniform(0.1, 1, (4, 6, 31)), GRID, quantity="reflectance")
    rs.save_cube(cube, tmp_path / "scene.npz")
    return tmp_path / "scene.npz"


def one_line(capsys) -> str:
    text = capsys.readouterr().err
    errors = [line for line in text.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "Traceback" not in text
    return errors[0]


def test_convert_one_file(tmp_path, scene):
    assert run(["convert", str(scene), "-o", str(tmp_path / "a.mat")]) == 0
    np.testing.assert_array_equal(rs.open_cube(tmp_path / "a.mat"), rs.open_cube(scene))


def test_convert_refuses_to_overwrite_unless_told(tmp_path, scene, capsys):
    target = tmp_path / "a.mat"
    target.write_text("precious")
    assert run(["convert", str(scene), "-o", str(target)]) == 1
    assert "exists already" in one_line(capsys)
    assert target.read_text() == "precious"
    assert run(["convert", str(scene), "-o", str(target), "--overwrite"]) == 0
    assert rs.open_cube(target).shape == (4, 6, 31)


def test_convert_several_goes_on_after_a_bad_one(tmp_path, scene, capsys):
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04")
    inputs = [str(scene), str(tmp_path / "bad.npz")]
    assert run(["convert", *inputs, "-o", str(tmp_path / "out"), "--format", "tiff"]) == 1
    assert "bad.npz is damaged" in one_line(capsys)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["scene.tif"]


def test_convert_says_that_what_it_saved_is_gone(tmp_path, scene, capsys, monkeypatch):
    save = rs.save_cube
    (tmp_path / "other.npz").write_bytes(scene.read_bytes())

    def meddling(cube, path, **options):
        save(cube, path, **options)
        if path.name == "scene.tif":
            path.unlink()

    monkeypatch.setattr("respectra.cubes.save_cube", meddling)
    inputs = [str(scene), str(tmp_path / "other.npz")]
    assert run(["convert", *inputs, "-o", str(tmp_path / "out"), "--format", "tiff"]) == 1
    assert "1 of 2 outputs are gone again" in one_line(capsys)


def test_convert_several_needs_a_format_and_different_names(tmp_path, scene, capsys):
    assert run(["convert", str(scene), str(scene), "-o", str(tmp_path / "out")]) == 1
    assert "say in which --format" in one_line(capsys)
    arguments = [str(scene), str(scene), "-o", str(tmp_path / "out"), "--format", "zarr"]
    assert run(["convert", *arguments]) == 1
    assert "several inputs would become" in one_line(capsys)


def test_convert_takes_wavelengths_and_makes_png_folders(tmp_path, rng):
    np.save(tmp_path / "a.npy", rng.random((3, 4, 5)))
    arguments = [str(tmp_path / "a.npy"), "-o", str(tmp_path / "bands"), "--format", "png"]
    assert run(["convert", *arguments]) == 1
    assert run(["convert", *arguments, "--wavelengths", "500:600:25"]) == 0
    np.testing.assert_array_equal(
        rs.open_cube(tmp_path / "bands")["wavelength"], [500, 525, 550, 575, 600]
    )


def test_inspect(scene, capsys):
    assert run(["inspect", str(scene)]) == 0
    text = capsys.readouterr().out
    assert "4 rows, 6 columns, 31 bands of float32" in text
    assert "400 to 700 nm in steps of 10" in text
    assert run(["inspect", str(scene), "--json"]) == 0
    (facts,) = json.loads(capsys.readouterr().out)
    assert facts["shape"] == [4, 6, 31]


def test_check_exits_with_1_when_something_breaks_training(tmp_path, scene, capsys):
    assert run(["check", str(scene)]) == 0
    assert ": ok;" in capsys.readouterr().out
    cube = rs.open_cube(scene)
    cube.values[0, 0, 0] = np.nan
    rs.save_cube(cube, tmp_path / "bad.npz")
    assert run(["check", str(scene), str(tmp_path / "bad.npz"), "--json"]) == 1
    good, bad = json.loads(capsys.readouterr().out)
    assert good["ok"]
    assert not bad["ok"]
    assert bad["findings"][0]["code"] == "not-finite"


@pytest.mark.parametrize("command", ["check", "inspect"])
def test_unreadable_files_are_one_line(tmp_path, command, capsys):
    (tmp_path / "a.mat").write_bytes(b"\xff\xd8\xff\xe0")
    assert run([command, str(tmp_path / "a.mat")]) == 1
    assert "a JPEG image" in one_line(capsys)


def test_wavelengths_that_cannot_be_read_are_one_line(scene, capsys):
    assert run(["check", str(scene), "--wavelengths", "400-700"]) == 1
    assert "first:last:step" in one_line(capsys)
