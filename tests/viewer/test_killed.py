"""A server that is killed in the middle of a job, and started again over the same folder."""

import re
import subprocess
import sys
from contextlib import contextmanager

import psutil
from tests.viewer.conftest import PATIENCE_S, Client, png, wait_until

COMMAND = [sys.executable, "-c", "from respectra.cli import main; main()", "serve", "--port", "0"]


@contextmanager
def serving(*options):
    """The process of a server, and the address that it prints."""
    with subprocess.Popen([*COMMAND, *options], stderr=subprocess.PIPE, text=True) as process:
        try:
            addresses = (re.search(r"http://\S+", line) for line in process.stderr)
            yield process, next(found[0] for found in addresses if found)
        finally:
            process.terminate()


def test_no_half_results_are_left(tmp_path):
    with serving("--folder", str(tmp_path)) as (server, url), Client(base_url=url) as client:
        done = client.done(png(), input="clean")["id"]
        (worker,) = psutil.Process(server.pid).children()
        upload = client.upload(png(2000, 3000))

        def stopped_half_way():
            """A job whose worker stands still before its end."""
            job = client.submit(upload=upload)["id"]
            wait_until(lambda: client.state(job)["viewable"])
            worker.suspend()
            if list((tmp_path / "jobs").glob(f".{job}.*")):
                return job
            worker.resume()  # it was quicker; another job then

        half = wait_until(stopped_half_way)
        server.kill()
        server.wait()
        worker.resume()
        worker.wait(PATIENCE_S)  # nobody listens to it any more
    with serving("--folder", str(tmp_path)) as (server, url), Client(base_url=url) as client:
        left = {path.name for path in (tmp_path / "jobs").iterdir()}
        assert done in left
        for job in left:
            assert client.state(job)["state"] == "done"
            assert client.get(f"/api/jobs/{job}/recovered/spectra?at=3,4").status_code == 200
        # It is there to its last pixel where the worker was at its end when it was stopped.
        assert client.get(f"/api/jobs/{half}").status_code == (200 if half in left else 404)
        assert not list((tmp_path / "uploads").iterdir())
