"""What keeping guarantees costs, against a tiny network on the same frame, in the same run.

    python benchmarks/guarantees.py [--method hscnn-r] [--repeats 5]

Prints the least processor time of each, since other programs share the machine, and the ratio.
"""

from __future__ import annotations

import argparse
import functools

import numpy as np
import torch
from pages import in_turns

import respectra as rs
from respectra.cameras import get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, make_cube
from respectra.inference import Reconstructor
from respectra.inference.guarantees import Guarantees
from respectra.methods import Contract, fresh_weights

HEIGHT, WIDTH = 482, 512


def scene() -> np.ndarray:
    rng = np.random.default_rng(1)
    amounts = rng.uniform(0.02, 1, (HEIGHT // 16 + 1, WIDTH // 16 + 1, 6)) ** 2
    amounts = amounts.repeat(16, 0).repeat(16, 1)[:HEIGHT, :WIDTH]
    bumps = np.exp(-(((np.linspace(0, 1, 31) - np.linspace(0, 1, 6)[:, None]) / 0.15) ** 2))
    return (amounts @ bumps / 2).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", default="hscnn-r")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    truth = make_cube(scene(), CHALLENGE_WAVELENGTHS_NM)
    image = get_track("clean").render(truth)
    torch.manual_seed(0)
    network = Reconstructor(fresh_weights(arguments.method, preset="tiny"))
    estimate = rs.load()(image)
    base = in_turns({"": lambda: network(image)}, arguments.repeats)[""]
    print(f"{arguments.method}, tiny: {base[0]:.3f} s, processor {base[1]:.3f} s")
    for names in (
        ["consistent"],
        ["consistent-exact"],
        ["consistent", "non-negative"],
        ["non-negative"],
        ["smooth"],
    ):
        work = functools.partial(Guarantees(names, Contract()).enforce, estimate, image)
        wall, cpu = in_turns({"": work}, arguments.repeats)[""]
        print(
            f"{' + '.join(names):28} {wall:.3f} s, processor {cpu:.3f} s: "
            f"{wall / base[0]:.0%} of the network, {cpu / base[1]:.0%} of its processor time"
        )


if __name__ == "__main__":
    main()
