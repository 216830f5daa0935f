"""How long the page takes from its address to its first paint, and until it can be used.

    python benchmarks/viewer_first_paint.py [--visits 9]

Debian's Chromium, headless, nothing cached; the server runs on the same machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys

import numpy as np
from playwright.sync_api import sync_playwright

from respectra.viewer.server import BackgroundServer
from respectra.viewer.settings import Settings

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
TIMES = """() => ({
  first_paint_ms: performance.getEntriesByName('first-contentful-paint')[0]?.startTime,
  ready_ms: performance.now(),
  bytes: performance.getEntries().reduce((sum, one) => sum + (one.transferSize ?? 0), 0),
})"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visits", type=int, default=9)
    visits = parser.parse_args().visits
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("needs Debian's chromium: apt-get install chromium")
    server = BackgroundServer(Settings())
    found = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        for _ in range(visits + 1):
            context = browser.new_context(viewport={"width": 1280, "height": 860})
            page = context.new_page()
            page.set_default_timeout(120_000)
            page.goto(server.url)
            page.wait_for_selector("body[data-ready]")
            page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
            found.append(page.evaluate(TIMES))
            context.close()
        browser.close()
    server.close()
    later = found[1:]  # the first visit waits for the worker to start
    print(json.dumps({"visits": visits, **{
        name: float(np.median([one[name] for one in later])) for name in later[0]
    }, "first_paint_ms_worst": max(one["first_paint_ms"] for one in later)}, indent=2))  # fmt: skip


if __name__ == "__main__":
    main()
