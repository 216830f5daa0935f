"""How fast the viewer is, in Debian's Chromium, headless.

    python benchmarks/viewer.py hover [--size 1200x1600]
    python benchmarks/viewer.py photo [--size 3000x4000] [--photo FILE]

``hover`` moves the pointer over a cube and measures in the page: from the event to the end of our
own work, when the new spectrum is on its canvas (``respectra-hover``), and to the frame after it.

``photo`` drops a photo on the page with the choices that are preset and keeps the pointer on one
pixel. Without a file the photo is an invented one of that size, with noise like a camera's. Printed
are the seconds until the first spectrum, until the spectrum of exactly that pixel, and until all of
it is there; the distinct colours; and the peak memory of the worker.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import psutil
from playwright.sync_api import sync_playwright

import respectra as rs
from respectra.viewer.server import BackgroundServer
from respectra.viewer.settings import Settings

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
READOUT = "document.querySelector('#readout').textContent"
FRAMES = """
() => { window.frames_ms = []; window.spectra_ms = [];
  new PerformanceObserver((list) => { for (const { name, duration } of list.getEntries())
    if (name === 'respectra-hover') window.spectra_ms.push(duration);
  }).observe({ type: 'measure' });
  document.querySelector('#stage').addEventListener('pointermove', (event) => {
    requestAnimationFrame(() => requestAnimationFrame(() => {
      window.frames_ms.push(performance.now() - event.timeStamp); })); }); }
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("hover", "photo"))
    parser.add_argument("--size", help="rows x columns")
    parser.add_argument("--photo", type=Path)
    options = parser.parse_args()
    usual = {"hover": "1200x1600", "photo": "3000x4000"}[options.what]
    height, width = (int(n) for n in (options.size or usual).split("x"))
    found = hover(height, width) if options.what == "hover" else photo(options.photo, height, width)
    print(json.dumps(found, indent=2))


@contextlib.contextmanager
def opened_page(url: str) -> Iterator:
    """A page of Chromium at an address."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("needs Debian's chromium: apt-get install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(280_000)
        page.goto(url)
        yield page
        browser.close()


def hover(height: int, width: int) -> dict[str, object]:
    rng = np.random.default_rng(1)
    mixture = rng.random((height, width, 6), dtype=np.float32)
    cube = rs.make_cube(mixture @ rng.random((6, 31), dtype=np.float32), np.arange(400, 701, 10))
    with rs.viewer.show(cube, open_browser=False) as view, opened_page(view.url) as page:
        page.wait_for_selector("body[data-stage=scene]")
        page.wait_for_timeout(3000)
        box = page.locator("#stage").bounding_box()
        sweep(page, box, 40)  # tiles arrive, code is compiled
        page.wait_for_timeout(1500)
        page.evaluate(FRAMES)
        sweep(page, box, 200)
        page.wait_for_timeout(300)
        own, frames = page.evaluate("[window.spectra_ms, window.frames_ms]")
    return {"pixels": height * width, "spectrum_ms": summary(own), "next_frame_ms": summary(frames)}


def sweep(page, box, steps: int) -> None:
    for i in range(steps):
        share = i / steps
        page.mouse.move(box["x"] + box["width"] * (0.1 + 0.75 * share),
                        box["y"] + box["height"] * (0.5 + 0.3 * np.sin(9 * share)))  # fmt: skip


def summary(values: list[float]) -> dict[str, float]:
    return {
        "count": len(values),
        "median": float(np.median(values)),
        "p95": float(np.quantile(values, 0.95)),
    }


def photo(file: Path | None, height: int, width: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        dropped = file or Path(folder) / "photo.jpg"
        if file is None:
            cv2.imwrite(str(dropped), invented(height, width))
        server = BackgroundServer(Settings())
        try:
            with opened_page(server.url) as page:
                return facts(dropped) | drop(page, dropped)
        finally:
            server.close()


def drop(page, photo: Path) -> dict[str, float]:
    page.wait_for_selector("body[data-ready]")
    page.wait_for_timeout(5000)  # a person looks for the file; the worker warms up
    processes = psutil.Process().children()
    peak = Peak(next(p for p in processes if "respectra.viewer.worker" in p.cmdline()))
    start = time.perf_counter()
    page.set_input_files("#file", photo)
    page.wait_for_selector("body[data-stage=scene]")
    box = page.locator("#stage").bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.35 * box["height"])
    page.wait_for_function(f"() => {READOUT} !== ''")
    first = time.perf_counter() - start
    page.wait_for_function(f"() => !{READOUT}.includes('first look')")
    exact = time.perf_counter() - start
    page.wait_for_selector("#refine", state="hidden")
    whole = time.perf_counter() - start
    return {
        "first_spectrum_s": first,
        "spectrum_of_the_very_pixel_s": exact,
        "whole_photo_s": whole,
        "worker_peak_mib": peak.stop(),
    }


class Peak:
    """The largest private memory of a process while it is watched."""

    def __init__(self, process: psutil.Process) -> None:
        self._process, self._most, self._on = process, 0.0, True
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while self._on:
            self._most = max(self._most, self._process.memory_full_info().uss / 2**20)
            time.sleep(0.1)

    def stop(self) -> float:
        self._on = False
        self._thread.join()
        return self._most


def invented(height: int, width: int) -> np.ndarray:
    """Soft shapes in many colours, textures, and noise."""
    rng = np.random.default_rng(12)
    shapes = cv2.resize(rng.random((9, 12, 3), np.float32), (width, height), interpolation=3)
    texture = cv2.resize(rng.random((height // 8, width // 8), np.float32), (width, height))
    photo = 235.0 * np.clip(shapes, 0, 1) * (0.6 + 0.4 * texture[..., None])
    photo += rng.normal(0.0, 1.5, photo.shape).astype(np.float32)
    return np.clip(np.rint(photo), 0, 255).astype(np.uint8)


def facts(photo: Path) -> dict[str, object]:
    codes = cv2.imread(str(photo)).astype(np.int32)
    colours = (codes[..., 0] << 16) | (codes[..., 1] << 8) | codes[..., 2]
    return {"size": codes.shape[:2], "distinct_colours": len(np.unique(colours))}


if __name__ == "__main__":
    main()
