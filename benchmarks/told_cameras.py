"""Reflectance through measured cameras under coloured lights, told, by the shipped network.

    RESPECTRA_DATA=... python benchmarks/told_cameras.py [--scenes choice] [--every 8]

Each scene's cube is taken for reflectance, seen through 48 measured cameras under eight lights and
stored in 8-bit codes, in which a perfect white reaches 255/256 in every channel. The error, MRAE
with a floor of 0.01, is divided by that of the clean track's observer under equal energy for the
same pixels; geometric means over all. Three times: the light told; unknown, but the sensor's own
balance of white known, from which ``light_of_white`` guesses it; and unknown after white balance,
where equal energy stands for it. Cameras that colour-science brings are among those that the
network was trained on, so that all others are summed up by themselves.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from respectra.cameras import get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.datasets.spectra import illuminants
from respectra.datasets.white_light import light_of_white
from respectra.inference.networks import build
from respectra.methods import load_weights
from respectra.methods.shipped import open_any_camera

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from fit_classical import CHOICE, FLOOR, REPORT, load_scenes

LIGHTS = ("E", "D50", "D65", "A", "LED-B3", "FL2", "FL11", "HP1")
WAYS = ("told", "white", "balanced")
WHITE = 255 / 256
PIXELS = 2000


def seeing(light: Any, camera: Any) -> Any:
    """The effective response (band, 3) that sees white as ``WHITE``."""
    seen = light[:, None] * camera
    return seen / seen.sum(axis=0) * WHITE


def error(network: Any, pixels: Any, true: Any, told: Any, said: str) -> float:
    """MRAE of reflectances (pixel, band) seen through one response, another being told."""
    codes = np.floor(np.minimum(pixels @ true, 1.0) * 255) / 255
    network.set_capture(torch.tensor(told), step=1 / 255, light=said)
    with torch.inference_mode():
        x = torch.tensor(codes, dtype=torch.float32).T.reshape(1, 3, 1, -1)
        found = network(x)[0, :, 0].T.clamp_min(0).numpy()
    return float(np.mean(np.abs(found - pixels) / np.maximum(pixels, FLOOR)))


def main() -> None:
    """Print geometric means of ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="a file instead of the shipped one")
    parser.add_argument("--scenes", choices=("choice", "report"), default="report")
    parser.add_argument("--every", type=int, default=1, help="only every so many cameras")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(os.environ["RESPECTRA_DATA"])
    network: Any = build(load_weights(options.weights) if options.weights else open_any_camera())
    with np.load(folder / "spectra" / "camera_responses_48_400_700_10nm.npz") as data:
        names = [str(name) for name in data["names"]][:: options.every]
        cameras = data["ssf_rgb"].astype(np.float64)[:: options.every]
    rng = np.random.default_rng(0)
    scenes = []
    for scene in load_scenes("clean", CHOICE if options.scenes == "choice" else REPORT, folder):
        pixels = scene.truth[scene.valid].astype(np.float64)
        scenes.append(rng.permutation(pixels)[:PIXELS])
    observer = seeing(np.ones(31), get_track("clean").response_matrix(CHALLENGE_WAVELENGTHS_NM))
    base = np.array([error(network, pixels, observer, observer, "told") for pixels in scenes])
    print(f"the observer under equal energy, told: {base.round(4)}, mean {base.mean():.4f}")
    standard = illuminants("cie")
    ratios = np.zeros((len(cameras), len(LIGHTS), len(scenes), len(WAYS)))
    for i, camera in enumerate(cameras / cameras.sum(axis=1, keepdims=True)):
        for j, name in enumerate(LIGHTS):
            light = standard.sel(sample=name).values
            true = seeing(light, camera)
            told = (
                (true, "told"),
                (seeing(light_of_white(camera, light @ camera), camera), "white"),
                (seeing(np.ones(31), camera), "white"),
            )
            for k, pixels in enumerate(scenes):
                ratios[i, j, k] = [error(network, pixels, true, *way) for way in told]
    logs = np.log(ratios / base[:, None])
    known = np.array([name.startswith("colour_") for name in names])
    print("|", " | ".join(("geometric mean over", *WAYS)), "|\n|---|---|---|---|")
    rows = {"all cameras and lights": logs.reshape(-1, 3)}
    if known.any():
        rows["all cameras but those of colour-science"] = logs[~known].reshape(-1, 3)
    for j, name in enumerate(LIGHTS):
        rows[f"light {name}"] = logs[:, j].reshape(-1, 3)
    worst = logs.mean(axis=(1, 2))[:, 0].argmax()
    rows[f"the worst camera when told, {names[worst]}"] = logs[worst].reshape(-1, 3)
    for label, part in rows.items():
        print(f"| {label} |", " | ".join(f"{v:.3f}" for v in np.exp(part.mean(axis=0))), "|")


if __name__ == "__main__":
    main()
