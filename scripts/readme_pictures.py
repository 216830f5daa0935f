"""Take the pictures of the README from the running software.

    python scripts/readme_pictures.py [--output docs/images] [NAME ...]

Names: page, photo-to-cube, relight, calibrate, train-and-score; all of them by default. Needs the
extras ``serve`` and ``dev``, and Debian's Chromium. Every picture is made of the example photo that
the page offers, or of synthetic scenes, so that anybody may show them.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

import respectra as rs
from respectra.datasets.still_life import still_life
from respectra.viewer.rendering import band_colours, rendering_matrix
from respectra.viewer.server import BackgroundServer
from respectra.viewer.settings import Settings

EXAMPLE = Path(rs.__file__).parent / "viewer" / "static" / "example.jpg"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
MOST_BYTES = 200_000
WAIT_MS = 120_000


@contextmanager
def browser_page(width: int, height: int) -> Iterator[Page]:
    """A page of a headless browser."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("needs Debian's chromium: apt-get install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(WAIT_MS)
        yield page
        browser.close()


def save(picture: bytes, path: Path) -> None:
    """As a PNG with as many colours as fit into the size that pages of code sites load quickly."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.save(path, optimize=True)
    for colours in (256, 160, 96):
        if path.stat().st_size <= MOST_BYTES:
            break
        few = image.quantize(colours, kmeans=2)
        image.quantize(palette=few, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)
        if path.stat().st_size > MOST_BYTES:
            few.save(path, optimize=True)
    print(f"{path}  {path.stat().st_size / 1000:.0f} kB")


def save_figure(figure: Any, path: Path) -> None:
    """The same for a figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, facecolor="white")
    plt.close(figure)
    save(buffer.getvalue(), path)


def take_page(path: Path) -> None:
    """The page with the example: three pins, and a spectrum under the pointer."""
    server = BackgroundServer(Settings())
    with browser_page(1120, 700) as page:
        page.goto(server.url)
        page.wait_for_selector("body[data-ready]")
        page.click("#example")
        page.wait_for_selector("body[data-stage=scene]")
        page.wait_for_selector("#refine", state="hidden")
        box = page.locator("#stage").bounding_box()
        assert box is not None
        scale = min((box["width"] - 16) / 640, (box["height"] - 16) / 480)

        def at(x: float, y: float) -> tuple[float, float]:
            left = box["x"] + box["width"] / 2 + (x - 320) * scale
            return left, box["y"] + box["height"] / 2 + (y - 240) * scale

        places = {"apple": (190, 300), "plum": (520, 300), "lime": (425, 330)}
        for number, (name, place) in enumerate(places.items()):
            page.mouse.click(*at(*place))
            page.locator("#pins li").nth(number).wait_for()
            page.fill(f"#pins li:nth-child({number + 1}) input[type=text]", name)
        page.evaluate("document.activeElement.blur()")
        page.mouse.move(*at(300, 290))
        page.wait_for_function("() => document.querySelector('#readout').textContent")
        page.wait_for_timeout(1500)  # toasts and tiles settle
        save(page.screenshot(), path)
    server.close()


def take_photo_to_cube(path: Path) -> None:
    """The photo, and some of the bands that are recovered from it."""
    image = rs.open_image(EXAMPLE, encoding="srgb")
    cube = rs.load()(image)
    grid = cube["wavelength"].values
    shown = [440, 480, 520, 560, 600, 660]
    figure = plt.figure(figsize=(10, 3.4), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.3, 2])
    photo = left.subplots()
    photo.imshow(image.values)
    photo.set_title("a photo: 3 numbers a pixel")
    photo.axis("off")
    right.suptitle(f"its cube: {grid.size} bands, {grid[0]:g} to {grid[-1]:g} nm")
    colours = np.array(band_colours(tuple(grid.tolist())))
    for axes, nm in zip(right.subplots(2, 3).flat, shown, strict=True):
        band = int(np.argmin(np.abs(grid - nm)))
        grey = np.clip(cube.values[:, :, band], 0, 1)[..., None]
        axes.imshow(rs.colour.encode_srgb(np.clip(grey * (0.35 + 0.65 * colours[band]), 0, 1)))
        axes.set_title(f"{nm} nm", fontsize=9)
        axes.axis("off")
    save_figure(figure, path)


def take_relight(path: Path) -> None:
    """The recovered reflectances under four lights, to an eye that stays adapted to daylight."""
    cube = rs.load()(rs.open_image(EXAMPLE, encoding="srgb"))
    lights = {"D65": "daylight", "A": "light bulb", "FL11": "fluorescent", "HP1": "sodium"}
    figure, axes = plt.subplots(1, 4, figsize=(12, 2.7), layout="constrained")
    for axis, (light, name) in zip(axes, lights.items(), strict=True):
        matrix = rendering_matrix(
            cube["wavelength"].values, illuminant=light, scene="E", adapt=False
        )
        linear = np.clip(cube.values @ matrix.astype(np.float32), 0, 1)
        axis.imshow(rs.colour.encode_srgb(linear))
        axis.set_title(f"{name} ({light})")
        axis.axis("off")
    save_figure(figure, path)


