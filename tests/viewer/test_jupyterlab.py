"""rs.viewer.show as the value of a cell, in a real JupyterLab in a real browser."""

import importlib.util
import json
import os
import subprocess
import sys
import time

import pytest
from tests.viewer.test_browser import CHROMIUM, FLAGS

LAB = all(importlib.util.find_spec(name) for name in ("jupyterlab", "ipykernel"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not LAB, reason="needs jupyterlab and ipykernel: pip install jupyterlab"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
]

CELL = """import numpy as np, respectra as rs
cube = rs.make_cube(np.full((24, 32, 31), 0.25), np.arange(400, 701, 10))
rs.viewer.show(cube)"""
PATIENCE_S = 240


@pytest.fixture
def lab(tmp_path):
    """The address of a JupyterLab whose folder holds one notebook of one cell."""
    cell = {"cell_type": "code", "id": "one", "metadata": {}, "outputs": [], "source": CELL}
    notebook = {
        "cells": [{**cell, "execution_count": None}],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "P", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "look.ipynb").write_text(json.dumps(notebook))
    runtime = tmp_path / "runtime"
    names = ("RUNTIME", "CONFIG", "DATA")
    own = {f"JUPYTER_{name}_DIR": str(tmp_path / name.lower()) for name in names}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--port=0", "--allow-root"]
    command += ["--IdentityProvider.token=", "--ServerApp.password=", "--ip=127.0.0.1"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path / "work",
        env={**os.environ, **own},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + PATIENCE_S
        while not (found := list(runtime.glob("jpserver-*.json"))):
            if process.poll() is not None:
                pytest.skip("JupyterLab does not start here")
            assert time.monotonic() < end, "JupyterLab did not start"
            time.sleep(0.1)
        yield json.loads(found[0].read_text())["url"]
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_a_cell_shows_the_page_and_its_spectra(lab):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(PATIENCE_S * 1000)
        page.goto(f"{lab}lab/tree/look.ipynb")
        page.locator(".jp-Notebook .jp-CodeCell").wait_for()
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        prompt = page.locator(".jp-InputPrompt").first
        end = time.monotonic() + PATIENCE_S
        while prompt.inner_text().strip() in ("[ ]:", ""):  # a kernel that starts hears nothing
            assert time.monotonic() < end, "the cell is not run"
            page.click(".jp-CodeCell .cm-content")
            page.keyboard.press("Control+Enter")
            page.wait_for_timeout(2000)
        frame = page.frame_locator("iframe[title='Respectra viewer']")
        frame.locator("body[data-stage=scene]").wait_for()
        stage = frame.locator("#stage")
        stage.hover()
        frame.locator("#readout.shown").wait_for()
        assert "peak 0.25" in frame.locator("#readout").inner_text()
        browser.close()
