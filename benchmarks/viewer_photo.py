"""How long a large photo takes from the drop to its spectra, and what memory that needs.

    python benchmarks/viewer_photo.py [--size 3000x4000] [--photo FILE]

Drops a photo on the page in Debian's Chromium, headless, with the choices that are preset, and
keeps the pointer on one pixel. Without a file the photo is an invented one of that size, with noise
like a camera's. Prints the seconds until the first spectrum, until the spectrum of exactly that
pixel, and until all of it is there; the distinct colours; and the peak memory of the worker.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import psutil
from playwright.sync_api import sync_playwright

from respectra.viewer.server import BackgroundServer
from respectra.viewer.settings import Settings

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
READOUT = "document.querySelector('#readout').textContent"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="3000x4000", help="rows x columns")
    parser.add_argument("--photo", type=Path)
    options = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("needs Debian's chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        photo = options.photo or Path(folder) / "photo.jpg"
        if options.photo is None:
            cv2.imwrite(str(photo), invented(*(int(n) for n in options.size.split("x"))))
        server = BackgroundServer(Settings())
        try:
            with sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
                print(json.dumps(facts(photo) | drop(browser, server.url, photo), indent=2))
                browser.close()
        finally:
            server.close()


def drop(browser, url: str, photo: Path) -> dict[str, float]:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(280_000)
    page.goto(url)
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
