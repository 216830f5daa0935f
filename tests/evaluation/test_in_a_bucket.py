"""Scenes and evaluations in a bucket: the rows of one machine, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import respectra as rs
from respectra import storage, uploads
from respectra.cli import evaluate as _evaluate  # noqa: F401 - registers the commands
from respectra.cli import leaderboard as _report  # noqa: F401
from respectra.cli import run
from respectra.datasets.still_life import still_life
from respectra.errors import FormatError, OutputError
from respectra.evaluation import evaluate, load_results
from respectra.mirror import mirrored
from respectra.urls import Url

pytest.importorskip("s3fs")
pytest.importorskip("moto")
pytest.importorskip("distributed")

from tests.inference import buckets

METHODS = ["wiener", "--aux", "none", "--timing-runs", "0"]


@pytest.fixture(scope="module")
def server() -> Iterator[buckets.Server]:
    yield from buckets.serve()


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    for k in range(2):
        rs.save_cube(still_life(32, 34, seed=k), folder / f"scene{k}.npz")
    return folder


@pytest.fixture
def bucket(server: buckets.Server, scenes: Path) -> Iterator[str]:
    yield from buckets.filled(scenes, "flight/scenes")


def rows(where: str | Path) -> list[dict[str, Any]]:
    """Rows without what differs from run to run."""
    timed = ("seconds", "peak_memory_mib", "jobs")
    found = [row.as_dict() for row in load_results(str(where)).rows]
    return [{k: v for k, v in row.items() if k not in timed} for row in found]


def test_an_evaluation_in_a_bucket_is_that_of_one_machine(
    bucket: str, scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    here, there = tmp_path / "here", f"{bucket}/results"
    assert run(["evaluate", *METHODS, "--data", str(scenes), "-o", str(here)]) == 0
    command = ["evaluate", *METHODS, "--data", f"{bucket}/scenes", "-o", there]
    assert run([*command, "--workers", "2"]) == 0
    assert rows(there) == rows(here)
    names = {p.relative_to(here).as_posix() for p in here.rglob("*") if p.is_file()}
    names = {name for name in names if not name.startswith(".")}
    assert set(storage.listing(Url.parse(there))) == names
    assert f"open {there}/report.html" in capsys.readouterr().err
    page = buckets.files().cat_file("flight/results/report.html")
    assert len(page) > 0.9 * (here / "report.html").stat().st_size

    assert run(["evaluate", "pca", *METHODS[1:], "--data", f"{bucket}/scenes", "-o", there]) == 0
    assert {row["method"] for row in rows(there)} == {"wiener", "pca"}
    assert run(["leaderboard", there]) == 0
    assert "pca" in capsys.readouterr().out
    assert run(["report", there, "-o", str(tmp_path / "page.html")]) == 0


def test_a_run_that_stops_is_taken_up(
    bucket: str, server: buckets.Server, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
):
    there, put = f"{bucket}/results", uploads.put

    def put_and_stop(source: Path, url: Url) -> None:
        if url.name == "scene1.jsonl":
            server.stop()
            buckets.forget()
        put(source, url)

    monkeypatch.setattr(uploads, "put", put_and_stop)
    try:
        with pytest.raises(OutputError, match=f"{there}/journal"):
            evaluate("wiener", f"{bucket}/scenes", there, timing_runs=0)
    finally:
        server.start()
        buckets.forget()
    monkeypatch.undo()
    with pytest.raises(FormatError, match="no results"):
        load_results(there)
    journals = buckets.files().glob("flight/results/journal/main/clean/0/*")
    assert [Path(name).name for name in journals] == ["scene0.jsonl"]
    results = evaluate("wiener", f"{bucket}/scenes", there, timing_runs=0)
    assert {row.scene for row in results.rows} == {"scene0", "scene1"}
    assert len(rows(there)) == len(results.rows)
    assert run(["leaderboard", there]) == 0
    assert "wiener" in capsys.readouterr().out


def test_what_another_run_wrote_is_not_replaced(bucket: str):
    with mirrored(Url.parse(f"{bucket}/results")) as mirror:
        (mirror.folder / "protocol.json").write_text("{}")
        mirror.sync()
        mirror.sync()
        buckets.files().pipe_file("flight/results/protocol.json", b"other")
        (mirror.folder / "protocol.json").write_text("{} ")
        with pytest.raises(OutputError, match="another run"):
            mirror.sync()


def test_a_bucket_that_is_not_there_is_said_before_anything_is_scored(
    bucket: str, scenes: Path, capsys: pytest.CaptureFixture[str]
):
    command = ["evaluate", *METHODS, "--data"]
    assert run([*command, str(scenes), "-o", "s3://nowhere/results"]) == 1
    assert "s3://nowhere/results" in capsys.readouterr().err
    assert run([*command, "s3://nowhere/scenes", "-o", f"{bucket}/results"]) == 1
    assert "s3://nowhere/scenes" in capsys.readouterr().err


def test_scenes_that_a_worker_does_not_see_are_fetched_there(bucket: str, monkeypatch: Any):
    root = storage.local_folder(f"{bucket}/scenes")
    (copied,) = storage.copies_of([root / "scene0.npz"])
    assert copied == storage.Copied(root, f"{bucket}/scenes")
    assert copied.here() == root
    elsewhere = storage.Copied(Path("/nowhere/copies") / root.parent.name / "scenes", copied.url)
    assert elsewhere.here() == root
    buckets.files().pipe_file("flight/scenes/scene1.npz", b"something else")
    with pytest.raises(FormatError, match="has changed"):
        elsewhere.here()
