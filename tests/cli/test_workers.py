"""Commands that share their work among workers write what one process writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import respectra as rs
from respectra.cli import cameras as _cameras  # noqa: F401 - registers the commands
from respectra.cli import data as _data  # noqa: F401
from respectra.cli import evaluate as _evaluate  # noqa: F401
from respectra.cli import run
from respectra.datasets.still_life import still_life

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[str]]:
    """Options that name a scheduler with two workers."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as local:
        yield ["--cluster", local.scheduler_address]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    for k in range(4):
        rs.save_cube(still_life(24, 32 + 4 * k, seed=k), folder / f"scene{k}.npz")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.mark.parametrize("command", ["simulate", "prepare", "synthesize"])
def test_files_are_those_of_one_process(
    cluster: list[str], scenes: Path, tmp_path: Path, command: str
):
    cubes = [str(path) for path in sorted(scenes.glob("*.npz"))]
    words = {
        "simulate": ["simulate", *cubes, "--track", "real-world"],
        "prepare": ["data", "prepare", str(scenes), "--split", "train=0.5,validation=0.5"],
        "synthesize": ["data", "synthesize", "-n", "3", "--size", "24x32"],
    }[command]
    for name, options in (("one", []), ("two", cluster)):
        assert run([*words, "-o", str(tmp_path / name), *options]) == 0
    assert len(files(tmp_path / "one")) >= 3
    assert files(tmp_path / "one") == files(tmp_path / "two")


def scores(folder: Path) -> list[dict[str, Any]]:
    """The rows, without what was measured with a clock."""
    rows = []
    for path in sorted(folder.rglob("journal/**/*.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            for name in ("seconds", "peak_memory_mib", "jobs", "seal"):
                row.pop(name, None)
            rows.append(row)
    return rows


def test_scores_are_those_of_one_process(cluster: list[str], scenes: Path, tmp_path: Path):
    words = ["evaluate", "pseudo-inverse", "--data", str(scenes), "--aux", "brightness-0.5"]
    words += ["--floor", "0.01", "--timing-runs", "0"]
    for name, options in (("one", []), ("two", cluster)):
        assert run([*words, "-o", str(tmp_path / name), *options]) == 0
    found = scores(tmp_path / "one")
    assert len(found) == 8
    assert found == scores(tmp_path / "two")
    assert run([*words, "-o", str(tmp_path / "two"), *cluster]) == 0
    assert scores(tmp_path / "two") == found


def test_one_bad_cube_does_not_stop_the_rest(
    cluster: list[str], scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    bad = tmp_path / "bad.npz"
    bad.write_bytes(b"no cube")
    words = ["simulate", str(bad), str(scenes / "scene0.npz"), "-o", str(tmp_path / "out")]
    assert run([*words, *cluster]) == 1
    assert "bad.npz" in capsys.readouterr().err
    assert (tmp_path / "out" / "scene0_clean.png").is_file()


def test_both_options_at_once_are_refused(scenes: Path, tmp_path: Path, capsys: Any):
    words = ["simulate", str(scenes / "scene0.npz"), "-o", str(tmp_path / "out")]
    assert run([*words, "--workers", "2", "--cluster", "tcp://here:1"]) == 1
    assert "exclude each other" in capsys.readouterr().err
