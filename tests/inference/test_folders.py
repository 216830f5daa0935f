"""Many pictures: what is done is done once, and a failure is one picture's."""

import dataclasses
import json
import os

import cv2
import numpy as np
import pytest

import respectra as rs
from respectra.errors import DataError, FormatError, OutputError
from respectra.inference.folders import MANIFEST, run_jobs
from respectra.inference.jobs import Job, cube_files, find_inputs


@pytest.fixture(scope="module")
def linear():
    return rs.load("pseudo-inverse")


@pytest.fixture
def jobs(tmp_path, rng):
    made = []
    for name in "abc":
        source = tmp_path / f"{name}.png"
        cv2.imwrite(str(source), rng.integers(0, 255, (4, 5, 3), dtype=np.uint8))
        made.append(Job(source, tmp_path / "out" / f"{name}.npz", "clean"))
    return made


def save(reconstructor, source, target, kind):
    rs.save_cube(reconstructor(rs.open_image(source)), target, overwrite=True)
    return {"seen": True}


def statuses(jobs, reconstructor, work=save, **options):
    out = jobs[0].target.parent
    return [o.status for o in run_jobs(jobs, out, lambda *_: reconstructor, work, **options)]


def test_what_is_done_is_skipped_while_input_and_method_agree(jobs, linear):
    assert statuses(jobs, linear) == ["done"] * 3
    assert statuses(jobs, linear) == ["skipped"] * 3
    assert statuses(jobs, linear, overwrite=True) == ["done"] * 3
    jobs[1].source.write_bytes(jobs[0].source.read_bytes())
    jobs[2].target.unlink()
    assert statuses(jobs, linear) == ["skipped", "failed", "done"]
    assert statuses(jobs, rs.load("wiener")) == ["failed"] * 3
    assert statuses(jobs, linear, options={"tile": 3}) == ["failed"] * 3


def test_the_manifest_says_what_was_done(jobs, linear):
    statuses(jobs, linear)
    lines = (jobs[0].target.parent / MANIFEST).read_text().splitlines()
    done = [e for e in map(json.loads, lines) if e["status"] == "done"]
    assert [entry["output"] for entry in done] == ["a.npz", "b.npz", "c.npz"]
    assert done[0]["method"] == "pseudo-inverse"
    assert done[0]["weights"] == linear.signature()
    assert len(done[0]["sha256"]) == 64
    assert done[0]["seen"]


def test_a_run_killed_after_its_cube_and_before_its_line_counts_as_done(jobs, linear):
    statuses(jobs, linear)
    path = jobs[0].target.parent / MANIFEST
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + '\n{"output": "c.np')
    assert statuses(jobs, linear) == ["skipped"] * 3
    jobs[2].target.unlink()
    assert statuses(jobs, linear) == ["skipped", "skipped", "done"]


@pytest.mark.parametrize("suffix", ["bip", "hdr"])
@pytest.mark.parametrize("missing", ["hdr", "data"])
@pytest.mark.parametrize("ended", [False, True])
def test_a_part_of_a_cube_is_not_the_cube(jobs, linear, suffix, missing, ended):
    jobs = [dataclasses.replace(job, target=job.target.with_suffix(f".{suffix}")) for job in jobs]
    statuses(jobs, linear)
    header, data = cube_files(jobs[2].target)
    whole = header.read_bytes(), data.read_bytes()
    (header if missing == "hdr" else data).unlink()
    manifest = jobs[0].target.parent / MANIFEST
    if not ended:  # killed before the last line
        manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[:-1]))

    def work(reconstructor, source, target, kind):
        rs.save_cube(reconstructor(rs.open_image(source)), target)
        return {}

    assert statuses(jobs, linear, work) == ["skipped", "skipped", "done"]
    assert (header.read_bytes(), data.read_bytes()) == whole


def test_two_runs_do_not_write_into_one_folder(jobs, linear):
    out = jobs[0].target.parent

    def work(reconstructor, source, *rest):
        with pytest.raises(OutputError, match=r"out is being written by this process"):
            statuses(jobs, linear)
        return save(reconstructor, source, *rest)

    assert statuses(jobs, linear, work) == ["done"] * 3
    assert sorted(path.name for path in out.iterdir()) == ["a.npz", "b.npz", "c.npz", MANIFEST]


def test_an_edited_manifest_is_an_error(jobs, linear):
    statuses(jobs, linear)
    path = jobs[0].target.parent / MANIFEST
    path.write_text(path.read_text().replace('"seen": true', '"seen": false'))
    with pytest.raises(FormatError, match=r"manifest.jsonl: line 2 is not as it was written"):
        statuses(jobs, linear)


def test_a_failure_is_told_and_the_rest_is_done(jobs, linear):
    def work(reconstructor, source, *rest):
        if source.stem == "b":
            raise DataError("b is bad")
        return save(reconstructor, source, *rest)

    assert statuses(jobs, linear, work) == ["done", "failed", "done"]
    assert statuses(jobs, linear) == ["skipped", "done", "skipped"]
    with pytest.raises(DataError, match="b is bad"):
        statuses(jobs, linear, work, fail_fast=True, overwrite=True)


def test_a_full_disk_ends_the_run(jobs, linear):
    def work(reconstructor, source, *rest):
        if source.stem == "b":
            raise OutputError("cannot write") from OSError(28, "No space left on device")
        return save(reconstructor, source, *rest)

    with pytest.raises(OutputError, match="cannot write"):
        statuses(jobs, linear, work)
    assert statuses(jobs, linear) == ["skipped", "done", "done"]


def test_a_vanished_output_folder_ends_the_run_and_is_not_made_again(jobs, linear, tmp_path):
    out, gone = tmp_path / "out", tmp_path / "gone"

    def work(reconstructor, source, *rest):
        done = save(reconstructor, source, *rest)
        if source.stem == "b":
            out.rename(gone)
        return done

    with pytest.raises(OutputError, match=r"manifest.*what is done is kept"):
        statuses(jobs, linear, work)
    assert not out.exists()
    assert (gone / "b.npz").exists()
    gone.rename(out)
    assert statuses(jobs, linear) == ["skipped", "skipped", "done"]


def test_inputs_of_folders_patterns_and_files(tmp_path):
    for name in ("x/b.PNG", "x/a.jpg", "x/.c.png", "x/d.txt", "x/e.mp4", "x/y/f.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    places = [str(place) for _, place in find_inputs([tmp_path / "x"])]
    assert places == ["a.jpg", "b.PNG", "e.mp4"]
    places = [str(place) for _, place in find_inputs([f"{tmp_path}/x/**/*"])]
    assert sorted(places) == ["a.jpg", "b.PNG", "e.mp4", os.path.join("y", "f.tif")]  # noqa: PTH118
    assert find_inputs([tmp_path / "q.png"]) == [(tmp_path / "q.png", type(tmp_path)("q.png"))]


def test_a_folder_by_url_is_taken_up_and_named(jobs, linear):
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").store.clear()

    def run(method):
        folder, options = jobs[0].source.parent, {"kind": "clean", "suffix": "npz"}
        return rs.reconstruct_files(folder, "memory://cubes", method, **options)

    assert [outcome.status for outcome in run(linear)] == ["done"] * 3
    assert [outcome.status for outcome in run(linear)] == ["skipped"] * 3
    (first, *_) = run(rs.load("wiener"))
    assert str(first.job.target) == "memory://cubes/a.npz"
    assert first.error.startswith("memory://cubes/a.npz exists already, not of this input")
    fsspec.filesystem("memory").store.clear()
