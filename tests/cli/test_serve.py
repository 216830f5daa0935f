"""serve, as a person at the terminal meets it."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("uvicorn", reason="needs the extra serve")

import httpx
from tests.viewer.conftest import BYTES, png

from respectra.cli import serve as _  # noqa: F401 - registers the command
from respectra.cli.app import run

COMMAND = [sys.executable, "-c", "from respectra.cli import main; main()", "serve", "--port", "0"]


class Started:
    """A server in a process of its own."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *options], stderr=subprocess.PIPE, text=True, env=os.environ
        )
        line = self.process.stderr.readline()
        self.url = re.search(r"http://\S+", line)[0]

    def stop(self, sign=signal.SIGTERM) -> int:
        self.process.send_signal(sign)
        self.process.stderr.close()
        return self.process.wait(20)


@pytest.mark.posix
@pytest.mark.slow
def test_a_server_killed_in_the_middle_of_a_job_leaves_no_half_result(tmp_path):
    folder = tmp_path / "kept"
    first = Started("--folder", str(folder))
    with httpx.Client(base_url=first.url, timeout=120) as client:
        small = client.post(
            "/api/uploads", params={"name": "a.png"}, content=png(), headers=BYTES
        ).json()["id"]
        done = client.post("/api/jobs", json={"upload": small}).json()["id"]
        with client.stream("GET", f"/api/jobs/{done}/events") as stream:
            assert '"done"' in stream.read().decode()
        large = client.post(
            "/api/uploads", params={"name": "b.png"}, content=png(2000, 3000), headers=BYTES
        ).json()["id"]
        half = client.post("/api/jobs", json={"upload": large}).json()["id"]
        while client.get(f"/api/jobs/{half}").json()["state"] == "queued":
            time.sleep(0.02)
        time.sleep(0.3)
    first.stop(signal.SIGKILL)
    second = Started("--folder", str(folder))
    try:
        with httpx.Client(base_url=second.url, timeout=60) as client:
            assert client.get(f"/api/jobs/{done}").json()["state"] == "done"
            assert client.get(f"/api/jobs/{done}/recovered/spectra?at=1,1").status_code == 200
            assert client.get(f"/api/jobs/{half}").status_code == 404
        assert [p.name for p in (folder / "jobs").iterdir()] == [done]
        assert not list((folder / "uploads").iterdir())
    finally:
        second.stop()


def test_other_addresses_need_a_token(tmp_path):
    started = Started("--host", "0.0.0.0")
    try:
        match = re.fullmatch(r"(http://127.0.0.1:\d+/)\?token=([\w-]{20,})", started.url)
        assert match
        bare, token = match.groups()
        assert httpx.get(f"{bare}api/openapi.json").status_code == 401
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{bare}api/openapi.json", headers=headers).status_code == 200
    finally:
        started.stop()


def test_a_port_in_use_is_one_clear_line(capsys):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert run(["serve", "--port", port]) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "choose another port" in errors[0]


def test_a_missing_weights_file_is_one_clear_line(capsys):
    assert run(["serve", "--weights", str(Path("none.safetensors"))]) == 1
    assert "there is no weights file" in capsys.readouterr().err
