"""Train every network at its tiny preset and compare it with the pseudo-inverse.

Both learn from the same scenes and are scored on the same others, clean track:

    python benchmarks/tiny_training.py --data SCENES [--only hscnn-r,awan] [--steps 200]

The recipe is one for all networks, not the teams': it shows that each of them learns, and says
nothing about which is better.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from respectra.cameras import get_track
from respectra.methods import get_network, list_methods
from respectra.training import change_recipe, load_recipe, recipe_of, train
from respectra.training.source import open_scenes

#: Smallest denominator of loss and score: the scenes hold zeros and are dark.
FLOOR = 0.01
#: The centre of each scene is scored, pixels.
SIDE = 192
#: One laboratory scene and one flight, of which no other file shows a part.
VALIDATION = ("cave_u8_sponges", "samson")


def network_recipe(method: str, steps: int, size: int, batch: int, lr: float):
    """The common recipe, with the input that the network's own recipe states."""
    own = load_recipe(f"{method}-clean")
    card = get_network(method).card
    side = card.native_tile or max(size, -(-card.size_minimum // 8) * 8)
    return recipe_of(
        {
            "name": f"{method}-clean",
            "method": method,
            "preset": "tiny",
            "input": own.input.model_dump(),
            "data": {"validation_scenes": VALIDATION},
            "patches": {"size": side, "symmetries": "all"},
            "batch": batch,
            "optimizer": {"lr": lr},
            "schedule": {"name": "one-cycle", "initial_lr": lr / 10, "final_lr": lr / 1000},
            "loss": {"mrae": {"floor": FLOOR}},
            "length": {"steps": steps},
            "validation": {"every": steps, "floor": FLOOR, "side": SIDE},
            "clip_gradient": 1.0,
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/tiny"))
    parser.add_argument("--only", default="")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--size", type=int, default=24)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=1e-2)
    options = parser.parse_args()
    names = [n for n in options.only.split(",") if n] or list_methods("network")

    classical = change_recipe(
        load_recipe("pseudo-inverse-clean"),
        {
            "data.validation_scenes": VALIDATION,
            "validation.floor": FLOOR,
            "validation.side": SIDE,
        },
    )
    scenes = open_scenes(
        [options.data],
        classical.data,
        track=get_track("clean"),
        contract=classical.contract(),
        seed=0,
    )
    base = train(classical, scenes, options.out / "pseudo-inverse", resume=True).scores
    print(f"{options.steps} steps of {options.batch} patches, lr {options.lr:g}, ", end="")
    print(f"torch threads {torch.get_num_threads()}")
    print(f"{'method':<16}{'MRAE':>9}{'RMSE':>9}{'ratio':>8}{'s':>8}")
    print(f"{'pseudo-inverse':<16}{base['mrae']:9.4f}{base['rmse']:9.4f}{1:8.2f}", flush=True)
    for name in names:
        recipe = network_recipe(name, options.steps, options.size, options.batch, options.lr)
        start = time.perf_counter()
        result = train(recipe, scenes, options.out / name, device="cpu", resume=True)
        seconds = time.perf_counter() - start
        s = result.scores
        verdict = "" if s["mrae"] < base["mrae"] else "  not better"
        print(
            f"{name:<16}{s['mrae']:9.4f}{s['rmse']:9.4f}{s['mrae'] / base['mrae']:8.2f}"
            f"{seconds:8.0f}{verdict}",
            flush=True,
        )


if __name__ == "__main__":
    main()
