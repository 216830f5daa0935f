"""A service over a temporary folder, and pictures small enough to be done in an instant."""

import asyncio
import io
import threading
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("uvicorn", reason="needs the extra serve")

import httpx

from respectra.viewer.jobs import Jobs
from respectra.viewer.server import BackgroundServer
from respectra.viewer.settings import Limits, Settings

BYTES = {"content-type": "application/octet-stream"}
#: Nobody waits this long on a machine that has time; a busy one may need it.
PATIENCE_S = 400.0


def png(height=24, width=32, seed=3) -> bytes:
    codes = np.random.default_rng(seed).integers(30, 200, (height // 4, width // 4, 3), np.uint8)
    picture = np.kron(codes, np.ones((4, 4, 1), np.uint8))
    return cv2.imencode(".png", picture)[1].tobytes()


def npz(cube) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, cube=cube.values, wavelengths_nm=cube["wavelength"].values)
    return buffer.getvalue()


def wait_until(holds: Callable[[], Any], seconds: float = PATIENCE_S) -> Any:
    """Ask again and again until something holds, and give what was answered."""
    end = time.monotonic() + seconds
    while not (held := holds()):
        assert time.monotonic() < end, f"it does not hold after {seconds:g} s"
        time.sleep(0.02)
    return held


class Client(httpx.Client):
    """What a client of the service does, in one call each."""

    def __init__(self, **options: Any) -> None:
        # A connection for each request: none that is used again is just then closed as idle.
        once = httpx.Limits(max_keepalive_connections=0)
        super().__init__(timeout=PATIENCE_S, limits=once, **options)

    def upload(self, data: bytes, name: str = "photo.png") -> str:
        answer = self.post("/api/uploads", params={"name": name}, content=data, headers=BYTES)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def submit(self, **request: Any) -> dict:
        answer = self.post("/api/jobs", json=request)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def state(self, job: str) -> dict:
        answer = self.get(f"/api/jobs/{job}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wait(self, job: str) -> dict:
        """The last state of a job."""

        def ended() -> dict | None:
            state = self.state(job)
            return state if state["state"] in ("done", "failed", "cancelled") else None

        return wait_until(ended)

    def done(self, data: bytes, name: str = "photo.png", **request: Any) -> dict:
        upload = self.upload(data, name)
        return self.wait(self.submit(upload=upload, **request)["id"])


@pytest.fixture(scope="session")
def started(tmp_path_factory):
    """One server for the whole session: its worker takes seconds to get ready."""
    # Nothing is too late or too much for it, however slow the machine and however many the tests.
    limits = Limits(
        upload_bytes=4 * 2**20, pixels=1_000_000, queue=6, kept=10_000,
        idle_s=3600, job_s=3600, expire_s=1e6,
    )  # fmt: skip
    background = BackgroundServer(
        Settings(folder=tmp_path_factory.mktemp("jobs") / "store", limits=limits)
    )
    with Client(base_url=background.url) as client:
        wait_until(lambda: client.get("/api/options").status_code == 200)
    yield background
    background.close()


@pytest.fixture
def server(started):
    """The server, with nothing to do: what earlier tests left in its queue is gone."""
    jobs = started.app.state.service.jobs
    with Client(base_url=started.url) as client:
        for entry in list(jobs.entries.values()):
            if not entry.ended:
                client.delete(f"/api/jobs/{entry.id}")
    wait_until(lambda: all(entry.ended for entry in list(jobs.entries.values())))
    return started


@pytest.fixture(scope="session")
def impatient(tmp_path_factory):
    """A server that soon gives up on clients that send nothing; it has no worker."""

    async def rest(jobs):
        await asyncio.Event().wait()

    folder = tmp_path_factory.mktemp("impatient") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Jobs, "_work_forever", rest)
        background = BackgroundServer(Settings(folder=folder, limits=Limits(idle_s=0.6)))
    yield background
    background.close()


@pytest.fixture
def client(server):
    with Client(base_url=server.url) as client:
        yield client


@pytest.fixture
def service(server):
    return server.app.state.service


@pytest.fixture
def held(service, monkeypatch):
    """No job goes on before this is set."""
    go_on, do = threading.Event(), service.jobs._do

    async def later(entry):
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        if not entry.ended:
            await do(entry)

    monkeypatch.setattr(service.jobs, "_do", later)
    yield go_on
    go_on.set()


@pytest.fixture(scope="session")
def photo_job(started):
    """A photo whose spectra are recovered."""
    with Client(base_url=started.url) as client:
        state = client.done(png(), input="clean")
    assert state["state"] == "done", state
    return state
