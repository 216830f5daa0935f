"""Score weights of Respectra's own network on measured scenes, and fit how unsure it says it is.

    RESPECTRA_DATA=... python scripts/score_respectra.py [FILE] [--report] [--fit]

Prints by track and scene the MRAE with a floor of 0.01 and the shares of errors within one and two
standard deviations; of the shipped weights without FILE. Scenes are those that choose between
designs; with ``--report`` also those that chose nothing. ``--fit`` prints what
``synthetic.uncertainty.factors`` and ``noisy_factors`` of the recipe should be, by the scenes that
choose: the quantile losses of training, a scene as heavy as another.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from fit_classical import CHOICE, FLOOR, REPORT, load_scenes
from scipy.optimize import minimize

from respectra.cameras import get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.inference.networks import build
from respectra.methods import Weights, load_weights
from respectra.methods.settings import TRACK_SETTINGS
from respectra.methods.shipped import open_shipped
from respectra.training.synthetic.module import quantile_loss, spread_of

#: Pixels of a scene that the fit looks at.
_PIXELS = 2000


@dataclass(frozen=True)
class Found:
    """Errors and standard deviations of the measured pixels of a scene, (pixel, band)."""

    mrae: float
    error: npt.NDArray[Any]
    sigma: npt.NDArray[Any]

    @property
    def shares(self) -> tuple[float, float]:
        """Of the errors within one and two deviations."""
        return float((self.error <= self.sigma).mean()), float(
            (self.error <= 2 * self.sigma).mean()
        )


def find(
    weights: Weights, track: str, names: tuple[str, ...], folder: Path, *, step: float = 1 / 255
) -> dict[str, Found]:
    """What weights make of scenes, told that they are of a track, in codes of this width."""
    network: Any = build(weights)
    told = TRACK_SETTINGS[track] if network.told else {}
    response = torch.tensor(get_track(track).response_matrix(CHALLENGE_WAVELENGTHS_NM))
    network.set_capture(response, step=step, **told)
    result = {}
    for scene in load_scenes(track, names, folder):
        rgb = torch.from_numpy(scene.rgb).permute(2, 0, 1)[None]
        with torch.inference_mode():
            estimate, size = (
                values[0].permute(1, 2, 0).numpy()[scene.valid]
                for values in (network(rgb).clamp_min(0), network.uncertainty(rgb))
            )
        truth = scene.truth[scene.valid]
        error = np.abs(estimate - truth)
        mrae = float(np.mean(error / np.maximum(truth, FLOOR)))
        result[scene.name] = Found(mrae, error, size * np.sqrt(np.pi / 2))
    return result


def fit(scenes: dict[str, Found]) -> npt.NDArray[Any]:
    """Factors of the uncertainty of all bands, and of the first and the last besides."""
    rng = np.random.default_rng(0)
    logs = []
    for found in scenes.values():
        chosen = rng.permutation(len(found.error))[:_PIXELS]
        ratio = np.log(found.error[chosen] + 1e-5) - np.log(found.sigma[chosen] + 1e-5)
        logs.append(torch.from_numpy(ratio))

    def loss(exponents: npt.NDArray[Any]) -> float:
        spread = spread_of(tuple(np.exp(exponents))).log()
        excess = [log - spread for log in logs]
        return float(
            sum(quantile_loss(e, 0.683) + quantile_loss(e - np.log(2), 0.954) for e in excess)
        )

    start = np.vstack([np.zeros(3), 0.4 * np.eye(3)])
    options = {"xatol": 0.01, "fatol": 1e-4, "initial_simplex": start}
    found = minimize(loss, start[0], method="Nelder-Mead", options=options)
    return np.exp(found.x)


def main() -> None:
    """Print scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--report", action="store_true", help="score the other scenes too")
    parser.add_argument("--fit", action="store_true", help="fit the factors of the uncertainty")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(os.environ["RESPECTRA_DATA"])
    for track in TRACK_SETTINGS:
        weights = load_weights(options.file) if options.file else open_shipped(track)
        if track != "clean" and not getattr(weights.config, "told", False):
            continue
        for names in (CHOICE, REPORT) if options.report else (CHOICE,):
            scenes = find(weights, track, names, folder)
            rows = {name: (found.mrae, *found.shares) for name, found in scenes.items()}
            rows["mean"] = tuple(np.mean(list(rows.values()), axis=0))
            for name, row in rows.items():
                print(f"{track:12}{name:32}", *(f"{value:8.4f}" for value in row), flush=True)
            if options.fit and names is CHOICE:
                print(f"{track:12}factors", fit(scenes).round(2).tolist())


if __name__ == "__main__":
    main()