def take_calibrate(path: Path) -> None:
    """A chart in a photograph, and the response that is fitted to it, beside the true one.

    The photograph is rendered: a chart as a measured camera sees it, not developed, with noise and
    a light that falls off to one side.
    """
    from respectra.cameras.calibration import calibrate, open_chart
    from respectra.cameras.response_prior import GRID_NM

    chart = open_chart("classic24")
    capture = rs.Capture(camera="ampas-nikon-d700", light="D50", white=(0.5, 0.9, 0.7))
    colours = (chart.spectra @ capture.effective_response(GRID_NM)).reshape(4, 6, 3)
    patches = np.full((60 * 4 + 12, 60 * 6 + 12, 3), 0.02)
    for row, column in np.ndindex(4, 6):
        top, left = 12 + 60 * row, 12 + 60 * column
        patches[top : top + 48, left : left + 48] = colours[row, column]
    scene = np.pad(patches, ((54, 54), (60, 60), (0, 0)), constant_values=np.nan)
    scene = np.where(np.isnan(scene), 0.28 * np.array(capture.white), scene)
    scene *= np.linspace(1.03, 0.97, scene.shape[1])[None, :, None]
    noise = np.random.default_rng(0).normal(0, 1, scene.shape) * np.sqrt(scene / 8000)
    values = np.clip(scene + noise, 0, 1).astype(np.float32)
    image = rs.make_image(values, encoding="linear", bits=16)
    found = calibrate([image], light="D50", name="Nikon D700")
    assert found.response is not None

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 3.6), layout="constrained", width_ratios=[1, 1.15]
    )
    left.imshow(rs.colour.encode_srgb(np.clip(values / (0.5, 0.9, 0.7), 0, 1)))
    left.plot(*found.patches[0].places.T, "o", color="white", mec="black", ms=4)
    left.set_title("a raw photo of a colour chart")
    left.axis("off")
    true = capture.sensitivity(GRID_NM)
    for channel, colour in enumerate(("tab:red", "tab:green", "tab:blue")):
        values, spread = (
            array[:, channel] / found.response.values.max()
            for array in (found.response.values, found.response.deviation)
        )
        right.plot(GRID_NM, values, color=colour)
        right.fill_between(GRID_NM, values - spread, values + spread, color=colour, alpha=0.2)
        balance = found.response.values[:, channel].sum() / found.response.values.max()
        right.plot(GRID_NM, true[:, channel] * balance / true[:, channel].sum(), "--", color=colour)
    right.set(xlabel="wavelength (nm)", title="its camera: fitted ± deviation, dashed: measured")
    save_figure(figure, path)


def take_train_and_score(path: Path) -> None:
    """The report of a method that was fitted on five synthetic scenes and scored on a sixth."""
    command = [sys.executable, "-c", "from respectra.cli import main; main()"]

    def respectra(*arguments: object) -> None:
        subprocess.run([*command, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part, seeds in (("learn", range(5)), ("score", range(5, 7))):
            (folder / part).mkdir()
            for seed in seeds:
                rs.save_cube(still_life(144, 192, seed=seed), folder / part / f"scene{seed}.npz")
        respectra("train", "root-polynomial", "--data", folder / "learn", "-o", folder / "run")
        entries = (f"mine={folder / 'run' / 'best.safetensors'}", "default", "wiener")
        options = ("--data", folder / "score", "--aux", "none", "--timing-runs", 0)
        respectra("evaluate", *entries, *options, "-o", folder / "scores")
        respectra("report", folder / "scores", "-o", folder / "report.html")
        with browser_page(1120, 760) as page:
            page.goto((folder / "report.html").as_uri())
            page.evaluate("document.body.style.zoom = 0.6")  # the table and the first figures
            page.wait_for_timeout(1000)
            save(page.screenshot(), path)


PICTURES: dict[str, Callable[[Path], None]] = {
    "page": take_page,
    "photo-to-cube": take_photo_to_cube,
    "relight": take_relight,
    "calibrate": take_calibrate,
    "train-and-score": take_train_and_score,
}


def main() -> None:
    """Take those that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PICTURES))
    parser.add_argument("--output", type=Path, default=Path("docs/images"))
    given = parser.parse_args()
    unknown = set(given.names) - set(PICTURES)
    if unknown:
        parser.error(f"no such picture: {', '.join(sorted(unknown))}")
    given.output.mkdir(parents=True, exist_ok=True)
    for name in given.names or PICTURES:
        PICTURES[name](given.output / f"{name}.png")


if __name__ == "__main__":
    main()
