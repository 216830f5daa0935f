"""The train command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import respectra as rs
from respectra.cli import train as _  # noqa: F401  registers the command
from respectra.cli.app import run
from respectra.datasets.still_life import still_life

_SMALL = ["--preset", "tiny", "--steps", "2", "--set", "patches.size=16", "--set", "batch=2"]
_SMALL += ["--set", "patches.stride=16", "--set", "validation.floor=0.01", "--device", "cpu"]


@pytest.fixture(scope="module")
def cubes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cubes")
    for k in range(2):
        rs.save_cube(still_life(40, 40, seed=k), folder / f"scene{k}.npz")
    return folder


def test_a_network_is_trained_and_used(
    cubes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    arguments = ["train", "hscnn-r-clean", "--data", str(cubes), "-o", str(out), *_SMALL]
    assert run([*arguments, "--json"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result["step"] == 2
    assert "parameters; about" in captured.err
    assert rs.load(result["best"]).name == "hscnn-r"
    assert run(arguments) == 1
    assert "holds a run already" in capsys.readouterr().err
    assert run(["train", "--resume", "--data", str(cubes), "-o", str(out)]) == 0


def test_a_typo_is_one_line_with_the_name_that_was_meant(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = run(["train", "hscnn-r-clean", "--set", "optimizer.lrr=1", "--show"])
    assert code == 1
    assert "did you mean 'optimizer.lr'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hscnn-r-clean"], "needs --data"),
        ([], "name a recipe"),
        (["hscnn-r-clean", "--set", "batch"], "NAME=VALUE"),
        (["hscnn-r-clean", "--set", "batch=0", "--show"], "batch"),
        (["hscnn-clean"], "unknown recipe 'hscnn-clean'; did you mean"),
    ],
)
def test_wrong_command_lines_say_what_is_needed(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_recipes_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--list"]) == 0
    assert "awan-real-world" in capsys.readouterr().out.splitlines()
    assert run(["train", "awan-clean", "--show"]) == 0
    assert "method: awan" in capsys.readouterr().out
