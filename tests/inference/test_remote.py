"""Pictures and cubes in a bucket: what one machine writes, whole or not at all."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import respectra as rs
from respectra import storage, uploads
from respectra.cli import reconstruct as _reconstruct  # noqa: F401 - registers the command
from respectra.cli import run
from respectra.errors import ConfigError, FormatError, OutputError
from respectra.inference.folders import MANIFEST
from respectra.mirror import GrowingFile
from respectra.urls import Url, parse_place

pytest.importorskip("s3fs")
pytest.importorskip("moto")

from tests.inference import buckets

METHOD = ["--method", "default-classical"]


@pytest.fixture(scope="module")
def server() -> Iterator[buckets.Server]:
    yield from buckets.serve()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    folder = tmp_path / "in"
    folder.mkdir()
    for k in range(3):
        picture = rs.make_image(rng.random((12, 16, 3)), encoding="srgb", bits=8)
        rs.save_image(picture, folder / f"{k}.png")
    return folder


@pytest.fixture
def bucket(server: buckets.Server, pictures: Path) -> Iterator[str]:
    """Pictures in a bucket; gives the URL of the folder above them."""
    yield from buckets.filled(pictures, "flight/in")


def lines(url: str) -> list[dict[str, Any]]:
    with storage.local_copy(f"{url}/{MANIFEST}") as path:
        return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("ending", ["npz", "zarr", "hdr"])
def test_a_bucket_gets_the_bytes_of_one_machine(
    bucket: str, pictures: Path, tmp_path: Path, ending: str
):
    here, there = tmp_path / "cubes", f"{bucket}/cubes"
    options = [*METHOD, "--format", ending]
    assert run(["reconstruct", str(pictures), "-o", str(here), *options]) == 0
    assert run(["reconstruct", f"{bucket}/in/*.png", "-o", there, *options]) == 0
    storage.fetch_folder(Url.parse(there), tmp_path / "back")
    expected = {p.relative_to(here): p.read_bytes() for p in files_of(here) if p.name != MANIFEST}
    found = {p.relative_to(tmp_path / "back"): p.read_bytes() for p in files_of(tmp_path / "back")}
    del found[Path(MANIFEST)]
    assert found == expected
    assert [e["status"] for e in lines(there)].count("done") == 3
    assert {e["input"] for e in lines(there)} == {f"{bucket}/in/{k}.png" for k in range(3)}
    cube = rs.open_cube(f"{there}/1.{ending}")
    np.testing.assert_array_equal(cube, rs.open_cube(here / f"1.{ending}"))


def files_of(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")]


def test_a_run_is_taken_up(bucket: str, capsys: pytest.CaptureFixture[str]):
    files = buckets.files()
    files.pipe_file("flight/in/1.png", b"no picture")
    command = ["reconstruct", f"{bucket}/in", "-o", f"{bucket}/cubes", *METHOD, "--json"]
    assert run(command) == 1
    found = json.loads(capsys.readouterr().out)["results"]
    assert {r["image"]: r["status"] for r in found} == {
        f"{bucket}/in/0.png": "done",
        f"{bucket}/in/1.png": "failed",
        f"{bucket}/in/2.png": "done",
    }
    assert f"{bucket}/in/1.png" in next(r["error"] for r in found if r["status"] == "failed")
    files.cp_file("flight/in/0.png", "flight/in/1.png")
    files.rm_file("flight/cubes/2.zarr/zarr.json")  # an upload that did not come to its end
    with pytest.raises(FormatError):
        rs.open_cube(f"{bucket}/cubes/2.zarr")
    assert run(command) == 0
    found = json.loads(capsys.readouterr().out)["results"]
    assert [r["status"] for r in found] == ["skipped", "done", "done"]
    assert rs.open_cube(f"{bucket}/cubes/2.zarr").shape == (12, 16, 31)
    assert not files.exists("flight/cubes/.manifest")


def test_what_a_killed_run_left_of_its_manifest_is_read(bucket: str, monkeypatch: Any, capsys: Any):
    command = ["reconstruct", f"{bucket}/in", "-o", f"{bucket}/cubes", *METHOD, "--json"]
    monkeypatch.setattr(GrowingFile, "end", lambda self: None)
    assert run(command) == 0
    files = buckets.files()
    assert not files.exists(f"flight/cubes/{MANIFEST}")
    assert len(files.ls("flight/cubes/.manifest")) == 3
    monkeypatch.undo()
    capsys.readouterr()
    assert run(command) == 0
    found = json.loads(capsys.readouterr().out)["results"]
    assert [r["status"] for r in found] == ["skipped"] * 3
    assert [e["status"] for e in lines(f"{bucket}/cubes")].count("done") == 3


@pytest.mark.parametrize(
    ("manifest", "pieces", "whole"),
    [
        (b"", {0: b"a\n", 2: b"b\n"}, b"a\nb\n"),
        (b"a\n", {0: b"a\n", 2: b""}, b"a\n"),
        (b"a\n", {2: b"b\ncu"}, b"a\nb\n"),
        (b"a\ncu", {}, b"a\n"),
        (b"cut", {}, b""),
    ],
)
def test_a_manifest_goes_on_after_its_last_whole_line(
    manifest: bytes, pieces: dict[int, bytes], whole: bytes, tmp_path: Path
):
    import fsspec

    files = fsspec.filesystem("memory")
    files.store.clear()
    if manifest:
        files.pipe_file(f"/cubes/{MANIFEST}", manifest)
    for start, text in pieces.items():
        files.pipe_file(f"/cubes/.manifest/{start:015d}.jsonl", text)
    files.pipe_file("/cubes/.manifest/\N{SUPERSCRIPT TWO}.jsonl", b"of somebody else")
    for more in (b"", b"next\n", b"last\n"):
        file = GrowingFile(
            tmp_path / f"{len(whole)}.jsonl", parse_place(f"memory://cubes/{MANIFEST}")
        )
        file.begin()
        assert (file.path.read_bytes() if file.path.exists() else b"") == whole
        file.path.write_bytes(whole + more)
        file.sync()
        if not more:
            file.end()
        whole += more
    files.store.clear()


def test_a_second_run_into_the_same_place_ends(bucket: str, tmp_path: Path):
    goal = parse_place(f"{bucket}/cubes/{MANIFEST}")
    one, other = (GrowingFile(tmp_path / name, goal) for name in ("one", "other"))
    for file in (one, other):
        file.begin()
        file.path.write_text("{}\n")
    one.sync()
    with pytest.raises(OutputError, match="another run"):
        other.sync()


def test_single_pictures(bucket: str, pictures: Path, tmp_path: Path):
    one = ["reconstruct", f"{bucket}/in/0.png", *METHOD, "-o"]
    assert run([*one, str(tmp_path / "0.npz")]) == 0
    assert run([*one, f"{bucket}/one.npz"]) == 0
    assert run([*one, f"{bucket}/one.npz"]) == 1
    assert run([*one, f"{bucket}/one.npz", "--overwrite"]) == 0
    files = buckets.files()
    assert files.cat_file("flight/one.npz") == (tmp_path / "0.npz").read_bytes()
    assert run(["reconstruct", str(pictures / "0.png"), *METHOD, "-o", f"{bucket}/two.npz"]) == 0
    assert files.cat_file("flight/two.npz") == files.cat_file("flight/one.npz")
    np.testing.assert_array_equal(
        rs.open_image(f"{bucket}/in/0.png"), rs.open_image(pictures / "0.png")
    )


def test_a_server_that_stops_is_said_and_the_same_command_completes(
    server: buckets.Server, bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    command = ["reconstruct", f"{bucket}/in", "-o", f"{bucket}/cubes", *METHOD, "--format", "npz"]
    server.stop()
    buckets.forget()
    try:
        assert run(command) == 1
        assert "error: s3://flight/in" in capsys.readouterr().err
    finally:
        server.start()
        buckets.forget()
    assert run(command) == 0
    assert len(buckets.files().glob("flight/cubes/*.npz")) == 3


@contextlib.contextmanager
def stopped(server: buckets.Server) -> Iterator[None]:
    server.stop()
    buckets.forget()
    try:
        yield
    finally:
        server.start()
        buckets.forget()


def test_a_server_that_stops_in_the_middle(
    server: buckets.Server, bucket: str, monkeypatch: Any, capsys: Any
):
    done: list[str] = []
    put = uploads.put_outputs
    stack = contextlib.ExitStack()

    def put_and_stop(folder: Path, url: Url, *, first: Path) -> None:
        if len(done) == 1:
            stack.enter_context(stopped(server))
        done.append(str(url))
        put(folder, url, first=first)

    monkeypatch.setattr(uploads, "put_outputs", put_and_stop)
    command = ["reconstruct", f"{bucket}/in", "-o", f"{bucket}/cubes", *METHOD]
    with stack:
        assert run(command) == 1
    assert f"cannot write {bucket}/cubes" in capsys.readouterr().err
    for name in ("1", "2"):
        with pytest.raises(FormatError):
            rs.open_cube(f"{bucket}/cubes/{name}.zarr")
    monkeypatch.undo()
    buckets.forget()
    assert run(command) == 0
    assert rs.open_cube(f"{bucket}/cubes/1.zarr").shape == (12, 16, 31)


def test_what_is_not_there_is_said(bucket: str, monkeypatch: Any, tmp_path: Path, capsys: Any):
    out = ["-o", str(tmp_path / "out"), *METHOD]
    assert run(["reconstruct", "s3://nowhere/in/*.png", *out]) == 1
    assert "error: s3://nowhere/in/*.png cannot be read" in capsys.readouterr().err
    assert run(["reconstruct", f"{bucket}/in", "-o", "s3://nowhere/cubes", *METHOD]) == 1
    assert "s3://nowhere/cubes" in capsys.readouterr().err
    assert run(["reconstruct", f"{bucket}/none.png", *out]) == 1
    assert "there is no such" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="cannot be reached"):
        rs.open_image("what://is/this.png")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    buckets.forget()
    assert run(["reconstruct", f"{bucket}/in", *out]) == 1
    assert "no credentials" in capsys.readouterr().err
    buckets.forget()


def test_workers_write_into_the_bucket_what_one_machine_writes(
    bucket: str, pictures: Path, tmp_path: Path
):
    here = tmp_path / "cubes"
    assert run(["reconstruct", str(pictures), "-o", str(here), *METHOD]) == 0
    command = ["reconstruct", f"{bucket}/in", "-o", f"{bucket}/cubes", *METHOD]
    assert run([*command, "--workers", "2"]) == 0
    storage.fetch_folder(Url.parse(f"{bucket}/cubes"), tmp_path / "back")
    for path in files_of(here):
        if path.name != MANIFEST:
            assert (tmp_path / "back" / path.relative_to(here)).read_bytes() == path.read_bytes()
    assert [e["status"] for e in lines(f"{bucket}/cubes")].count("done") == 3
