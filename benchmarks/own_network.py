"""Respectra's own network on one frame of the challenge: time, table, and codes that differ.

    python benchmarks/own_network.py [--threads 2] [--images FOLDER_OF_CLEAN_PNGS]

Times are the least of several, of the reconstructor as users call it. With ``--images``, every
picture is reconstructed and rendered again, and pixels whose 8-bit codes differ are counted.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from pages import in_turns

import respectra as rs
from respectra.cameras import get_track, open_image
from respectra.datasets.synthesize import SynthesisOptions, synthesize_scene
from respectra.inference import Reconstructor, find_weights
from respectra.inference.tables import bake
from respectra.methods import fresh_weights
from respectra.methods.measure import FRAME, count_gmac


def least(work: Callable[[], object], times: int) -> float:
    """Seconds of the fastest call."""
    return in_turns({"": work}, times)[""][0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--images", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    height, width = FRAME
    scene = synthesize_scene(1, 0, SynthesisOptions(height=height, width=width))
    image = get_track("clean").render(scene)
    print(f"{height} x {width}, {options.threads} threads")
    shipped = find_weights("respectra")
    # No weights of this size are shipped; times do not depend on them.
    small = fresh_weights("respectra", preset="xs", contract=shipped.contract)
    for label, weights in (("respectra", shipped), ("respectra, xs", small)):
        seconds = least(functools.partial(Reconstructor(weights), image), options.repeat)
        preset = "xs" if "xs" in label else "published"
        print(f"{label:32s}{seconds:8.3f} s  {count_gmac('respectra', preset=preset):.2f} GMAC")
    kept = rs.load("respectra", guarantees=("consistent", "non-negative"))
    seconds = least(functools.partial(kept, image), options.repeat)
    print(f"{'consistent and non-negative':32s}{seconds:8.3f} s")
    table = bake(shipped)
    out = np.empty((height, width, 31), np.float32)
    seconds = least(lambda: table.apply(image.values, out=out, threads=options.threads), 9)
    print(f"{'table of its single pixels':32s}{seconds:8.3f} s  {table.facts.geometry}")
    if options.images:
        track = get_track("clean")
        for label, guarantees in (("as it is", ()), ("consistent", ("consistent",))):
            recover = rs.load("respectra", guarantees=guarantees)
            differ = total = 0
            for path in sorted(options.images.glob("*_clean.png")):
                picture = open_image(path, encoding="linear").assign_attrs(track="clean")
                again = track.render(recover(picture)).values
                wrong = np.rint(again * 255) != np.rint(picture.values * 255)
                differ += int(wrong.any(axis=2).sum())
                total += wrong.shape[0] * wrong.shape[1]
            print(f"{label}: {differ} of {total} pixels render to other codes")


if __name__ == "__main__":
    main()
