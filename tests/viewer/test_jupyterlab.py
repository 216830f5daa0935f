"""rs.viewer.show as the value of a cell, in a real JupyterLab in a real browser."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys

import pytest
from tests.viewer.conftest import PATIENCE_S, wait_until
from tests.viewer.test_browser import CHROMIUM, browser  # noqa: F401

LAB = all(importlib.util.find_spec(name) for name in ("jupyterlab", "ipykernel"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not LAB, reason="needs jupyterlab and ipykernel: pip install jupyterlab"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
]

CELL = """import numpy as np, respectra as rs
cube = rs.make_cube(np.full((24, 32, 31), 0.25), np.arange(400, 701, 10))
rs.viewer.show(cube)"""


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

    def address():
        if process.poll() is not None:
            pytest.skip("JupyterLab does not start here")
        for file in runtime.glob("jpserver-*.json"):
            with contextlib.suppress(ValueError):  # it is being written
                return json.loads(file.read_text())["url"]

    try:
        yield wait_until(address)
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_a_cell_shows_the_page_and_its_spectra(lab, browser):  # noqa: F811
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(PATIENCE_S * 1000)
    page.goto(f"{lab}lab/tree/look.ipynb")
    page.locator(".jp-Notebook .jp-CodeCell").wait_for()
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
    prompt = page.locator(".jp-InputPrompt").first

    def is_run():  # a kernel that starts hears nothing
        page.click(".jp-CodeCell .cm-content")
        page.keyboard.press("Control+Enter")
        page.wait_for_timeout(2000)
        return prompt.inner_text().strip() not in ("[ ]:", "")

    wait_until(is_run)
    frame = page.frame_locator("iframe[title='Respectra viewer']")

    def is_read():  # run twice, the cell has another page
        frame.locator("body[data-stage=scene]").wait_for()
        stage = frame.locator("#stage")
        if (box := stage.bounding_box()) is None:  # the page before is going
            return False
        for shift in (0, 5):  # a pointer that stays where it was tells nothing
            stage.hover(position={"x": box["width"] / 2 + shift, "y": box["height"] / 2})
        page.wait_for_timeout(200)
        return "peak 0.25" in frame.locator("#readout").inner_text()

    wait_until(is_read)
    page.close()
