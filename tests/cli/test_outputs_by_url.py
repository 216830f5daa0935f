"""What simulate, data prepare and data synthesize put into a bucket: the bytes of one machine."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import respectra as rs
from respectra import storage, uploads
from respectra.cli import cameras as _cameras  # noqa: F401 - registers the commands
from respectra.cli import data as _data  # noqa: F401
from respectra.cli import run
from respectra.datasets.still_life import still_life
from respectra.datasets.store import INDEX
from respectra.errors import RespectraError
from respectra.methods import Contract
from respectra.training.recipe import DataRecipe
from respectra.training.source import open_scenes
from respectra.urls import Url

pytest.importorskip("s3fs")
pytest.importorskip("moto")
pytest.importorskip("distributed")

from tests.inference import buckets

COMMANDS = ("simulate", "prepare", "synthesize")


@pytest.fixture(scope="module")
def server() -> Iterator[buckets.Server]:
    yield from buckets.serve()


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    for k in range(3):
        rs.save_cube(still_life(16, 24, seed=k), folder / f"scene{k}.npz")
    return folder


@pytest.fixture
def bucket(server: buckets.Server, scenes: Path, tmp_path: Path, monkeypatch: Any) -> Iterator[str]:
    monkeypatch.setenv("RESPECTRA_CACHE", str(tmp_path / "cache"))
    yield from buckets.filled(scenes, "flight/scenes")


def words(command: str, scenes: str, output: str, *more: str) -> list[str]:
    if command == "simulate":
        found = [scenes] if "://" in scenes else [f"{scenes}/scene{k}.npz" for k in range(3)]
        return ["simulate", *found, "--track", "real-world", "-o", output, *more]
    if command == "prepare":
        split = ["--split", "train=0.7,validation=0.3"]
        return ["data", "prepare", scenes, "-o", output, *split, *more]
    return ["data", "synthesize", "-n", "3", "--size", "16x16", "-o", output, *more]


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def bytes_at(url: str, into: Path) -> dict[str, bytes]:
    storage.fetch_folder(Url.parse(url), into)
    return bytes_of(into)


@pytest.fixture(scope="module")
def cluster(server: buckets.Server) -> Iterator[list[str]]:
    """Options that name a scheduler with two workers, which know of the server."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as local:
        yield ["--cluster", local.scheduler_address]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_bucket_gets_the_bytes_of_one_machine(
    command: str, bucket: str, scenes: Path, tmp_path: Path, cluster: list[str]
):
    assert run(words(command, str(scenes), str(tmp_path / "here"))) == 0
    for name, options in (("one", []), ("two", cluster)):
        url = f"{bucket}/{command}-{name}"
        assert run(words(command, f"{bucket}/scenes", url, *options)) == 0
        there = bytes_at(url, tmp_path / name)
        here = bytes_of(tmp_path / "here")
        if command == "prepare":  # a copy of a folder by URL is named as the folder is
            del there[INDEX], here[INDEX]
        assert len(there) >= 2
        assert there == here


class Stopping:
    """Stops the server when the n-th file is put."""

    def __init__(self, server: buckets.Server, after: int) -> None:
        self.server, self.left, self._put = server, after, uploads.put

    def __call__(self, source: Path, url: Url) -> None:
        if self.left == 0:
            self.server.stop()
            buckets.forget()
        self.left -= 1
        self._put(source, url)


@contextlib.contextmanager
def stopping(server: buckets.Server, monkeypatch: Any, after: int) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(uploads, "put", Stopping(server, after))
        try:
            yield
        finally:
            server.start()
            buckets.forget()


@pytest.mark.parametrize(("command", "after"), [("simulate", 3), ("prepare", 1), ("synthesize", 1)])
def test_a_server_that_stops_in_the_middle(
    command: str,
    after: int,
    bucket: str,
    server: buckets.Server,
    scenes: Path,
    tmp_path: Path,
    monkeypatch: Any,
    capsys: pytest.CaptureFixture[str],
):
    assert run(words(command, str(scenes), str(tmp_path / "here"))) == 0
    expected = bytes_of(tmp_path / "here")
    command_line = words(command, str(scenes), f"{bucket}/out")
    with stopping(server, monkeypatch, after):
        assert run(command_line) == 1
    assert f"{bucket}/out" in capsys.readouterr().err
    half = bytes_at(f"{bucket}/out", tmp_path / "half")
    assert 0 < len(half) < len(expected)
    if command == "prepare":
        with pytest.raises(RespectraError):
            rs.datasets.open_store(tmp_path / "half")
    assert run(command_line) == 0
    assert bytes_at(f"{bucket}/out", tmp_path / "whole") == expected


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_not_there_is_said_first(
    command: str, bucket: str, scenes: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
):
    assert run(words(command, str(scenes), "s3://nowhere/out")) == 1
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error:")]
    assert "cannot write s3://nowhere" in line
    assert "bucket" in line
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    buckets.forget()
    assert run(words(command, str(scenes), f"{bucket}/out")) == 1
    assert "no credentials" in capsys.readouterr().err
    buckets.forget()


def test_a_store_is_not_replaced_unasked(
    bucket: str, scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    command = words("prepare", str(scenes), f"{bucket}/store")
    assert run(command) == 0
    assert run(command) == 1
    assert "holds files; choose another name or pass --overwrite" in capsys.readouterr().err
    other = ["data", "prepare", str(scenes), "-o", f"{bucket}/store", "--split", "train=1"]
    store = f"{bucket}/store"
    options = {"track": rs.get_track("clean"), "contract": Contract(), "seed": 0}
    assert len(open_scenes([store], DataRecipe(), **options).validation) == 1
    assert run([*other, "--overwrite"]) == 0
    there = bytes_at(f"{bucket}/store", tmp_path / "back")
    assert sorted(there) == [INDEX, "train.bin"]
    assert len(rs.datasets.open_store(f"{bucket}/store")["train"]) == 3
    assert run(["data", "prepare", str(scenes), "-o", f"{bucket}/scenes", "--overwrite"]) == 1
    assert "holds files; choose another name" in capsys.readouterr().err


def test_a_series_is_continued_and_another_refused(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    layers = ["--layers", f"{bucket}/layers", "--suffix", ".zarr"]
    command = ["data", "synthesize", "--size", "16x16", "-o", f"{bucket}/series", *layers]
    assert run([*command, "-n", "1"]) == 0
    before = buckets.files().info("flight/series/synthetic_00000.zarr/zarr.json")["LastModified"]
    assert run([*command, "-n", "2"]) == 0
    after = buckets.files().info("flight/series/synthetic_00000.zarr/zarr.json")["LastModified"]
    assert before == after
    assert rs.open_cube(f"{bucket}/layers/synthetic_00001_highlights.zarr").shape == (16, 16, 31)
    assert run([*command, "-n", "2", "--seed", "5"]) == 1
    assert "another seed or other options" in capsys.readouterr().err


def test_an_archive_is_rendered_into_memory(scenes: Path, tmp_path: Path):
    import fsspec

    with zipfile.ZipFile(tmp_path / "scenes.zip", "w") as archive:
        for path in scenes.iterdir():
            archive.write(path, path.name)
    output = f"memory://{tmp_path.name}"
    pattern = f"zip://*.npz::{tmp_path / 'scenes.zip'}"
    assert run(["simulate", pattern, "-o", output]) == 0
    for k in range(3):
        expected = rs.get_track("clean").render(rs.open_cube(scenes / f"scene{k}.npz"))
        there = rs.open_image(f"{output}/scene{k}_clean.png")
        np.testing.assert_array_equal(there, expected)
    fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)
