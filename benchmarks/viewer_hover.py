"""How long the viewer takes from a movement of the pointer to a spectrum that is drawn.

    python benchmarks/viewer_hover.py [--size 1200x1600]

Moves the pointer over a cube in Debian's Chromium, headless, and measures in the page: from the
event to the end of our own work, when the new spectrum is on its canvas (``respectra-hover``), and
to the frame after it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys

import numpy as np
from playwright.sync_api import sync_playwright

import respectra as rs

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="1200x1600", help="rows x columns")
    height, width = (int(n) for n in parser.parse_args().size.split("x"))
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("needs Debian's chromium: apt-get install chromium")
    rng = np.random.default_rng(1)
    mixture = rng.random((height, width, 6), dtype=np.float32)
    cube = rs.make_cube(mixture @ rng.random((6, 31), dtype=np.float32), np.arange(400, 701, 10))
    with rs.viewer.show(cube, open_browser=False) as view, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(view.url)
        page.wait_for_selector("body[data-stage=scene]")
        page.wait_for_timeout(3000)
        box = page.locator("#stage").bounding_box()
        sweep(page, box, 40)  # tiles arrive, code is compiled
        page.wait_for_timeout(1500)
        page.evaluate(FRAMES)
        sweep(page, box, 200)
        page.wait_for_timeout(300)
        own, frames = page.evaluate("[window.spectra_ms, window.frames_ms]")
        browser.close()
    print(json.dumps({"pixels": height * width, "spectrum_ms": summary(own),
                      "next_frame_ms": summary(frames)}, indent=2))  # fmt: skip


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


if __name__ == "__main__":
    main()
