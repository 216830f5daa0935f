"""simulate and cameras, as a person at the terminal meets them."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import respectra as rs
from respectra.cameras import get_track, list_responses, list_tracks, open_response
from respectra.cli import cameras as _  # noqa: F401 - registers the commands
from respectra.cli.app import run


@pytest.fixture
def scene(tmp_path, rng):
    cube = rs.make_cube(rng.uniform(0.1, 1, (20, 24, 31)), np.arange(400, 701, 10))
    rs.save_cube(cube, tmp_path / "scene.npz")
    return tmp_path / "scene.npz"


def error_line(capsys):
    text = capsys.readouterr().err
    assert "Traceback" not in text
    (line,) = [line for line in text.splitlines() if line.startswith("error:")]
    return line


@pytest.mark.parametrize(
    ("track", "file"),
    [("clean", "scene_clean.png"), ("real-world", "scene_RealWorld.jpg"), ("exposed", "scene.jpg")],
)
def test_simulate_writes_the_track_s_file_and_recipe(tmp_path, scene, track, file):
    out = tmp_path / "out"
    arguments = ["simulate", str(scene), "--track", track, "-o", str(out), "--seed", "4"]
    assert run(arguments) == 0
    recipe_name = file.rsplit(".", 1)[0] + ".recipe.json"
    assert sorted(path.name for path in out.iterdir()) == sorted([file, recipe_name])
    image = get_track(track, seed=4).render(rs.open_cube(scene), key="scene")
    np.testing.assert_array_equal(rs.open_image(out / file), image)
    recipe = json.loads((out / recipe_name).read_text())
    assert (recipe["image"], recipe["track"], recipe["seed"]) == (file, track, 4)


def test_options_reach_the_track(tmp_path, scene):
    arguments = ["simulate", str(scene), "-o", str(tmp_path / "out")]
    assert run([*arguments, "--set", "divisor=128", "--set", "rounding=nearest"]) == 0
    image = rs.open_image(tmp_path / "out" / "scene_clean.png")
    expected = get_track("clean", divisor=128, rounding="nearest").render(rs.open_cube(scene))
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--track", "claen"], "did you mean 'clean'"),
        (["--set", "gamma=2"], "unknown option 'gamma'"),
        (["--set", "divisor"], "NAME=VALUE"),
        (["--set", "seed=2"], "--seed 2"),
        (["--seed", "-1"], "non-negative"),
        (["--response", "nikon"], "unknown response"),
        (["--response", "nothing.csv"], "there is no file"),
    ],
)
def test_wrong_options_leave_nothing(tmp_path, scene, capsys, extra, message):
    assert run(["simulate", str(scene), "-o", str(tmp_path / "out"), *extra]) == 1
    assert message in error_line(capsys)
    assert not (tmp_path / "out").exists()


def test_existing_output_is_kept(tmp_path, scene, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "scene_clean.recipe.json").write_text("precious")
    assert run(["simulate", str(scene), "-o", str(out)]) == 1
    assert "exists already" in error_line(capsys)
    assert [path.name for path in out.iterdir()] == ["scene_clean.recipe.json"]
    assert run(["simulate", str(scene), "-o", str(out), "--overwrite"]) == 0


def test_the_same_command_makes_what_is_missing(tmp_path, scene, capsys):
    other = shutil.copy(scene, tmp_path / "other.npz")
    command = ["simulate", str(scene), "-o", str(tmp_path / "out")]
    assert run(command) == 0
    first = (tmp_path / "out" / "scene_clean.png").stat().st_mtime_ns
    assert run([*command, str(other)]) == 0
    (tmp_path / "out" / "other_clean.png").unlink()  # stopped between the two files
    assert run([*command, str(other)]) == 0
    assert (tmp_path / "out" / "other_clean.png").exists()
    assert (tmp_path / "out" / "scene_clean.png").stat().st_mtime_ns == first  # left as it was
    assert run([*command, "--seed", "3"]) == 1
    assert "exists already" in error_line(capsys)


def test_goes_on_after_a_bad_cube(tmp_path, scene, capsys):
    bad = np.ones((4, 4, 31))
    bad[0, 0, 0] = np.nan
    np.savez(tmp_path / "bad.npz", cube=bad, wavelengths=np.arange(400, 701, 10))
    out = tmp_path / "out"
    assert run(["simulate", str(tmp_path / "bad.npz"), str(scene), "-o", str(out)]) == 1
    assert "bad.npz: 1 pixels of the cube hold NaN" in error_line(capsys)
    assert (out / "scene_clean.png").exists()
    assert not (out / "bad_clean.png").exists()


@pytest.mark.posix
def test_one_command_writes_a_folder_at_a_time(tmp_path, scene, capsys):
    out = tmp_path / "out"
    command = ["simulate", str(scene), "-o", str(out)]
    code = (
        "import sys; from respectra.files import file_lock\n"
        f"with file_lock({str(out)!r}, inside=True):\n    print('held', flush=True); input()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with other:
        assert other.stdout.readline() == b"held\n"
        assert run(command) == 1
        assert f"out is being written by process {other.pid} on " in error_line(capsys)
        assert [path.name for path in out.iterdir()] == [".lock"]
        other.communicate(b"\n")
    assert run(command) == 0
    assert not (out / ".lock").exists()


def test_two_cubes_of_one_name(tmp_path, scene, capsys):
    (tmp_path / "other").mkdir()
    other = shutil.copy(scene, tmp_path / "other")
    assert run(["simulate", str(scene), str(other), "-o", str(tmp_path / "out")]) == 1
    assert "called scene" in error_line(capsys)


def test_a_cube_that_is_named_twice_is_rendered_once(tmp_path, scene, capsys):
    assert run(["simulate", str(scene), str(scene), "-o", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err.count("saved") == 1


def test_listing(capsys):
    assert run(["cameras", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in facts["tracks"]] == list(list_tracks())
    assert [entry["name"] for entry in facts["responses"]] == list(list_responses())
    assert run(["cameras"]) == 0
    assert "real-world: " in capsys.readouterr().out


def test_one_track_and_one_response(tmp_path, capsys):
    assert run(["cameras", "real-world"]) == 0
    assert "jpeg_quality = 80" in capsys.readouterr().out
    assert run(["cameras", "ntire2020-example-d40"]) == 0
    (tmp_path / "printed.csv").write_text(capsys.readouterr().out)
    assert open_response(tmp_path / "printed.csv").shape == (31, 3)
    assert run(["cameras", str(tmp_path / "printed.csv"), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["values"]) == 31
    assert run(["cameras", "nikkon"]) == 1
    assert "unknown response" in error_line(capsys)
