"""What the engines gain over PyTorch as networks are written, at the size of the challenge.

Plain eager float32 forwards (NCHW) and the rewritten network take turns; each ratio is that of the
least times. Weights are random: times do not depend on them. AWAN is also run with its attention
by table, which is another function of the same weights; its difference is printed.

    python benchmarks/engines.py --only mst-plus-plus,rpan --rounds 3
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable

import torch
from torch import nn

from respectra.inference.engines.rewriting import deviation, rewrite
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
    torch.set_num_threads(options.threads)
    height, width = options.frame
    print(f"{height} x {width} pixels, {options.threads} threads, torch {torch.__version__}")
    header = f"{'network':<16}{'plain s':>9}{'fast s':>8}{'ratio':>7}{'CPU ratio':>11}{'wanted':>8}"
    print(f"{header}{'difference':>12}{'peak GB':>9}")
    for name in options.only.split(","):
        torch.manual_seed(0)
        network = build_network(name).eval()
        image = torch.rand(1, 3, height, width)
        variants = {name: rewrite(copy.deepcopy(network))}
        if name == "awan":
            nn.init.normal_(network.get_submodule("non_local.project").weight, std=0.1)
            variants = {name: rewrite(copy.deepcopy(network))}
            table = build_network(name, attention="table").eval()
            table.load_state_dict(network.state_dict())
            variants["awan, table"] = rewrite(table)
        for label, fast in variants.items():
            row(label, TARGETS.get(name, 0), network, fast, image, options.rounds)


def row(
    label: str, wanted: float, plain: nn.Module, fast: nn.Module, image: torch.Tensor, rounds: int
) -> None:
    with torch.inference_mode():
        fast(image)  # compiles, makes its buffers
        peak = peak_memory_bytes() / 1e9
        times = [(*timed(plain, image), *timed(fast, image)) for _ in range(rounds)]
    wall, cpu, fast_wall, fast_cpu = (min(column) for column in zip(*times, strict=True))
    print(
        f"{label:<16}{wall:>9.2f}{fast_wall:>8.2f}{wall / fast_wall:>7.2f}{cpu / fast_cpu:>11.2f}"
        f"{wanted:>8.1f}{deviation(plain, fast, image):>12.1e}{peak:>9.2f}",
        flush=True,
    )


def timed(network: Callable[[torch.Tensor], object], image: torch.Tensor) -> tuple[float, float]:
    """Seconds on the clock, and of all processors together."""
    clock, processor = time.perf_counter(), time.process_time()
    network(image)
    return time.perf_counter() - clock, time.process_time() - processor


if __name__ == "__main__":
    main()
