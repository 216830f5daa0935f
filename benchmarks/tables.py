"""How fast a table writes one frame, against merely filling the buffer.

    python benchmarks/tables.py [--height 2160] [--width 3840] [--repeat 5]

The picture is a smooth ramp with noise. Each figure is the fastest of the repetitions, which take
turns with the fill: wall-clock time with all threads, and processor time on one thread, which other
work on the machine disturbs less. Buffers are used again, except on the lines "new memory", which
are compared with filling new memory.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from respectra.inference import find_weights
from respectra.inference.tables import bake

NEW = "fill, new memory"
COEFFICIENTS = 8


def picture(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width].astype(np.float32)
    ramp = np.stack([x / width, y / height, ((x + y) % 1500) / 1500], axis=-1)
    noise = np.random.default_rng(0).normal(0, 0.02, ramp.shape).astype(np.float32)
    return np.clip(0.9 * ramp + 0.02 + noise, 0, 1, dtype=np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--height", type=int, default=2160)
    parser.add_argument("--width", type=int, default=3840)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    image = picture(options.height, options.width)
    codes = np.rint(image * 255).astype(np.uint8)
    full = np.zeros((*image.shape[:2], 31), np.float32)
    half = np.zeros(full.shape, np.float16)
    few = np.zeros((*image.shape[:2], COEFFICIENTS), np.float32)
    runs = {"fill": lambda n: full.fill(1.0), NEW: lambda n: np.full(full.shape, 1, np.float32)}
    for method in ("root-polynomial", "polynomial"):
        table = bake(find_weights(method))
        facts = table.facts
        name = f"{method} ({facts.geometry}, {facts.nodes} nodes)"
        basis = table.basis(COEFFICIENTS)
        runs |= {
            f"{name}, float32": lambda n, t=table: t.apply(image, out=full, threads=n),
            f"{name}, 8-bit input": lambda n, t=table: t.apply(codes, out=full, threads=n),
            f"{name}, float16": lambda n, t=table: t.apply(image, out=half, threads=n),
            f"{name}, {COEFFICIENTS} coefficients": (
                lambda n, t=table, b=basis: t.coefficients(image, b, out=few, threads=n)
            ),
            f"{name}, float32, new memory": lambda n, t=table: t.apply(image, threads=n),
        }
    best = {name: [float("inf")] * 2 for name in runs}
    for run in runs.values():
        run(None)
    for _ in range(options.repeat):
        for name, run in runs.items():
            wall = time.perf_counter()
            run(None)
            wall, cpu = time.perf_counter() - wall, time.thread_time()
            run(1)
            cpu = time.thread_time() - cpu
            best[name] = [min(best[name][0], wall), min(best[name][1], cpu)]
    print(f"{options.width} x {options.height}, 31 bands")
    print(f"{'':58s} all threads       one thread, processor time")
    for name, (wall, cpu) in best.items():
        base = best[NEW if "new memory" in name else "fill"]
        ratios = wall / base[0], cpu / base[1]
        print(f"{name:58s} {wall:.3f} s {ratios[0]:5.2f} x   {cpu:.3f} s {ratios[1]:5.2f} x")


if __name__ == "__main__":
    main()
