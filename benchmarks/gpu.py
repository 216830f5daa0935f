"""What a graphics processor makes of it: tests, training, and the throughput of each method.

One command of under eight minutes on a machine with CUDA: runs the CUDA tests, trains in mixed
precision with a resume in the middle, keeps guarantees and references there and on the processor,
recovers a large picture from disk to disk, and prints for every network megapixels a second in
single precision, in half precision (with how far that is from single precision), and by
``torch.compile`` in single precision. Weights are random: times do not depend on them. Compiling
takes longest: it is done last, in a process of its own that is ended when the time is over.

Without CUDA it says so and stops; ``--smoke`` runs all of it on the processor, with a few small
networks, to see that it works. Those are no figures of a graphics processor.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --smoke
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

import respectra as rs
from respectra.datasets.still_life import still_life
from respectra.inference.backends.half import half_deviation, half_precision
from respectra.inference.on_device.guarantees import enforce
from respectra.methods import Weights, build_network, fresh_weights, get_card, list_methods
from respectra.methods.measure import FRAME
from respectra.training import change_recipe, load_recipe, train

#: Of all of it, and of the CUDA tests, seconds; and of one method without compiling.
BUDGET_S, TESTS_S, METHOD_S = 450.0, 150.0, 10.0
#: What is run where there is no graphics processor.
SMOKE = ("hscnn-r", "mst-plus-plus")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="small, on whatever is there")
    parser.add_argument("--only", help="networks, with commas; all by default")
    parser.add_argument("--compiled", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    chosen = SMOKE if options.smoke else tuple(n for n in list_methods() if is_network(n))
    if options.only:
        chosen = tuple(options.only.split(","))
    frame = (48, 64) if options.smoke else FRAME
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if options.compiled:
        for name in chosen:
            print(f"{name} {compiled_rate(name, frame, device, small=options.smoke)}", flush=True)
        return 0
    end = time.monotonic() + BUDGET_S
    if device == "cuda":
        print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}", flush=True)
    else:
        print("no CUDA device is here: figures of a graphics processor are owed", flush=True)
        if not options.smoke:
            return 1
    if device == "cuda" and not options.smoke:
        print(f"CUDA tests: {run_tests()}", flush=True)
    print(f"training: {train_with_resume(device, 4 if options.smoke else 60)}", flush=True)
    print(f"guarantees and references: {keep_there(frame, device)}", flush=True)
    print(f"from disk to disk: {recover_file(device, 96 if options.smoke else 4096)}", flush=True)
    rates = {}
    for name in chosen:
        if end - time.monotonic() > METHOD_S:
            rates[name] = measured(name, frame, device, small=options.smoke)
            print(f"  {name}: {rates[name][0]}, in half precision {rates[name][1]}", flush=True)
    if options.smoke:
        compiled = {name: compiled_rate(name, frame, device, small=True) for name in chosen}
    else:
        compiled = compiled_rates(chosen, end)
    print_table(rates, compiled, frame)
    return 0


def print_table(
    rates: Mapping[str, tuple[str, str, str]], compiled: Mapping[str, str], frame: tuple[int, int]
) -> None:
    print(f"\n{frame[0]} x {frame[1]} pixels, megapixels a second")
    print("| network | single | half | off by | compiled | half over compiled |")
    print("|---|---|---|---|---|---|")
    for name, (single, half, off) in rates.items():
        other, ratio = compiled.get(name, "no time left"), "-"
        with contextlib.suppress(ValueError):
            ratio = f"{float(half) / float(other):.2f}"
        print(f"| {name} | {single} | {half} | {off} | {other} | {ratio} |", flush=True)


def is_network(name: str) -> bool:
    return get_card(name).kind == "network"


def run_tests() -> str:
    tests = Path(__file__).parents[1] / "tests" / "inference"
    command = [sys.executable, "-m", "pytest", "-q"]
    command += [str(tests / name) for name in ("test_cuda.py", "test_on_device.py")]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TESTS_S)
    except subprocess.TimeoutExpired:
        return f"not done after {TESTS_S:.0f} s"
    return (done.stdout.strip().splitlines() or [done.stderr.strip()[-200:]])[-1]


def keep_there(frame: tuple[int, int], device: str) -> str:
    """Guarantees and references of a cube, on the device and after a copy on the processor."""
    clean = rs.get_track("clean")
    scene = still_life(*frame, seed=0)
    image = clean.render(scene)
    rng = np.random.default_rng(0)
    y, x = rng.integers(0, min(frame), (2, 24))
    spots = rs.References(np.stack([y, x], axis=1), scene.values[y, x], scene["wavelength"].values)
    method = rs.load("respectra", guarantees=("consistent", "non-negative", "smooth"), device="cpu")
    kept = method.with_references(image, spots).guarantees
    start = method.predict(np.asarray(image.values, np.float32), bits=8)
    start = np.asarray(start * rng.uniform(0.9, 1.1, start.shape), np.float32)
    there = torch.from_numpy(start).to(device)
    grid = method.contract.wavelengths_nm
    cube = rs.make_cube(start, grid)
    found = enforce(kept, there.clone(), image, 1.0, grid)[0].cpu().numpy()
    expected = kept.enforce(cube, image)[0].values
    off = np.abs(found - expected).max(axis=2) / np.abs(expected).max(axis=2)
    rates = [
        frame[0] * frame[1] / 1e6 / seconds_of(run, device)
        for run in (
            lambda: enforce(kept, there.clone(), image, 1.0, grid)[0].cpu(),
            lambda: kept.enforce(rs.make_cube(there.cpu().numpy(), grid), image),
        )
    ]
    return (
        f"{rates[0]:.3g} megapixels a second there, {rates[1]:.3g} here, "
        f"99.5 % of pixels within {np.quantile(off, 0.995):.1e}"
    )


def recover_file(device: str, side: int) -> str:
    """A large picture, its guarantees kept, into a store; tiles by the memory of the device."""
    method = rs.load("respectra", guarantees=("consistent", "non-negative"), device=device)
    codes = np.random.default_rng(0).integers(0, 256, (side // 4, side // 4, 3), np.uint8)
    with tempfile.TemporaryDirectory(prefix="respectra-") as folder:
        np.save(Path(folder) / "in.npy", np.kron(codes, np.ones((4, 4, 1), np.uint8)))
        start = time.perf_counter()
        done = rs.reconstruct_file(
            method, Path(folder) / "in.npy", Path(folder) / "out.zarr", kind="clean"
        )
        took = time.perf_counter() - start
    return f"{side**2 / 1e6:.3g} megapixels in {done.pieces} pieces, {took:.1f} s"


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


def network_of(
    name: str, frame: tuple[int, int], device: str, *, small: bool
) -> tuple[Weights, torch.nn.Module, torch.Tensor]:
    weights = fresh_weights(name, preset="tiny") if small else fresh_weights(name)
    torch.manual_seed(0)
    network = build_network(name, **weights.config.model_dump()).eval().to(device)
    image = torch.rand(1, weights.config.model_dump().get("channels_in", 3), *frame).to(device)
    return weights, network, image


def rate_of(run: Callable[[], torch.Tensor], frame: tuple[int, int], device: str) -> str:
    """Megapixels a second, or what went wrong."""
    try:
        return f"{frame[0] * frame[1] / 1e6 / seconds_of(run, device):.3g}"
    except (RuntimeError, torch.OutOfMemoryError, NotImplementedError) as error:
        return type(error).__name__


def measured(
    name: str, frame: tuple[int, int], device: str, *, small: bool
) -> tuple[str, str, str]:
    """Single precision, half precision, and how far apart they are."""
    weights, network, image = network_of(name, frame, device, small=small)

    def half() -> torch.Tensor:
        with half_precision(device):
            return network(image)

    found = (
        rate_of(lambda: network(image), frame, device),
        rate_of(half, frame, device),
        f"{half_deviation(network, weights, device):.1e}",
    )
    if device == "cuda":
        torch.cuda.empty_cache()
    return found


def compiled_rate(name: str, frame: tuple[int, int], device: str, *, small: bool) -> str:
    _, network, image = network_of(name, frame, device, small=small)
    # Smoke leaves out the compiler, which takes minutes on a processor.
    compiled = torch.compile(network, backend="eager" if small else "inductor")
    return rate_of(lambda: compiled(image), frame, device)


def compiled_rates(names: Sequence[str], end: float) -> dict[str, str]:
    """What a process of its own says before the time is over."""
    command = [sys.executable, __file__, "--compiled", "--only", ",".join(names)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=max(1.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # the compiler has processes of its own
        said, _ = process.communicate()
    lines = [line.split(" ", 1) for line in said.splitlines()]
    return {name: rate for name, rate in lines if name in names}


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
