"""What the service bears: clients that upload, wait, read tiles and spectra, and delete.

    python benchmarks/service_load.py --clients 32 --seconds 60

Prints what was served, queued and refused, latencies of reading, and the memory of the service and
its worker before and after.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cv2
import httpx
import numpy as np
import psutil

COMMAND = [sys.executable, "-c", "from respectra.cli import main; main()", "serve", "--port", "0"]
#: A busy machine may take long; nobody else waits so long.
PATIENCE_S = 600
BYTES = {"content-type": "application/octet-stream"}


@dataclass
class Tally:
    """What the clients met."""

    counts: Counter[str] = field(default_factory=Counter)
    latencies_s: dict[str, list[float]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, what: str, seconds: float | None = None) -> None:
        with self.lock:
            self.counts[what] += 1
            if seconds is not None:
                self.latencies_s.setdefault(what, []).append(seconds)


def picture(height: int = 192, width: int = 256) -> bytes:
    codes = np.random.default_rng().integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    return cv2.imencode(".png", np.kron(codes, np.ones((8, 8, 1), np.uint8)))[1].tobytes()


def client(url: str, goes_on: Callable[[], bool], tally: Tally) -> None:
    """One client, until the time is up."""
    with httpx.Client(base_url=url, timeout=PATIENCE_S) as http:
        while goes_on():
            try:
                once(http, goes_on, tally)
            except httpx.HTTPError as error:
                tally.add(f"broken ({type(error).__name__})")


def once(http: httpx.Client, goes_on: Callable[[], bool], tally: Tally) -> None:
    upload = timed(http, tally, "upload", "POST", "/api/uploads?name=a.png", content=picture(),
                   headers=BYTES)  # fmt: skip
    if upload is None:
        return
    job = timed(http, tally, "submit", "POST", "/api/jobs", json={"upload": upload.json()["id"]})
    if job is None:
        time.sleep(random.uniform(0.2, 1.0))
        return
    tally.add("queued")
    base = f"/api/jobs/{job.json()['id']}"
    while (state := http.get(base).json())["state"] in ("queued", "running"):
        if not goes_on():
            http.delete(base)
            tally.add("unfinished at the end")
            return
        time.sleep(0.1)
    tally.add(state["state"])
    if state["state"] != "done":
        return
    for _ in range(5):
        timed(http, tally, "read", "GET", f"{base}/recovered")
        timed(http, tally, "read", "GET", f"{base}/recovered/tiles/coefficients/0/0/0")
        y, x = random.randrange(192), random.randrange(256)
        timed(http, tally, "read", "GET", f"{base}/recovered/spectra?at={y},{x}")
    http.delete(base)


def timed(http: httpx.Client, tally: Tally, what: str, method: str, path: str, **more: object):
    start = time.perf_counter()
    answer = http.request(method, path, **more)
    if answer.status_code >= 400:
        tally.add(f"{what} refused ({answer.status_code})")
        return None
    tally.add(what, time.perf_counter() - start)
    return answer


def memory_mib(process: psutil.Process) -> dict[str, float]:
    """Memory that nobody else shares, of the service and of its worker."""
    workers = process.children(recursive=True)
    own = process.memory_full_info().uss / 2**20
    return {"service": own, "worker": sum(p.memory_full_info().uss for p in workers) / 2**20}


def measure(
    clients: int, seconds: float, warm_s: float = 30.0, settle_s: float = 32.0, least: int = 1
) -> dict[str, Any]:
    """Start a server, put it under load, and tell what happened.

    Memory is taken when nothing has been asked for ``settle_s``; the service tidies up meanwhile.
    However slow the machine, at least so many jobs (``least``) are done in either part.
    """
    server = subprocess.Popen(COMMAND, stderr=subprocess.PIPE, text=True)
    try:
        url = re.search(r"http://\S+", server.stderr.readline())[0]
        process = psutil.Process(server.pid)
        while httpx.get(f"{url}api/options", timeout=PATIENCE_S).status_code == 503:
            pass  # its worker gets ready
        # Memory is compared between two states of rest after load: the first load loads libraries
        # and starts the threads that requests are answered in.
        load(url, clients, warm_s, Tally(), least)
        before = rest(url, process, settle_s)
        tally = Tally()
        load(url, clients, seconds, tally, least)
        after = rest(url, process, settle_s)
    finally:
        server.terminate()
        server.wait(PATIENCE_S)
    latencies = {
        f"{what} p{share}": 1e3 * float(np.quantile(seconds_each, share / 100))
        for what, seconds_each in tally.latencies_s.items()
        for share in (50, 95)
    }
    return {
        "clients": clients,
        "seconds": seconds,
        "counts": dict(sorted(tally.counts.items())),
        "latencies_ms": latencies,
        "memory_before_mib": before,
        "memory_after_mib": after,
        "memory_ratio": sum(after.values()) / sum(before.values()),
    }


def load(url: str, clients: int, seconds: float, tally: Tally, least: int) -> None:
    until = time.monotonic() + seconds

    def goes_on() -> bool:
        return time.monotonic() < until or tally.counts["done"] < least

    threads = [threading.Thread(target=client, args=(url, goes_on, tally)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def rest(url: str, process: psutil.Process, settle_s: float) -> dict[str, float]:
    """Let the queue run empty, one job be done and read, so that all is loaded, then look."""
    with httpx.Client(base_url=url, timeout=PATIENCE_S) as http:
        upload = http.post("/api/uploads?name=a.png", content=picture(), headers=BYTES).json()
        job = http.post("/api/jobs", json={"upload": upload["id"]}).json()["id"]
        while http.get(f"/api/jobs/{job}").json()["state"] in ("queued", "running"):
            time.sleep(0.2)
        for what in (
            "",
            "/tiles/coefficients/0/0/0",
            "/spectra?at=1,1",
            "/rendering",
            "/preview.png",
        ):
            http.get(f"/api/jobs/{job}/recovered{what}").raise_for_status()
        http.delete(f"/api/jobs/{job}")
    time.sleep(settle_s)
    return memory_mib(process)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    print(json.dumps(measure(options.clients, options.seconds), indent=2))
