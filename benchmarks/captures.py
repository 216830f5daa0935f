"""What telling the camera, the light, the white and a few spectra gives, on measured scenes.

    python benchmarks/captures.py OUT.jsonl               # everything; goes on where it was stopped
    python benchmarks/captures.py OUT.jsonl --part references --scenes choice
    python benchmarks/captures.py OUT.jsonl --part cameras --every 8 --weights FILE
    python benchmarks/captures.py OUT.jsonl --table       # prints what is there
    python benchmarks/captures.py OUT.jsonl --table --write docs/benchmarks/captures.md

``RESPECTRA_DATA`` names the folder of measured data. Scenes are taken as reflectances. Of each at
most 4096 pixels are used for cameras and lights (every n-th row and column), and 40 000 for
references. Errors are MRAE with a floor of 0.01. Scenes of REPORT decide nothing; choices are made
on those of CHOICE.

Cameras store codes in one of these ways (``--codes``), the first of which is the benchmark's:

balanced  8 bits, each channel with a gain of its own, so that a perfect white under the light
          reaches 255/256 in all three: as both cameras of the challenge have it
sensor    8 bits, the sensor's own balance: white reaches 255/256 in the brightest channel alone,
          and the others have fewer codes
raw       the same with the 12 bits of a raw file

Every error is divided by that of the clean track's observer under equal energy, told, on the same
pixels, which has 8 bits and even white; geometric means over all. ``white``: the light is unknown.
What it is guessed from then is the colour of white, about which balanced codes say nothing.

Source of the scenes' lists: scripts/fit_classical.py.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pages

import respectra as rs
from respectra.cameras import make_response, open_responses
from respectra.cameras.capture_camera import CaptureCamera
from respectra.journal import Journal

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from fit_classical import CHOICE, REPORT

GRID = np.arange(400.0, 701.0, 10.0)
LIGHTS = ("E", "D50", "D65", "A", "LED-B3", "FL2", "FL11", "HP1")
COUNTS, SEEDS = (5, 10, 24), range(5)
CAMERA_PIXELS, REFERENCE_PIXELS = 4096, 40_000
WHITE = 255 / 256
#: Names of cameras that the shipped network was trained with.
TRAINED_ON = ("colour_", "rawtoaces_")
#: How cameras store codes -> (whether each channel has its gain, bits).
CODES = {"balanced": (True, 8), "sensor": (False, 8), "raw": (False, 12)}
FRAME = (2160, 3840)
TOLD = {"all": "camera, light, white", "white": "camera and white"}
COSTS = ("plain", "with a capture", "24 references", "learning from them", "binding a capture")
ABOUT = """
The default method on six measured scenes that chose nothing, at most 4096 pixels of each; MRAE of
reflectance with a floor of 0.01 over that of the clean track's observer under equal energy, told;
geometric means. Codes: `balanced`, 8 bits and a gain for each channel, so that white reaches
255/256 in all three; `sensor`, 8 bits of the sensor's own balance; `raw`, the same with 12 bits.
References are drawn by k-means++ over chromaticity and left out of the score; means of five draws.
Without `--table` the command measures first; `--codes raw --every 12` adds codes of 12 bits.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--part", choices=("cameras", "references", "cost"), action="append")
    parser.add_argument("--scenes", choices=("report", "choice"), default="report")
    parser.add_argument("--method", default="default")
    parser.add_argument("--weights", type=Path, help="a file in the method's place")
    parser.add_argument("--codes", choices=tuple(CODES), action="append")
    parser.add_argument("--every", type=int, default=1, help="only every so many cameras")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    pages.add_option(parser)
    options = parser.parse_args()
    data = Path(os.environ["RESPECTRA_DATA"])
    journal = Journal.resume(options.output)
    if not options.table:
        if not journal.begun:
            journal.begin()
        done = {json.dumps(row["key"]) for row in journal.records}
        names = REPORT if options.scenes == "report" else CHOICE
        for part in options.part or ["cameras", "references", "cost"]:
            measure = {"cameras": cameras, "references": references, "cost": cost}[part]
            for row in measure(data, names, options, done):
                journal.append(row)
    page = pages.Page("What captures and references give", ABOUT, measured=options.output)
    show(journal.records, page)
    page.write(options.write)


