"""A server that is killed in the middle of a job, and started again over the same folder."""

import re
import subprocess
import sys
import time

import psutil
from tests.viewer.conftest import Client, png

COMMAND = [sys.executable, "-c", "from respectra.cli import main; main()", "serve", "--port", "0"]


def start(folder):
    command = [*COMMAND, "--folder", str(folder)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    return server, re.search(r"http://\S+/", server.stderr.readline())[0]


def test_no_half_results_are_left(tmp_path):
    server, url = start(tmp_path)
    with Client(base_url=url, timeout=420) as client:
        done = client.done(png(), input="clean")["id"]
        job = client.submit(upload=client.upload(png(2000, 3000)))["id"]
        while not client.get(f"/api/jobs/{job}").json()["viewable"]:
            time.sleep(0.05)
        workers = psutil.Process(server.pid).children()
    assert list((tmp_path / "jobs").glob(f".{job}.*"))
    server.kill()
    server.wait()
    assert not psutil.wait_procs(workers, timeout=20)[1]  # nobody listens to them any more
    server, url = start(tmp_path)
    try:
        with Client(base_url=url, timeout=420) as client:
            assert client.get(f"/api/jobs/{job}").status_code == 404
            assert client.get(f"/api/jobs/{done}").json()["state"] == "done"
            assert client.get(f"/api/jobs/{done}/recovered/spectra?at=3,4").status_code == 200
        left = {path.name for path in (tmp_path / "jobs").iterdir()}
        assert left == {done}
        assert not list((tmp_path / "uploads").iterdir())
    finally:
        server.terminate()
        server.wait(30)
