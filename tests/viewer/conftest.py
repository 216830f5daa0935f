"""A service over a temporary folder, and pictures small enough to be done in an instant."""

import asyncio
import io
import time

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("uvicorn", reason="needs the extra serve")

import httpx

from respectra.viewer.jobs import Jobs
from respectra.viewer.limits import Limits
from respectra.viewer.server import BackgroundServer
from respectra.viewer.service import Settings

BYTES = {"content-type": "application/octet-stream"}


def png(height=24, width=32, seed=3) -> bytes:
    codes = np.random.default_rng(seed).integers(30, 200, (height // 4, width // 4, 3), np.uint8)
    picture = np.kron(codes, np.ones((4, 4, 1), np.uint8))
    return cv2.imencode(".png", picture)[1].tobytes()


def npz(cube) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, cube=cube.values, wavelengths_nm=cube["wavelength"].values)
    return buffer.getvalue()


class Client(httpx.Client):
    """What a client of the service does, in one call each."""

    def upload(self, data: bytes, name: str = "photo.png") -> str:
        answer = self.post("/api/uploads", params={"name": name}, content=data, headers=BYTES)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def submit(self, **request) -> dict:
        answer = self.post("/api/jobs", json=request)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def wait(self, job: str, seconds: float = 400) -> dict:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            state = self.get(f"/api/jobs/{job}").json()
            if state["state"] in ("done", "failed", "cancelled"):
                return state
            time.sleep(0.05)
        raise AssertionError(f"not done after {seconds} s: {state}")

    def done(self, data: bytes, name: str = "photo.png", **request) -> dict:
        upload = self.upload(data, name)
        return self.wait(self.submit(upload=upload, **request)["id"])


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One server for the whole session: its worker takes seconds to get ready."""
    # It keeps what all tests bring: one of them may ask for what the first one uploaded.
    limits = Limits(upload_bytes=4 * 2**20, pixels=1_000_000, idle_s=60, queue=6, kept=10_000)
    background = BackgroundServer(
        Settings(folder=tmp_path_factory.mktemp("jobs") / "store", limits=limits)
    )
    yield background
    background.close()


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
    with Client(base_url=server.url, timeout=420) as client:
        yield client


@pytest.fixture
def service(server):
    return server.app.state.service


@pytest.fixture(scope="session")
def photo_job(server):
    """A photo whose spectra are recovered."""
    with Client(base_url=server.url, timeout=420) as client:
        state = client.done(png(), input="clean")
    assert state["state"] == "done", state
    return state
