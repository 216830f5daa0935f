"""How far tiles differ from the whole picture, over the registry, at small sizes.

python benchmarks/exactness.py --height 173 --width 149 --tile 52
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from respectra.inference import Reconstructor
from respectra.methods import (
    Tiling,
    fresh_weights,
    get_card,
    list_methods,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--height", type=int, default=173)
    parser.add_argument("--width", type=int, default=149)
    parser.add_argument("--tile", type=int, default=52)
    parser.add_argument("--preset", default="tiny")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    shade = np.linspace(0.1, 1, options.height)[:, None, None]
    rgb = (rng.random((options.height, options.width, 3)) * shade).astype(np.float32)
    print(f"{'network':<16}{'tiling':<26}{'largest difference / largest value':>36}")
    for name in list_methods("network"):
        torch.manual_seed(0)
        weights = fresh_weights(name, preset=options.preset)
        if get_card(name).tiling is Tiling.NATIVE:
            continue
        whole = Reconstructor(weights, tile=None).predict(rgb)
        tiled = Reconstructor(weights, tile=options.tile).predict(rgb)
        difference = np.abs(tiled - whole).max() / np.abs(whole).max()
        print(f"{name:<16}{get_card(name).tiling.value:<26}{difference:>36.1e}")


if __name__ == "__main__":
    main()
