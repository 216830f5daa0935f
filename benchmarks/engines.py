"""What the rewritten networks gain over PyTorch as networks are written, at the challenge's size.

Each network runs in a process of its own, as its users run it. There the plain eager float32
forward (NCHW) and the rewritten one of the same weights take turns after one run of the latter;
the ratio is that of the least times. Weights are random: times do not depend on them.

    python benchmarks/engines.py --only mst-plus-plus,rpan --rounds 3
"""

from __future__ import annotations

import argparse
import copy
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

import torch
from torch import Tensor, nn

from respectra.inference.engines.rewriting import rewrite
from respectra.methods import build_network
from respectra.methods.measure import FRAME, peak_memory_bytes

#: Network -> the gain that is wanted.
TARGETS = {
    "mst-plus-plus": 3.0,
    "hscnn-r": 1.8,
    "hrnet": 1.8,
    "fmnet": 1.8,
    "rpan": 1.8,
    "awan": 2.0,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(TARGETS), help="networks, with commas")
    parser.add_argument("--frame", type=int, nargs=2, default=FRAME, metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    height, width = options.frame
    print(f"{height} x {width} pixels, {options.threads} threads, torch {torch.__version__}")
    header = f"{'network':<16}{'plain s':>9}{'fast s':>8}{'ratio':>7}{'CPU ratio':>11}{'wanted':>8}"
    print(f"{header}{'difference':>12}{'peak GB':>9}", flush=True)
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh, max_tasks_per_child=1) as pool:
        for name in options.only.split(","):
            row = pool.submit(measured, name, options.frame, options.rounds, options.threads)
            print(row.result(), flush=True)


def measured(name: str, frame: tuple[int, int], rounds: int, threads: int) -> str:
    """A row of the table."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    plain = build_network(name).eval()
    if name == "awan":  # begins at zero, which would switch its last module off
        nn.init.normal_(plain.get_parameter("non_local.project.weight"), std=0.1)
    fast = rewrite(copy.deepcopy(plain))
    image = torch.rand(1, 3, *frame)
    with torch.inference_mode():
        fast(image)  # compiles, makes its buffers
        peak = peak_memory_bytes() / 1e9
        runs = [(timed(plain, image), timed(fast, image)) for _ in range(rounds)]
    expected, got = runs[0][0][2], runs[0][1][2]
    difference = float((got - expected).abs().max() / expected.abs().max())
    wall, cpu, fast_wall, fast_cpu = (
        min(run[which][clock] for run in runs) for which in (0, 1) for clock in (0, 1)
    )
    return (
        f"{name:<16}{wall:>9.2f}{fast_wall:>8.2f}{wall / fast_wall:>7.2f}{cpu / fast_cpu:>11.2f}"
        f"{TARGETS.get(name, 0):>8.1f}{difference:>12.1e}{peak:>9.2f}"
    )


def timed(network: nn.Module, image: Tensor) -> tuple[float, float, Tensor]:
    """Seconds on the clock, and of all processors together; the result."""
    clock, processor = time.perf_counter(), time.process_time()
    result = network(image)
    return time.perf_counter() - clock, time.process_time() - processor, result


if __name__ == "__main__":
    main()
