"""``respectra evaluate`` and ``respectra leaderboard``."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, make_cube, save_cube

run = importlib.import_module("respectra.cli.app").run
importlib.import_module("respectra.cli.evaluate")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenes")
    rng = np.random.default_rng(2)
    for name in ("a", "b"):
        values = rng.uniform(0.1, 0.8, (12, 16, 1)) * np.linspace(0.5, 1, 31)
        save_cube(make_cube(values, CHALLENGE_WAVELENGTHS_NM), root / f"{name}.npz")
    return root


@pytest.fixture(scope="module")
def report(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "report"
    command = ["evaluate", "pca", "pseudo-inverse", "--data", str(scenes), "-o", str(folder)]
    assert run([*command, "--track", "clean,real-world", "--timing-runs", "1"]) == 0
    return folder


def test_tables_are_printed(scenes, report, capsys):
    command = ["evaluate", "pca", "--data", str(scenes), "-o", str(report)]
    assert run([*command, "--track", "clean,real-world"]) == 0  # all is there already
    text = capsys.readouterr().out
    for part in ("1. Accuracy", "2. Cost", "3. Auxiliary tests, Clean", "Weighted", "× floor"):
        assert part in text


def test_json_holds_means_protocol_and_costs(scenes, report, capsys):
    command = ["evaluate", "pca", "--data", str(scenes), "-o", str(report), "--json"]
    assert run(command) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["protocol"]["options"]["tracks"] == ["clean", "real-world"]
    plain = [m for m in summary["means"] if m["test"] == "plain"]
    assert {m["method"] for m in plain} == {"pca", "pseudo-inverse"}
    assert all(m["mrae"] > 0 for m in plain)
    assert len(summary["costs"]) == 4


@pytest.mark.parametrize("form", ["terminal", "markdown", "html"])
def test_leaderboard_ranks_what_was_stored(report, capsys, form):
    assert run(["leaderboard", str(report), "--format", form, "--published"]) == 0
    text = capsys.readouterr().out
    assert "pseudo-inverse" in text
    assert "published on ARAD" in text


def test_leaderboard_goes_into_a_file(report, tmp_path):
    target = tmp_path / "board.html"
    assert run(["leaderboard", str(report), "--format", "html", "-o", str(target)]) == 0
    assert target.read_text().startswith("<!doctype html>")
    assert run(["leaderboard", str(report), "--format", "html", "-o", str(target)]) == 1


def test_guarantees_cameras_and_scenes_of_a_second_collection(scenes, tmp_path, capsys):
    np.savez(
        tmp_path / "cameras.npz",
        ssf=np.random.default_rng(3).uniform(0.1, 1, (3, 31, 3)),
        wavelengths=CHALLENGE_WAVELENGTHS_NM,
        names=np.array(["one", "two", "three"]),
    )
    command = ["evaluate", "pca", "--data", str(scenes), "-o", str(tmp_path / "r"), "--json"]
    command += ["--scenes", "a", "--out-of-scope-scenes", "b", "--timing-runs", "0"]
    command += ["--guarantees", "non-negative,consistent", "--aux", "physical,camera-02,camera-04"]
    assert run([*command, "--cameras", str(tmp_path / "cameras.npz")]) == 0
    summary = json.loads(capsys.readouterr().out)
    kept = summary["protocol"]["options"]["cameras"]
    assert [camera["name"] for camera in kept] == ["one", "two", "three"]
    found = {(m["method"], m["role"], m["test"]): m for m in summary["means"]}
    name = "pca+consistent+non-negative"
    assert found[name, "main", "physical"]["mismatching_pixels"] == 0
    assert found[name, "main", "camera-02"]["mrae"] > 0
    assert "mrae" not in found["pca", "main", "camera-04"]  # three cameras were given
    assert found["pca", "out-of-scope", "plain"]["mrae"] > 0
    page = (tmp_path / "r" / "report.html").read_text()
    assert "Guarantees" in page
    assert "one, two, three" in page


def test_cameras_lights_and_references_told(tmp_path, capsys):
    colours = np.random.default_rng(5).uniform(0.05, 0.4, (8, 9, 5))
    lobes = np.exp(-(((CHALLENGE_WAVELENGTHS_NM[:, None] - np.linspace(400, 700, 5)) / 60) ** 2))
    save_cube(make_cube(colours @ lobes.T, CHALLENGE_WAVELENGTHS_NM), tmp_path / "in" / "a.npz")
    np.savez(
        tmp_path / "cameras.npz",
        ssf=np.stack([lobes[:, [3, 2, 1]], lobes[:, [4, 2, 0]]]),
        wavelengths=CHALLENGE_WAVELENGTHS_NM,
        names=np.array(["one", "two"]),
    )
    command = ["evaluate", "default", "--data", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    command += ["--aux", "none", "--cameras", str(tmp_path / "cameras.npz")]
    command += ["--lights", "--references", "24", "--timing-runs", "0", "--json"]
    assert run(command) == 0
    found = {m["test"]: m.get("mrae") for m in json.loads(capsys.readouterr().out)["means"]}
    for number in (1, 2):
        blind, matrix, told = (
            found[f"{kind}-{number:02d}"] for kind in ("camera", "camera-matrix", "camera-told")
        )
        assert told < blind
        assert matrix < blind
    assert found["light-told-FL11"] < 0.5 * found["light-FL11"]
    assert found["references-24"] < found["plain"]


def test_blind_mode(scenes, tmp_path, capsys):
    folder = tmp_path / "submitted"
    hidden = tmp_path / "hidden"
    for name in ("a", "b"):
        cube = make_cube(np.full((4, 6, 31), 0.5), CHALLENGE_WAVELENGTHS_NM)
        save_cube(cube, hidden / f"{name}.mat")
        save_cube(cube * np.float32(1.2), folder / f"{name}.mat")
    command = ["evaluate", "--truth", str(hidden), "--submitted", str(folder), "--aux", "none"]
    assert run([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mean"]["mrae"] == pytest.approx(0.2, rel=1e-5)
    (folder / "b.mat").unlink()
    assert run(command) == 1
    assert "b.mat: is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "."], "name a method"),
        (["pca"], "give the scenes with --data"),
        (["pca", "--data", "."], "-o FOLDER"),
        (["pca", "--aux", "shufle", "--data", ".", "-o", "x"], "did you mean 'shuffle'"),
        (["--truth", "."], "blind mode"),
        (["pca", "--references", "0", "--data", ".", "-o", "x"], "takes 1 to 4096; got 0"),
        (["pca", "--seed", "x", "--data", ".", "-o", "x"], "whole numbers"),
    ],
)
def test_a_wrong_command_line_says_what_to_do(arguments, message, capsys):
    assert run(["evaluate", *arguments]) == 1
    assert message in capsys.readouterr().err
