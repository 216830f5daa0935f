"""Ablations of Respectra's own network: what each idea gives, with three seeds.

    RESPECTRA_DATA=... python scripts/ablate_respectra.py [--only stray,code] [--seeds 3]

Every variant is a smaller network, trained by the recipe ``respectra-clean`` on synthetic scenes,
1500 steps long, and scored on the scenes that choose between designs. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fit_classical import CHOICE
from score_respectra import find

from respectra.methods import load_weights
from respectra.training import change_recipe, load_recipe, train

BASE: dict[str, Any] = {
    "preset": "xs",
    "length.steps": 1500,
    "schedule": {"name": "one-cycle", "initial_lr": 1.2e-4, "final_lr": 1.2e-8, "rise": 0.1},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "as shipped, but small and short": {},
    "values taken as exact, not as cells": {"synthetic.exact": 1.0},
    "no code of the scene and no level in it": {"options.scene": 0},
    "no stray light of spectral cameras": {"synthetic.stray": 0.0},
    "no fall-off at the blue end": {"synthetic.rolloff": 0.0},
    "fall-off in 60 % of scenes": {"synthetic.rolloff": 0.6},
    "equal energy alone": {"synthetic.lights": "equal"},
    "every kind of light": {"synthetic.lights": "mixed"},
    "reflectances as measured": {"synthetic.vary": 0.0},
    "reflectances varied twice as much": {"synthetic.vary": 1.0},
    "never single pixels": {"synthetic.forget": 0.0},
    "6 basis spectra instead of 12": {"options.rank": 6},
    "20 basis spectra": {"options.rank": 20},
    "one hidden layer instead of two": {"options.layers": 1},
}


def score(changes: dict[str, Any], seed: int) -> float:
    """Mean MRAE of the scenes that choose."""
    recipe = change_recipe(load_recipe("respectra-clean"), {**BASE, **changes, "seed": seed})
    with tempfile.TemporaryDirectory() as folder:
        weights = load_weights(train(recipe, "synthetic", Path(folder) / "run").best)
    # What was trained on exact values is told that values are exact.
    step = 0.0 if changes.get("synthetic.exact") == 1.0 else 1 / 255
    found = find(weights, "clean", CHOICE, Path(os.environ["RESPECTRA_DATA"]), step=step)
    return float(np.mean([scene.mrae for scene in found.values()]))


def main() -> None:
    """Train all variants and print their scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="parts of the variants' names, with commas")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| variant | MRAE, mean ± half the range | of each seed |\n|---|---|---|")
    for name, changes in VARIANTS.items():
        if options.only and not any(part in name for part in options.only.split(",")):
            continue
        means = [score(changes, seed=2020 + k) for k in range(options.seeds)]
        half = (max(means) - min(means)) / 2
        each = ", ".join(f"{mean:.4f}" for mean in means)
        print(f"| {name} | {np.mean(means):.4f} ± {half:.4f} | {each} |", flush=True)


if __name__ == "__main__":
    main()
