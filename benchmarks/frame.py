"""Time and peak memory of every method on one frame of the challenge, on this machine's CPU.

Every method runs at its published size with fresh weights, in a process of its own, so that the
peak is its own. The whole list takes an hour on two cores: choose with --only.

    python benchmarks/frame.py --only rpan,lfb --threads 2
"""

from __future__ import annotations

import argparse
import platform
import sys

import torch

from respectra.errors import RespectraError
from respectra.methods import get_card, get_method, list_methods
from respectra.methods.measure import FRAME, FrameCost, count_gmac, measure_frame


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="names of methods, separated by commas")
    parser.add_argument("--preset", default="published")
    parser.add_argument("--frame", type=int, nargs=2, default=FRAME, metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()

    names = options.only.split(",") if options.only else list_methods()
    for name in names:
        get_method(name)
    frame = (options.frame[0], options.frame[1])
    print(f"{platform.processor() or platform.machine()}, {options.threads} threads, ", end="")
    print(f"torch {torch.__version__}, {frame[0]} x {frame[1]} pixels, float32, channels last")
    print(f"{'method':<18}{'s':>9}{'GMAC':>10}{'GMAC/s':>9}{'peak GB':>9}{'claim':>7}")
    broken = False
    for name in names:
        try:
            cost = measure_frame(name, preset=options.preset, frame=frame, threads=options.threads)
        except RespectraError as error:
            print(f"{name:<18}{error}", flush=True)
            broken = True
            continue
        claim = get_card(name).memory_gb
        broken |= frame == FRAME and claim is not None and cost.peak_gb > claim
        print(_row(cost, claim), flush=True)
    return int(broken)


def _row(cost: FrameCost, claim: float | None) -> str:
    network = get_card(cost.name).kind == "network"
    gmac = count_gmac(cost.name, preset=cost.preset, frame=cost.frame) if network else None
    return (
        f"{cost.name:<18}{cost.seconds:>9.3f}"
        + (f"{gmac:>10.1f}{gmac / cost.seconds:>9.1f}" if gmac is not None else f"{'':>19}")
        + f"{cost.peak_gb:>9.2f}"
        + (f"{claim:>7.1f}" if claim is not None else "")
    )


if __name__ == "__main__":
    sys.exit(main())
