"""reconstruct, as a person at the terminal meets it."""

import json

import cv2
import numpy as np
import pytest
import xarray as xr
from tests.inference.clips import write_clip

import respectra as rs
from respectra.cli import reconstruct as _  # noqa: F401 - registers the command
from respectra.cli.app import run


@pytest.fixture
def photo(tmp_path, rng):
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), rng.integers(20, 200, (12, 16, 3), dtype=np.uint8))
    return path


def error_line(capsys) -> str:
    text = capsys.readouterr().err
    errors = [line for line in text.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "Traceback" not in text
    return errors[0]


def test_a_photo_becomes_a_cube_without_any_flag(photo, tmp_path, capsys):
    assert run(["reconstruct", str(photo), "-o", str(tmp_path / "cube.zarr"), "--preview"]) == 0
    cube = rs.open_cube(tmp_path / "cube.zarr")
    assert cube.shape == (12, 16, 31)
    assert cube.values.min() >= 0
    assert (tmp_path / "cube.preview.png").is_file()
    assert "(srgb)" in capsys.readouterr().err


def test_the_challenges_names_say_what_a_picture_holds(photo, tmp_path, capsys):
    clean = photo.rename(tmp_path / "ARAD_HS_0451_clean.png")
    assert run(["reconstruct", str(clean), "-o", str(tmp_path / "out"), "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["input"] == "clean"
    assert rs.open_cube(result["cube"]).shape == (12, 16, 31)


def test_codes_of_the_clean_track_are_used_as_they_are(photo, tmp_path):
    arguments = ["reconstruct", str(photo), "-o", str(tmp_path / "cube.npz"), "--kind", "clean"]
    assert run([*arguments, "--method", "pseudo-inverse"]) == 0
    expected = rs.load("pseudo-inverse")(rs.open_image(photo))
    np.testing.assert_array_equal(rs.open_cube(tmp_path / "cube.npz"), expected)


def test_several_pictures_go_into_a_folder_in_the_format_asked_for(photo, tmp_path):
    other = tmp_path / "other.png"
    other.write_bytes(photo.read_bytes())
    out = tmp_path / "cubes"
    assert run(["reconstruct", str(photo), str(other), "-o", str(out), "--format", "mat"]) == 0
    assert sorted(p.name for p in out.glob("*.mat")) == ["other.mat", "photo.mat"]


def test_an_existing_cube_is_refused_before_any_work(photo, tmp_path, capsys):
    target = tmp_path / "cube.npz"
    target.write_text("precious")
    assert run(["reconstruct", str(photo), "-o", str(target)]) == 1
    assert "--overwrite" in error_line(capsys)
    assert target.read_text() == "precious"


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--method", "root-polinomial"], "did you mean 'root-polynomial'"),
        (["--weights", "none.safetensors"], "there is no weights file"),
        (["--method", "wiener", "--weights", "w.safetensors"], "exclude each other"),
        (["--format", "xyz"], "unknown format 'xyz'"),
    ],
)
def test_bad_options_are_one_clear_line(photo, tmp_path, capsys, extra, message):
    assert run(["reconstruct", str(photo), "-o", str(tmp_path / "out"), *extra]) == 1
    assert message in error_line(capsys)
    assert not (tmp_path / "out").exists()


def test_a_picture_that_is_none_leaves_no_output(tmp_path, capsys):
    (tmp_path / "empty.png").touch()
    assert run(["reconstruct", str(tmp_path / "empty.png"), "-o", str(tmp_path / "c.zarr")]) == 1
    assert "empty" in error_line(capsys)
    assert not (tmp_path / "c.zarr").exists()


def test_two_pictures_of_one_name_are_refused(photo, tmp_path, capsys):
    (tmp_path / "sub").mkdir()
    twin = tmp_path / "sub" / photo.name
    twin.write_bytes(photo.read_bytes())
    assert run(["reconstruct", str(photo), str(twin), "-o", str(tmp_path / "out")]) == 1
    assert "several pictures" in error_line(capsys)


def test_a_clip_becomes_a_cube_in_time_and_its_flicker_is_said(tmp_path, rng, capsys):
    pytest.importorskip("av")
    frames = rng.integers(20, 200, (3, 12, 16, 3), dtype=np.uint8)
    clip = write_clip(tmp_path / "clip.mkv", frames)
    arguments = ["reconstruct", str(clip), "-o", str(tmp_path / "clip.zarr"), "--json"]
    assert run([*arguments, "--method", "pseudo-inverse"]) == 0
    text = capsys.readouterr()
    (result,) = json.loads(text.out)["results"]
    assert result["frames"] == 3
    assert result["flicker"] == result["change_of_spectra"] - result["change_of_image"]
    assert "flicker" in text.err
    video = xr.open_zarr(result["cube"], consolidated=False).cube
    assert video.shape == (3, 12, 16, 31)


def test_low_rank_keeps_coefficients_of_pictures_and_clips(photo, tmp_path, rng, capsys):
    pytest.importorskip("av")
    clip = write_clip(tmp_path / "clip.mkv", rng.integers(9, 99, (2, 12, 16, 3), dtype=np.uint8))
    arguments = ["reconstruct", str(photo), str(clip), "-o", str(tmp_path / "out"), "--low-rank"]
    assert run([*arguments, "--method", "wiener"]) == 0
    low = rs.cubes.open_low_rank(tmp_path / "out" / f"{photo.stem}.zarr")
    assert low.basis.shape == (3, 31)
    video = xr.open_zarr(tmp_path / "out" / "clip.zarr", consolidated=False)
    assert dict(video.coefficients.sizes) == {"time": 2, "y": 12, "x": 16, "component": 3}
    capsys.readouterr()
    arguments = ["reconstruct", str(photo), "-o", str(tmp_path / "c.zarr"), "--low-rank"]
    assert run([*arguments, "--method", "root-polynomial"]) == 1
    assert "bake it into a table" in capsys.readouterr().err


@pytest.fixture
def shots(tmp_path, rng):
    """A folder with two pictures, one that is damaged, and a file that is no picture."""
    folder = tmp_path / "shots"
    (folder / "more").mkdir(parents=True)
    for name in ("a.png", "c.png", "more/d.png"):
        codes = rng.integers(20, 200, (12, 16, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / name), codes)
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes()[:60])
    (folder / "notes.txt").write_text("three pictures")
    return folder


