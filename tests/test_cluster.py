"""Folders on two workers: the bytes of one process, also when a worker dies."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import respectra as rs
from respectra.cluster import (
    _PATIENCE_S,
    Cluster,
    _explained,
    _require_same_version,
    open_cluster,
)
from respectra.errors import ConfigError, RespectraError
from respectra.inference.folders import run_jobs
from respectra.inference.jobs import Job
from respectra.threads import for_blocks

pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with open_cluster(workers=2) as found:
        yield found


def save_npz(
    reconstructor: rs.Reconstructor, source: Path, target: Path, kind: str
) -> dict[str, Any]:
    rs.save_cube(reconstructor(rs.open_image(source, encoding="srgb")), target)
    return {}


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    folder = tmp_path / "in"
    folder.mkdir()
    for k in range(5):
        picture = rs.make_image(rng.random((12, 16, 3)), encoding="srgb", bits=8)
        rs.save_image(picture, folder / f"{k}.png")
    (folder / "2.png").write_bytes(b"no picture")
    return sorted(folder.iterdir())


def jobs(pictures: list[Path], out: Path) -> list[Job]:
    return [Job(path, out / f"{path.stem}.npz", "srgb") for path in pictures]


def test_workers_write_what_one_process_writes(
    cluster: Cluster, pictures: list[Path], tmp_path: Path
):
    rec = rs.load("default-classical")
    found = {}
    for name, helpers in (("one", None), ("two", cluster)):
        work = jobs(pictures, tmp_path / name)
        outcomes = list(run_jobs(work, tmp_path / name, lambda *_: rec, save_npz, cluster=helpers))
        found[name] = {o.job.source.name: o.status for o in outcomes}
        assert found[name].pop("2.png") == "failed"
        assert set(found[name].values()) == {"done"}
    for path in sorted((tmp_path / "one").glob("*.npz")):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    again = run_jobs(
        jobs(pictures, tmp_path / "two"),
        tmp_path / "two",
        lambda *_: rec,
        save_npz,
        cluster=cluster,
    )
    assert sorted(o.status for o in again) == ["failed", *["skipped"] * 4]


def die_once(path: str) -> str:
    if not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


@pytest.mark.posix
def test_a_job_whose_worker_is_killed_is_done_by_another(cluster: Cluster, tmp_path: Path):
    (found,) = cluster.run(die_once, [("a", (str(tmp_path / "died"),))])
    assert found == ("a", "done")


def fail(reason: str) -> None:
    raise ValueError(reason)


def test_what_a_job_raises_is_given_back(cluster: Cluster):
    results = dict(cluster.run(fail, [("a", ("no",)), ("b", ("never",))]))
    assert {str(error) for error in results.values()} == {"no", "never"}


def die(reason: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.posix
def test_a_job_that_kills_every_worker_says_what_to_do():
    import dask

    # One death is enough, where dask would see four.
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        open_cluster(workers=1) as one,
    ):
        ((label, error),) = one.run(die, [("a", ("no",))])
    assert label == "a"
    assert isinstance(error, RespectraError)
    assert "give each worker more" in str(error)


def test_other_errors_are_as_they_are():
    other = OSError("as it is")
    assert _explained(other) is other


def number_of(sent: list[int], index: int) -> int:
    return sent[index]


def test_very_many_jobs_travel_together_and_all_come_back(cluster: Cluster):
    sent = cluster.send(list(range(0, 1000, 2)))
    results = dict(cluster.run(number_of, ((k, (sent, k)) for k in range(500))))
    assert results == {k: 2 * k for k in range(500)}


def threads_of(count: int) -> int:
    seen: set[int] = set()
    for_blocks(lambda start, stop: seen.add(threading.get_ident()), count, 1)
    return len(seen)


def test_a_job_takes_one_thread(cluster: Cluster):
    assert dict(cluster.run(threads_of, [("a", (64,))])) == {"a": 1}


def test_a_scheduler_that_is_not_there_is_said_within_ten_seconds():
    assert _PATIENCE_S <= 10  # which is all that is waited for
    with (
        pytest.raises(ConfigError, match=r"no scheduler answers at tcp"),
        open_cluster(address="tcp://127.0.0.1:9"),
    ):
        pass
    with pytest.raises(ConfigError, match="either"), open_cluster():
        pass


@contextlib.contextmanager
def worker_where(folder: Path, code: str) -> Iterator[str]:
    """A scheduler with one worker in whose interpreter this code ran first; gives its address."""
    from distributed import LocalCluster

    (folder / "sitecustomize.py").write_text(code)
    path = os.pathsep.join([str(folder), os.environ["PYTHONPATH"]])
    with LocalCluster(n_workers=0, processes=True, dashboard_address=None) as local:
        address = local.scheduler_address
        command = [sys.executable, "-m", "distributed.cli.dask_worker", address]
        process = subprocess.Popen(
            [*command, "--no-nanny", "--no-dashboard", "--nthreads", "1"],
            env={**os.environ, "PYTHONPATH": path},
            stderr=subprocess.DEVNULL,
        )
        try:
            yield address
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import respectra\nrespectra.__version__ = '0.0.1'\n", "has version 0.0.1 of respectra"),
        ("import sys\nsys.modules['torch'] = None\n", "cannot import respectra"),
    ],
)
def test_a_worker_that_is_not_alike_is_refused(tmp_path: Path, code: str, message: str):
    with (
        worker_where(tmp_path, code) as address,
        pytest.raises(ConfigError, match=message),
        open_cluster(address=address),
    ):
        pass


class OtherWorkers:
    """A client whose workers say something else of themselves."""

    def __init__(self, said: object) -> None:
        self._said = said

    def wait_for_workers(self, count: int, timeout: float) -> None:
        pass

    def run(self, function: object, on_error: str) -> dict[str, object]:
        return {"tcp://here:1": rs.__version__, "tcp://there:1": self._said}


@pytest.mark.parametrize(
    ("said", "message"),
    [("0.0.1", "has version 0.0.1"), (None, "cannot import"), (OSError("x"), "cannot import")],
)
def test_workers_that_have_something_else_are_refused(said: object, message: str):
    with pytest.raises(ConfigError, match=rf"tcp://there:1 {message}"):
        _require_same_version(OtherWorkers(said))


def test_more_workers_than_there_is_memory_for_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("respectra.cluster.free_memory", lambda: 10**9)
    with pytest.raises(ConfigError, match=r"1000 workers take some 300 GB .*take at most 3"):
        open_cluster(workers=1000).__enter__()
