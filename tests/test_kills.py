"""Killed at a system call that touches the output, and run again. See ``benchmarks/kills.py``."""

import contextlib

import numpy as np
import pytest
import tifffile
from benchmarks import killing

import respectra as rs
from respectra.datasets import PrepareOptions, plan_store, prepare_store
from respectra.datasets.collections import open_collection
from respectra.datasets.store import open_store
from respectra.errors import FormatError, OutputError
from respectra.inference import reconstruct_file
from respectra.journal import Journal

pytestmark = pytest.mark.skipif(
    not killing.available(), reason="needs a system that lets a process be stopped at its calls"
)


def kills(work, out, restart, every=1):
    """Kill a function at its calls, one after the other; what happened stands in the folder."""
    restart()
    calls = killing.run(lambda: work() or 0, out, None).calls
    assert len(calls) >= 5
    for at in range(1, len(calls) + 1, every):
        for torn in (False, True) if calls[at - 1].startswith("write") else (False,):
            restart()
            assert killing.run(lambda: work() or 0, out, at, torn=torn).code == -9
            yield


def cube(value, height=3):
    values = np.full((height, 4, 5), value, np.float32)
    return rs.make_cube(values, np.arange(400, 450, 10))


@pytest.mark.parametrize(
    ("name", "every"), [("c.bil", 2), ("c.npz", 3), ("c.nc", 6), ("c.zarr", 12)]
)
def test_a_cube_is_the_old_or_the_new_one(tmp_path, name, every):
    path = tmp_path / "out" / name
    for _ in kills(
        lambda: rs.save_cube(cube(2), path, overwrite=True),
        path.parent,
        lambda: rs.save_cube(cube(1, height=6), path, overwrite=True),
        every,
    ):
        seen = rs.open_cube(path)
        assert (seen.sizes["y"], float(seen.values.max())) in ((6, 1.0), (3, 2.0))
        assert (seen.values == seen.values[0, 0, 0]).all()
        rs.save_cube(cube(3), path, overwrite=True)
        assert float(rs.open_cube(path).values.min()) == 3
        assert not list(path.parent.glob(".*"))


@pytest.mark.parametrize(("suffix", "every"), [("hdr", 23), ("zarr", 17)])
def test_a_stream_goes_on_from_every_step(tmp_path, rng, suffix, every):
    codes = rng.integers(1, 255, (40, 34, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "p.tif", codes, photometric="rgb", rowsperstrip=8)
    method = rs.load("pseudo-inverse", tile=24)
    expected = method(rs.open_image(tmp_path / "p.tif", encoding="srgb")).values
    path = tmp_path / "out" / f"c.{suffix}"

    def restart():
        rs.save_cube(cube(1), path, overwrite=True)

    def work():
        reconstruct_file(method, tmp_path / "p.tif", path, overwrite=True)

    for _ in kills(work, path.parent, restart, every):
        seen = rs.open_cube(path)
        assert seen.shape == (3, 4, 5) or np.allclose(seen.values, expected, atol=1e-6)
        work()
        np.testing.assert_allclose(rs.open_cube(path).values, expected, atol=1e-6)
        assert not list(path.parent.glob(".*"))


@pytest.mark.parametrize("old", [False, True])
def test_a_store_is_prepared_from_every_step(tmp_path, old):
    for k in range(2):
        rs.save_cube(cube(0.1 * (k + 1)), tmp_path / "scenes" / f"{k}.npz")
    parts = {"train": open_collection(tmp_path / "scenes")}
    plan = plan_store(parts)
    other = plan_store({"test": parts["train"]}, PrepareOptions(dtype="float16"))
    out = tmp_path / "store"
    prepare_store(plan, tmp_path / "whole")
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}

    def restart():
        for path in (*out.glob(".part/*"), *out.glob("*"), *out.glob(".*")):
            path.rmdir() if path.is_dir() else path.unlink()
        if old:
            prepare_store(other, out)

    for _ in kills(lambda: prepare_store(plan, out, overwrite=old), out, restart, 4):
        if old or any(out.glob("index.json")):
            store = open_store(out)
            store[store.splits[0]].verify()
            assert store.index.dtype == ("float16" if store.splits[0] == "test" else "float32")
        else:
            with pytest.raises(FormatError, match=r"no store|unfinished"):
                open_store(out)
        with contextlib.suppress(OutputError):  # it is whole already
            prepare_store(plan, out, overwrite=old)
        assert {path.name: path.read_bytes() for path in out.iterdir()} == whole


def test_a_journal_has_whole_lines_after_every_kill(tmp_path):
    path = tmp_path / "journal"

    def work():
        journal = Journal.resume(path, {"a": 1})
        if not journal.begun:
            journal.begin()
        for number in range(len(journal.records), 3):
            journal.append({"number": number})

    def restart():
        path.unlink(missing_ok=True)

    for _ in kills(work, tmp_path, restart):
        before = [record["number"] for record in Journal.resume(path, {"a": 1}).records]
        assert before == list(range(len(before)))
        work()
        assert [r["number"] for r in Journal.resume(path, {"a": 1}).records] == [0, 1, 2]


@pytest.mark.parametrize("scheme", ["mount", "oss"])
@pytest.mark.parametrize(("name", "every"), [("c.hdr", 2), ("c.zarr", 7)])
def test_what_is_put_by_url_is_whole_or_not_there(tmp_path, scheme, name, every):
    pytest.importorskip("fsspec")
    from benchmarks import mounts  # which needs it

    mounts.register(tmp_path)
    folder = tmp_path / "out"
    url = f"{scheme}://{folder}/{name}"
    for _ in kills(
        lambda: rs.save_cube(cube(2), url, overwrite=True),
        folder,
        lambda: rs.save_cube(cube(1, height=6), url, overwrite=True),
        every,
    ):
        with contextlib.suppress(FormatError):  # gone for a moment, its header first
            seen = rs.open_cube(url).values
            assert (seen.shape[0], seen.min(), seen.max()) in ((6, 1, 1), (3, 2, 2))
        rs.save_cube(cube(3), url, overwrite=True)
        assert float(rs.open_cube(url).values.min()) == 3
        assert not list(folder.rglob(".*"))
