"""Ablations of Respectra's own network: what each idea gives, with three seeds.

    RESPECTRA_DATA=... python scripts/ablate_respectra.py [--only stray,code] [--seeds 3]

Every variant is a smaller network, trained as scripts/train_respectra.py trains it but shorter and
on the clean track alone, and scored on the scenes that choose between designs. Prints a table in
Markdown.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from fit_classical import CHOICE
from respectra_scenes import Recipe
from train_respectra import score, train

BASE = Recipe(preset="xs", steps=1500, told=False, noisy=0.0)
VARIANTS = {
    "as shipped, but small and short": BASE,
    "values taken as exact, not as cells": replace(BASE, exact=1.0),
    "no code of the scene and no level in it": replace(BASE, options={"scene": 0}),
    "no stray light of spectral cameras": replace(BASE, stray=0.0),
    "no fall-off at the blue end": replace(BASE, rolloff=0.0),
    "fall-off in 60 % of scenes": replace(BASE, rolloff=0.6),
    "equal energy alone": replace(BASE, lights="equal"),
    "every kind of light": replace(BASE, lights="mixed"),
    "reflectances as measured": replace(BASE, vary=0.0),
    "reflectances varied twice as much": replace(BASE, vary=1.0),
    "never single pixels": replace(BASE, forget=0.0),
    "6 basis spectra instead of 12": replace(BASE, options={"rank": 6}),
    "20 basis spectra": replace(BASE, options={"rank": 20}),
    "one hidden layer instead of two": replace(BASE, options={"layers": 1}),
}


def main() -> None:
    """Train all variants and print their scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="parts of the variants' names, with commas")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    folder = Path(os.environ["RESPECTRA_DATA"])
    torch.set_num_threads(1)
    print("| variant | MRAE, mean ± half the range | of each seed |\n|---|---|---|")
    for name, recipe in VARIANTS.items():
        if options.only and not any(part in name for part in options.only.split(",")):
            continue
        means = []
        for seed in range(options.seeds):
            network = train(replace(recipe, seed=recipe.seed + seed), quiet=True)
            # What was trained on exact values is told that values are exact.
            found = score(network, "clean", CHOICE, folder, cells=recipe.exact < 1)
            means.append(float(np.mean([mrae for mrae, *_ in found.values()])))
        half = (max(means) - min(means)) / 2
        each = ", ".join(f"{mean:.4f}" for mean in means)
        print(f"| {name} | {np.mean(means):.4f} ± {half:.4f} | {each} |", flush=True)


if __name__ == "__main__":
    main()