def scene(data: Path, name: str, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Reflectances (y, x, band), and which pixels count."""
    with np.load(data / "scenes" / f"{name}.npz") as file:
        codes = file["cube_u16"] if "cube_u16" in file.files else file["cube_u8"]
        values = codes.astype(np.float32) * np.float32(file["scale"])
    step = max(1, int(np.ceil(np.sqrt(values.shape[0] * values.shape[1] / pixels))))
    values = values[::step, ::step]
    usable = np.isfinite(values).all(axis=2) & (values.max(axis=2) > 0)
    if name.startswith("muufl"):  # without the part that holds no data
        usable &= (values[..., :10] > 0).all(axis=2)
    return values, usable


def mrae(truth: np.ndarray, found: np.ndarray) -> float:
    return float((np.abs(found - truth) / np.maximum(truth, 0.01)).mean())


def loaded(options: argparse.Namespace) -> tuple[str, rs.Reconstructor]:
    """What is measured, and its name."""
    if options.weights is None:
        return options.method, rs.load(options.method)
    return options.weights.stem, rs.load(options.weights)


def cameras(data: Path, names, options, done: set[str]) -> Iterator[dict]:
    """Every measured camera under every light: told, and with nothing but white told."""
    method, base = loaded(options)
    file = data / "spectra" / "camera_responses_48_400_700_10nm.npz"
    observer = rs.Capture(camera="cie-1964-ntire2020").camera
    responses = [(str(r.attrs["name"]), r) for r in measured_cameras(file)[:: options.every]]
    scenes = {name: scene(data, name, CAMERA_PIXELS) for name in names}
    cubes = {n: rs.make_cube(v, GRID, quantity="reflectance") for n, (v, _) in scenes.items()}
    jobs = [("clean", observer, "E", "balanced", "all")]
    for codes in options.codes or ["balanced"]:
        for camera, response in responses:
            jobs += [(camera, response, li, codes, to) for li in LIGHTS for to in ("all", "white")]
    for camera, response, light, codes, told in jobs:
        wanted = [["cameras", method, codes, camera, light, told, name] for name in names]
        if all(json.dumps(key) in done for key in wanted):
            continue
        whole = stored(rs.Capture(camera=response, light=light), codes)
        bound = base.with_capture(whole if told == "all" else whole.replace(light=None))
        for name, key in zip(names, wanted, strict=True):
            if json.dumps(key) in done:
                continue
            image = CaptureCamera(whole).render(cubes[name])
            usable = scenes[name][1]
            found = bound(image).values
            yield {"key": key, "mrae": mrae(scenes[name][0][usable], found[usable])}


def stored(capture: rs.Capture, codes: str) -> rs.Capture:
    """The capture with the white and the bits of its codes, which are truncated."""
    even, bits = CODES[codes]
    white = np.ones(3) if even else capture.white_values(GRID)
    white = tuple((white / white.max() * WHITE).tolist())
    return capture.replace(white=white, bits=bits, rounding="truncate")


def measured_cameras(file: Path) -> list:
    return [
        make_response(np.maximum(r.values, 0.0), GRID, name=str(r.attrs["name"]))
        for r in open_responses(file)
    ]


def references(data: Path, names, options, done: set[str]) -> Iterator[dict]:
    """The clean track with some pixels' spectra known, which are left out of the score."""
    track, (method, base) = rs.get_track("clean"), loaded(options)
    for name in names:
        keys = {(k, s): ["references", method, name, k, s] for k in COUNTS for s in SEEDS}
        if all(json.dumps(key) in done for key in keys.values()):
            continue
        values, usable = scene(data, name, REFERENCE_PIXELS)
        image = track.render(rs.make_cube(values, GRID))
        plain = base(image).values
        bright = usable & (image.values.max(axis=2) < 0.995) & (image.values.min(axis=2) > 2 / 255)
        y, x = np.nonzero(bright & (values.min(axis=2) > 0))
        chroma = image.values[y, x] / image.values[y, x].sum(axis=1, keepdims=True)
        for (count, seed), key in keys.items():
            if json.dumps(key) in done or len(y) < count:
                continue
            chosen = spread_out(chroma[:, :2].astype(np.float64), count, seed)
            places = np.stack([y[chosen], x[chosen]], axis=1)
            refs = rs.References(places, values[y[chosen], x[chosen]], GRID)
            corrected = base.with_references(image, refs)
            scored = usable.copy()
            scored[y[chosen], x[chosen]] = False
            yield {
                "key": key,
                "mrae": mrae(values[scored], corrected(image).values[scored]),
                "without": mrae(values[scored], plain[scored]),
                "summary": corrected.guarantees.correction.summary,
            }


def spread_out(points: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Indices of k-means++: each next point with the odds of its squared distance."""
    rng = np.random.default_rng(seed)
    chosen = [int(rng.integers(len(points)))]
    distance = ((points - points[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < count:
        chosen.append(int(rng.choice(len(points), p=distance / distance.sum())))
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
    return np.array(chosen)


def cost(data: Path, names, options, done: set[str]) -> Iterator[dict]:
    """Seconds of a 4K frame: the method, for a capture, and with 24 references; the least of 3.

    On the clock, and of all processors together, which others that use the machine change less.
    """
    method, base = loaded(options)
    key = ["cost", method, *FRAME]
    if json.dumps(key) in done:
        return
    values, usable = scene(data, names[0], REFERENCE_PIXELS)
    tiles = [-(-FRAME[i] // values.shape[i]) for i in (0, 1)]
    track = rs.get_track("clean")
    image = track.render(rs.make_cube(values, GRID))
    # A ramp of light makes the colours of a frame as many as a photograph has.
    linear = np.tile(values @ track.response_matrix(GRID), (*tiles, 1))[: FRAME[0], : FRAME[1]]
    linear = linear * np.linspace(0.5, 1.0, FRAME[1])[None, :, None]
    linear[: values.shape[0], : values.shape[1]] = values @ track.response_matrix(GRID)
    codes = np.floor(255 * np.clip(linear, 0.0, 1.0))
    frame = rs.make_image(codes / 255, bits=8, track="clean")
    capture = rs.Capture(camera="ampas-nikon-d700", light="A")
    bound = base.with_capture(capture)
    bright = usable & (image.values.min(axis=2) > 2 / 255) & (image.values.max(axis=2) < 0.99)
    y, x = np.nonzero(bright & (values.min(axis=2) > 0))
    chosen = np.random.default_rng(0).choice(len(y), 24, replace=False)
    refs = rs.References(np.stack([y, x], axis=1)[chosen], values[y, x][chosen], GRID)
    corrected = base.with_references(frame, refs)

    least = pages.in_turns(
        {
            "method": lambda: base(frame),
            "capture": lambda: bound(frame),
            "corrected": lambda: corrected(frame),
            "fit": lambda: base.with_references(frame, refs),
            "bind": lambda: base.with_capture(capture),
        },
        3,
    )
    walls, spent = ({name: times[k] for name, times in least.items()} for k in (0, 1))
    yield {"key": key, **walls, "processor": spent}


def show(rows: list[dict], page: pages.Page) -> None:
    by_part = defaultdict(list)
    for row in rows:
        by_part[row["key"][0]].append(row)
    if by_part["cameras"]:
        show_cameras(by_part["cameras"], page)
    if by_part["references"]:
        show_references(by_part["references"], page)
    if by_part["cost"]:
        names = ("method", "capture", "corrected", "fit", "bind")
        frames = []
        for row in by_part["cost"]:
            for what, times in (("", row), (", processor time", row.get("processor", {}))):
                if times:
                    frames.append((row["key"][1] + what, *(f"{times[n]:.3f}" for n in names)))
        page.table(("method", *COSTS), frames, "A frame of 3840 × 2160, s")


def mean(values) -> float:
    """Geometric."""
    return float(np.exp(np.mean(np.log(list(values)))))


def show_cameras(rows: list[dict], page: pages.Page) -> None:
    summary, by_light = [], []
    for method in dict.fromkeys(row["key"][1] for row in rows):
        found = {tuple(row["key"][2:]): row["mrae"] for row in rows if row["key"][1] == method}
        clean = {key[4]: value for key, value in found.items() if key[1] == "clean"}
        page.text(
            f"`{method}`: the observer under equal energy has {mean(clean.values()):.4f} over "
            f"{len(clean)} scenes; ratios are to this."
        )
        for codes in CODES:
            for told, title in TOLD.items():
                ratios = {
                    (camera, light, name): value / clean[name]
                    for (how, camera, light, what, name), value in found.items()
                    if camera != "clean" and (how, what) == (codes, told)
                }
                if ratios:
                    summary.append((title, codes, *summed(ratios)))
                    lights = over(1, ratios)
                    by_light.append((title, codes, *(f"{lights[li]:.2f}" for li in LIGHTS)))
    columns = ("cameras", "all", "not trained with", "without HP1", "worst", "next", "worst camera")
    page.table(("told", "codes", *columns), summary, "Cameras under eight lights")
    page.table(("told", "codes", *LIGHTS), by_light, "By light")


def over(index: int, ratios: dict[tuple[str, str, str], float]) -> dict[str, float]:
    """Means by camera (0), light (1) or scene (2)."""
    parts = defaultdict(list)
    for key, value in ratios.items():
        parts[key[index]].append(value)
    return {key: mean(values) for key, values in parts.items()}


def summed(ratios: dict[tuple[str, str, str], float]) -> tuple[str, ...]:
    by_camera = over(0, ratios)
    worst, following = sorted(by_camera, key=by_camera.__getitem__)[-2:][::-1]
    own = [value for key, value in ratios.items() if not key[0].startswith(TRAINED_ON)]
    rest = [value for key, value in ratios.items() if key[1] != "HP1"]
    means = (ratios.values(), own, rest, [by_camera[worst]], [by_camera[following]])
    shown = (f"{mean(values):.3f}" if values else "–" for values in means)
    return (str(len(by_camera)), *shown, worst)


def show_references(rows: list[dict], page: pages.Page) -> None:
    by_count = defaultdict(lambda: defaultdict(list))
    for row in rows:
        _, _, name, count, _ = row["key"]
        by_count[count][name].append(row["mrae"] / row["without"])
    shown = []
    for count, scenes in sorted(by_count.items()):
        every = [mean(ratios) for ratios in scenes.values()]
        draw = max(max(ratios) for ratios in scenes.values())
        shown.append((count, f"{mean(every):.3f}", f"{max(every):.3f}", f"{draw:.3f}"))
    columns = ("references", "error over that without", "worst scene", "worst draw of a scene")
    page.table(columns, shown, "References on the clean track")


if __name__ == "__main__":
    main()
