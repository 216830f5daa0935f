"""What keyboards and screen readers find, checked by axe-core, and what the page weighs."""

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from tests.viewer.conftest import png
from tests.viewer.test_browser import CHROMIUM, browser, choose, page, pins, screen  # noqa: F401

import respectra

AXE = "axe-core@4.10.3"
STATIC = Path(respectra.__file__).parent / "viewer" / "static"
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Debian's chromium: apt-get install chromium"
)


@pytest.fixture(scope="module")
def axe(tmp_path_factory) -> str:
    """The source of axe-core, from the npm registry."""
    folder = tmp_path_factory.mktemp("axe")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm, which fetches axe-core")
    command = [npm, "pack", AXE, "--pack-destination", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder)
    except subprocess.TimeoutExpired:
        pytest.skip("the npm registry does not answer")
    packed = list(folder.glob("*.tgz"))
    if done.returncode or not packed:
        pytest.skip(f"axe-core cannot be had: {done.stderr.strip()[-200:]}")
    with tarfile.open(packed[0]) as archive:
        source = archive.extractfile("package/axe.min.js")
        assert source is not None
        return source.read().decode()


def violations(page, axe):  # noqa: F811
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        (one["id"], node["target"], node["failureSummary"])
        for one in found["violations"]
        for node in one["nodes"]
    ]


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(page, axe, theme):  # noqa: F811
    page.emulate_media(reduced_motion="reduce")  # colours are judged, not what leads to them
    page.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
    assert violations(page, axe) == []
    page.click("#more summary")
    page.select_option("#first-light", "planck")
    page.select_option("#first-camera", "file")
    assert violations(page, axe) == []
    page.select_option("#first-light", "")
    page.select_option("#first-camera", "")
    choose(page, "a_clean.png", png())
    page.mouse.click(*screen(page, 10, 6))
    pins(page, 1)
    for view in ("band", "false", "light"):
        page.click(f"[data-view={view}]")
        assert violations(page, axe) == []
    for button, dialog in (
        ("#open-taken", "#taken"),
        ("#pins li button >> nth=0", "#known"),
        ("#open-compare", "#compare"),
        ("#open-export", "#export"),
        ("#open-help", "#help"),
    ):
        page.click(button)
        page.locator(f"{dialog}[open]").wait_for()
        assert violations(page, axe) == []
        page.click(f"{dialog} [value=close]")


def test_the_page_stays_light():
    own = sum(file.stat().st_size for file in (STATIC / "js").glob("*.js"))
    assert own < 100_000
    assert sum(file.stat().st_size for file in STATIC.rglob("*") if file.is_file()) < 400_000
