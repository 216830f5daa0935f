"""What a graphics processor makes of it: tests, training, and the throughput of each method.

One command of under eight minutes on a machine with CUDA: runs the CUDA tests, trains in mixed
precision with a resume in the middle, and prints for every network megapixels a second in single
precision, in half precision (with how far that is from single precision), and by ``torch.compile``
in single precision. Weights are random: times do not depend on them.

Without CUDA it says so and stops; ``--smoke`` runs all of it on the processor, with a few small
networks, to see that it works. Those are no figures of a graphics processor.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --smoke
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

import respectra as rs
from respectra.datasets.still_life import still_life
from respectra.inference.backends.half import half_deviation, half_precision
from respectra.methods import build_network, fresh_weights, get_card, list_methods
from respectra.methods.measure import FRAME
from respectra.training import change_recipe, load_recipe, train

#: Of all of it, seconds; and of one method.
BUDGET_S, METHOD_S = 450.0, 25.0
#: What is run where there is no graphics processor.
SMOKE = ("hscnn-r", "mst-plus-plus")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="small, on whatever is there")
    parser.add_argument("--only", help="networks, with commas; all by default")
    options = parser.parse_args(arguments)
    start = time.monotonic()
    if torch.cuda.is_available():
        device = "cuda"
        print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}", flush=True)
    else:
        print("no CUDA device is here: figures of a graphics processor are owed", flush=True)
        if not options.smoke:
            return 1
        device = "cpu"
    if device == "cuda" and not options.smoke:
        print(f"CUDA tests: {run_tests()}", flush=True)
    print(f"training: {train_with_resume(device, 4 if options.smoke else 60)}", flush=True)
    chosen = SMOKE if options.smoke else tuple(n for n in list_methods() if is_network(n))
    if options.only:
        chosen = tuple(options.only.split(","))
    frame = (48, 64) if options.smoke else FRAME
    print(f"\n{frame[0]} x {frame[1]} pixels, megapixels a second")
    print("| network | single | half | off by | compiled | half over compiled |")
    print("|---|---|---|---|---|---|")
    for name in chosen:
        left = BUDGET_S - (time.monotonic() - start)
        if left < METHOD_S:
            print(f"| {name} | no time left | | | | |", flush=True)
            continue
        print(measured(name, frame, device, small=options.smoke), flush=True)
    return 0


def is_network(name: str) -> bool:
    return get_card(name).kind == "network"


def run_tests() -> str:
    tests = Path(__file__).parents[1] / "tests"
    command = [sys.executable, "-m", "pytest", "-q", "-k", "cuda", str(tests / "inference")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout.strip().splitlines() or [done.stderr.strip()[-200:]])[-1]


def train_with_resume(device: str, steps: int) -> str:
    """A run in mixed precision that is taken up in its middle."""
    changes = {
        "options": {"width": 16, "blocks": 1},
        "patches": {"size": 24, "symmetries": "all"},
        "batch": 4,
        "loss.mrae.floor": 0.01,
        "validation.floor": 0.01,
        "length.steps": steps,
    }
    if device == "cuda":
        changes["precision"] = "float16"
    with tempfile.TemporaryDirectory(prefix="respectra-") as folder:
        scenes = Path(folder) / "scenes"
        for k in range(3):
            rs.save_cube(still_life(48, 48, seed=k), scenes / f"{k}.npz")
        start = time.perf_counter()
        for length in (steps, 2 * steps):
            recipe = change_recipe(
                load_recipe("hscnn-r-clean"), {**changes, "length.steps": length}
            )
            result = train(recipe, [scenes], Path(folder) / "run", device=device, resume=True)
        took = time.perf_counter() - start
    score = result.scores["mrae"]
    return f"{2 * steps} steps in two runs, {took:.1f} s, MRAE {score:.4f} at step {result.step}"


def measured(name: str, frame: tuple[int, int], device: str, *, small: bool) -> str:
    """A row of the table."""
    weights = fresh_weights(name, preset="tiny") if small else fresh_weights(name)
    torch.manual_seed(0)
    network = build_network(name, **weights.config.model_dump()).eval().to(device)
    image = torch.rand(1, weights.config.model_dump().get("channels_in", 3), *frame).to(device)
    megapixels = frame[0] * frame[1] / 1e6

    def half() -> torch.Tensor:
        with half_precision(device):
            return network(image)

    # Smoke leaves out the compiler, which takes minutes on a processor.
    compiled = torch.compile(network, backend="eager" if small else "inductor")
    cells: list[str] = []
    rates: list[float] = []
    for run in (lambda: network(image), half, lambda: compiled(image)):
        try:
            rates.append(megapixels / seconds_of(run, device))
            cells.append(f"{rates[-1]:.3g}")
        except (RuntimeError, torch.OutOfMemoryError, NotImplementedError) as error:
            rates.append(float("nan"))
            cells.append(type(error).__name__)
    off = f"{half_deviation(network, weights, device):.1e}"
    ratio = f"{rates[1] / rates[2]:.2f}"
    return f"| {name} | {cells[0]} | {cells[1]} | {off} | {cells[2]} | {ratio} |"


def seconds_of(run: Callable[[], torch.Tensor], device: str) -> float:
    """The least time of a few runs, after one that does not count."""

    def once() -> float:
        start = time.perf_counter()
        with torch.inference_mode():
            run()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    once()
    limit = time.perf_counter() + METHOD_S / 5
    times = [once()]
    while len(times) < 5 and time.perf_counter() < limit:
        times.append(once())
    return min(times)


if __name__ == "__main__":
    sys.exit(main())
