"""What telling the camera, the light, the white and a few spectra gives, on measured scenes.

    python benchmarks/captures.py OUT.jsonl               # everything; goes on where it was stopped
    python benchmarks/captures.py OUT.jsonl --part references --scenes choice
    python benchmarks/captures.py OUT.jsonl --table       # prints what is there

``RESPECTRA_DATA`` names the folder of measured data. Scenes are taken as reflectances. Of each at
most 4096 pixels are used for cameras and lights (every n-th row and column), and 40 000 for
references. Errors are MRAE with a floor of 0.01. Scenes of REPORT decide nothing; choices are made
on those of CHOICE.

Source of the scenes' lists: scripts/fit_classical.py.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import respectra as rs
from respectra.cameras import make_response, open_responses
from respectra.cameras.capture_camera import CaptureCamera

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from fit_classical import CHOICE, REPORT

GRID = np.arange(400.0, 701.0, 10.0)
LIGHTS = ("E", "D50", "D65", "A", "LED-B3", "FL2", "FL11", "HP1")
COUNTS, SEEDS = (5, 10, 24), range(5)
CAMERA_PIXELS, REFERENCE_PIXELS = 4096, 40_000
FRAME = (2160, 3840)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--part", choices=("cameras", "references", "cost"), action="append")
    parser.add_argument("--scenes", choices=("report", "choice"), default="report")
    parser.add_argument("--method", default="default")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    options = parser.parse_args()
    data = Path(os.environ["RESPECTRA_DATA"])
    if not options.table:
        known = read(options.output)
        done = {json.dumps(row["key"]) for row in known}
        parts = options.part or ["cameras", "references", "cost"]
        names = REPORT if options.scenes == "report" else CHOICE
        with options.output.open("a") as file:
            for part in parts:
                measure = {"cameras": cameras, "references": references, "cost": cost}[part]
                for row in measure(data, names, options.method, done):
                    file.write(json.dumps(row) + "\n")
                    file.flush()
    show(read(options.output))


def read(path: Path) -> list[dict]:
    if not path.exists():
        return []
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:  # the last line of a run that was stopped
            continue
    return rows


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


def cameras(data: Path, names, method: str, done: set[str]) -> Iterator[dict]:
    """Every measured camera under every light: told, and with nothing but white told."""
    file = data / "spectra" / "camera_responses_48_400_700_10nm.npz"
    responses = [("clean", rs.Capture(camera="cie-1964-ntire2020").camera)]
    responses += [(str(r.attrs["name"]), r) for r in measured_cameras(file)]
    base = rs.load(method)
    scenes = {name: scene(data, name, CAMERA_PIXELS) for name in names}
    cubes = {n: rs.make_cube(v, GRID, quantity="reflectance") for n, (v, _) in scenes.items()}
    for camera, response in responses:
        for light in LIGHTS if camera != "clean" else ("E",):
            for told in ("all", "white"):
                wanted = [["cameras", method, camera, light, told, name] for name in names]
                if all(json.dumps(key) in done for key in wanted):
                    continue
                whole = rs.Capture(camera=response, light=light)
                white = tuple((whole.white_values(GRID) * 255 / 256).tolist())
                whole = whole.replace(white=white)
                capture = whole if told == "all" else whole.replace(light=None)
                bound = base.with_capture(capture)
                for name, key in zip(names, wanted, strict=True):
                    if json.dumps(key) in done:
                        continue
                    image = CaptureCamera(whole).render(cubes[name])
                    usable = scenes[name][1]
                    found = bound(image).values
                    yield {"key": key, "mrae": mrae(scenes[name][0][usable], found[usable])}


def measured_cameras(file: Path) -> list:
    return [
        make_response(np.maximum(r.values, 0.0), GRID, name=str(r.attrs["name"]))
        for r in open_responses(file)
    ]


def references(data: Path, names, method: str, done: set[str]) -> Iterator[dict]:
    """The clean track with some pixels' spectra known, which are left out of the score."""
    track, base = rs.get_track("clean"), rs.load(method)
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


def cost(data: Path, names, method: str, done: set[str]) -> Iterator[dict]:
    """Seconds of a 4K frame: the method, for a capture, and with 24 references; the least of 3."""
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
    base = rs.load(method)
    capture = rs.Capture(camera="ampas-nikon-d700", light="A")
    bound = base.with_capture(capture)
    bright = usable & (image.values.min(axis=2) > 2 / 255) & (image.values.max(axis=2) < 0.99)
    y, x = np.nonzero(bright & (values.min(axis=2) > 0))
    chosen = np.random.default_rng(0).choice(len(y), 24, replace=False)
    refs = rs.References(np.stack([y, x], axis=1)[chosen], values[y, x][chosen], GRID)
    corrected = base.with_references(frame, refs)

    def fit() -> object:
        return base.with_references(frame, refs)

    times = defaultdict(list)
    for _ in range(3):
        for name, work in (
            ("method", lambda: base(frame)),
            ("capture", lambda: bound(frame)),
            ("corrected", lambda: corrected(frame)),
            ("fit", fit),
            ("bind", lambda: base.with_capture(capture)),
        ):
            start = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - start)
    yield {"key": key, **{name: min(seconds) for name, seconds in times.items()}}


def show(rows: list[dict]) -> None:
    by_part = defaultdict(list)
    for row in rows:
        by_part[row["key"][0]].append(row)
    if by_part["cameras"]:
        show_cameras(by_part["cameras"])
    if by_part["references"]:
        show_references(by_part["references"])
    for row in by_part["cost"]:
        seconds = {k: v for k, v in row.items() if k != "key"}
        print("cost of a 4K frame, s:", {k: round(v, 3) for k, v in seconds.items()})


def mean(values) -> float:
    """Geometric."""
    return float(np.exp(np.mean(np.log(list(values)))))


def show_cameras(rows: list[dict]) -> None:
    found = {tuple(row["key"][2:]): row["mrae"] for row in rows}
    clean = {key[3]: value for key, value in found.items() if key[:3] == ("clean", "E", "all")}
    print(f"clean track's observer under E: {mean(clean.values()):.4f} over {len(clean)} scenes")
    for told in ("all", "white"):
        ratios = defaultdict(list)
        for (camera, light, what, name), value in found.items():
            if what == told and camera != "clean":
                ratios[camera, light].append(value / clean[name])
        if not ratios:
            continue
        by_camera, by_light = defaultdict(list), defaultdict(list)
        for (camera, light), values in ratios.items():
            by_camera[camera].append(mean(values))
            by_light[light].append(mean(values))
        worst = max(by_camera, key=lambda camera: mean(by_camera[camera]))
        everything = mean(value for values in by_camera.values() for value in values)
        print(f"told {told}: {everything:.3f} x over {len(by_camera)} cameras; ", end="")
        print(f"worst camera {mean(by_camera[worst]):.3f} x ({worst})")
        print("  by light:", {light: round(mean(v), 3) for light, v in by_light.items()})


def show_references(rows: list[dict]) -> None:
    by_count = defaultdict(lambda: defaultdict(list))
    for row in rows:
        _, _, name, count, _ = row["key"]
        by_count[count][name].append(row["mrae"] / row["without"])
    for count, scenes in sorted(by_count.items()):
        every = {name: mean(ratios) for name, ratios in scenes.items()}
        print(
            f"{count} references: {mean(every.values()):.3f} x without; worst seed of a scene "
            f"{max(max(r) for r in scenes.values()):.3f};",
            {name: round(value, 3) for name, value in every.items()},
        )


if __name__ == "__main__":
    main()