def statuses(capsys) -> dict[str, str]:
    results = json.loads(capsys.readouterr().out)["results"]
    return {result["image"].rpartition("/")[2]: result["status"] for result in results}


def test_a_folder_goes_on_after_a_bad_file_and_is_taken_up(shots, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["reconstruct", str(shots), "-o", str(out), "--method", "pseudo-inverse"]
    assert run(arguments) == 1
    assert "b.png" in error_line(capsys)
    assert sorted(p.name for p in out.iterdir()) == ["a.zarr", "c.zarr", "manifest.jsonl"]
    (shots / "b.png").write_bytes((shots / "c.png").read_bytes())
    assert run([*arguments, "--json"]) == 0
    assert statuses(capsys) == {"a.png": "skipped", "b.png": "done", "c.png": "skipped"}


def test_a_pattern_keeps_folders(shots, tmp_path, capsys):
    (shots / "b.png").unlink()
    out = tmp_path / "out"
    pattern = str(shots / "**" / "*.png")
    assert run(["reconstruct", pattern, "-o", str(out), "--method", "pseudo-inverse"]) == 0
    assert rs.open_cube(out / "more" / "d.zarr").shape == (12, 16, 31)
    assert rs.open_cube(out / "a.zarr").shape == (12, 16, 31)


def test_fail_fast_stops_at_the_first_failure(shots, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["reconstruct", str(shots), "-o", str(out), "--method", "pseudo-inverse"]
    assert run([*arguments, "--fail-fast"]) == 1
    assert "b.png" in error_line(capsys)
    assert not (out / "c.zarr").exists()
    assert (out / "a.zarr").exists()


def test_a_folder_without_pictures_is_refused(tmp_path, capsys):
    (tmp_path / "none").mkdir()
    for name in ("none", "*.png"):
        assert run(["reconstruct", str(tmp_path / name), "-o", str(tmp_path / "out")]) == 1
        assert "no picture" in error_line(capsys)
    assert not (tmp_path / "out").exists()


def test_an_unknown_ending_of_one_cube_is_no_folder(shots, tmp_path, capsys):
    out = tmp_path / "cube.xyz"
    assert run(["reconstruct", str(shots / "a.png"), "-o", str(out)]) == 1
    assert ".zarr" in error_line(capsys)
    assert not out.exists()
