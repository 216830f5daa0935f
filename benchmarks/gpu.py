"""What a graphics processor makes of it: tests, training, and the throughput of each method.

One command of under eight minutes on a machine with CUDA: runs the CUDA tests, trains in mixed
precision with a resume in the middle, keeps guarantees and references there and on the processor,
recovers pictures into memory and from disk to disk, and prints for every network megapixels a
second in single precision, by ``torch.compile`` in single precision, and in half precision (with
how far that is from single precision). Weights are random: times do not depend on them. Compiling
takes longest: processes of their own compile while the rest is measured, and are timed one by one
afterwards, until the time is over.

Without CUDA it says so and stops; ``--smoke`` runs all of it on the processor, with a few small
networks, to see that it works. Those are no figures of a graphics processor.

    python benchmarks/gpu.py --write docs/benchmarks/gpu.md
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
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import pages

import respectra as rs
from respectra.datasets.still_life import still_life
from respectra.guards.limits import free_memory
from respectra.inference.networks import (
    HALF_TOLERANCE,
    half_deviation,
    half_precision,
    single_precision,
)
from respectra.inference.on_device.guarantees import enforce
from respectra.methods import Weights, build_network, fresh_weights, get_card, list_methods
from respectra.methods.measure import FRAME
from respectra.training import change_recipe, load_recipe, train

#: Of all of it, and of the CUDA tests, seconds; and of one measurement.
BUDGET_S, TESTS_S, RATE_S = 420.0, 150.0, 2.0
#: Before the end, no further network is measured; the last compiled ones are timed.
TAIL_S = 60.0
#: Of this machine, what a process that compiles may take.
COMPILING_BYTES = 4 * 10**9
#: What is run where there is no graphics processor.
SMOKE = ("hscnn-r", "mst-plus-plus")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="small, on whatever is there")
    parser.add_argument("--only", help="networks, with commas; all by default")
    parser.add_argument("--compiled", metavar="NETWORK", help=argparse.SUPPRESS)
    pages.add_option(parser)
    options = parser.parse_args(arguments)
    frame = (48, 64) if options.smoke else FRAME
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if options.compiled:
        time_compiled(options.compiled, frame, device, small=options.smoke)
        return 0
    if device == "cpu":
        print("no CUDA device is here: figures of a graphics processor are owed", flush=True)
        if not options.smoke:
            return 1
    chosen = SMOKE if options.smoke else tuple(n for n in list_methods() if is_network(n))
    if options.only:
        chosen = tuple(options.only.split(","))
    name = torch.cuda.get_device_name() if device == "cuda" else "no graphics processor"
    page = pages.Page(
        "A graphics processor",
        f"""One {name}, PyTorch {torch.__version__}. The networks have random weights and see
        {frame[0]} x {frame[1]} pixels that lie on the device; the default method's pictures lie in
        this machine's memory, or on its disk, and so do the cubes.""",
    )
    end = time.monotonic() + BUDGET_S
    with compiling(chosen, end, small=options.smoke) as compiled:
        page.table(("what", "measured"), whole(frame, device, small=options.smoke))
        rates = {}
        for network in chosen:
            if time.monotonic() > end - TAIL_S:
                break
            rates[network] = measured(network, frame, device, small=options.smoke)
            print(f"  {network}: {rates[network]}", flush=True)
        compiled.release()
        others = compiled.results()
    page.table(
        ("network", "single", "compiled", "single over compiled", "half", "half is off by"),
        [row_of(network, rates[network], others.get(network, "no time left")) for network in rates],
        "Megapixels a second",
    )
    page.text(
        f"""Half precision is off by the largest difference to single precision on noise, over the
        largest value; the engine refuses more than {HALF_TOLERANCE:g}."""
    )
    page.write(options.write)
    return 0


def row_of(name: str, rates: tuple[str, str, str], compiled: str) -> tuple[str, ...]:
    single, half, off = rates
    ratio = "-"
    with contextlib.suppress(ValueError):
        ratio = f"{float(single) / float(compiled):.2f}"
    return name, single, compiled, ratio, half, off


def whole(frame: tuple[int, int], device: str, *, small: bool) -> Iterator[tuple[str, str]]:
    """What is tried of the product itself; a part that fails says why, and the rest goes on."""
    parts: dict[str, Callable[[], str]] = {
        "training in mixed precision": lambda: train_with_resume(device, 4 if small else 60),
        "guarantees and references": lambda: keep_there(frame, device),
        "a photograph into memory": lambda: recover_photograph(device, 96 if small else 2880),
        "from disk to disk": lambda: recover_file(device, 96 if small else 4096),
    }
    if device == "cuda" and not small:
        parts = {"CUDA tests": run_tests, **parts}
    for what, run in parts.items():
        try:
            found = run()
        except Exception:  # of code that has met no graphics processor yet
            traceback.print_exc()
            found = "failed"
        print(f"{what}: {found}", flush=True)
        yield what, found


def is_network(name: str) -> bool:
    return get_card(name).kind == "network"


def run_tests() -> str:
    tests = Path(__file__).parents[1] / "tests" / "inference"
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short"]
    command += [str(tests / name) for name in ("test_cuda.py", "test_on_device.py")]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TESTS_S)
    except subprocess.TimeoutExpired:
        return f"not done after {TESTS_S:.0f} s"
    if done.returncode:
        print(done.stdout[-6000:], done.stderr[-1000:], flush=True)
    return (done.stdout.strip().splitlines() or [done.stderr.strip()[-200:]])[-1].strip("= ")


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


def recover_photograph(device: str, side: int) -> str:
    """8-bit codes whose colours repeat, as a photograph's do, by engines of the default method."""
    rng = np.random.default_rng(0)
    codes = np.kron(rng.integers(0, 256, (side // 8, side // 8, 3)), np.ones((8, 8, 1), int))
    codes = np.clip(codes + rng.integers(-1, 2, codes.shape), 0, 255)
    image = rs.make_image(codes.astype(np.float32) / np.float32(255), encoding="srgb", bits=8)
    said = []
    for engine in ("auto", "half"):
        method = rs.load("respectra", device=device, engine=engine)
        method(image[:64, :64])
        start = time.perf_counter()
        method(image)
        took = time.perf_counter() - start
        said.append(f"{engine} {took:.2f} s")
    return f"{codes.shape[0] * codes.shape[1] / 1e6:.3g} megapixels: {', '.join(said)}"


def recover_file(device: str, side: int) -> str:
    """A large picture, its guarantees kept, into a store; tiles by the memory of the device."""
    method = rs.load("respectra", guarantees=("consistent", "non-negative"), device=device)
    image = rs.get_track("clean").render(still_life(side // 8, side // 8, seed=0))
    codes = np.tile(np.rint(image.values * 255).astype(np.uint8), (8, 8, 1))
    with tempfile.TemporaryDirectory(prefix="respectra-") as folder:
        np.save(Path(folder) / "in.npy", codes)
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
    except Exception as error:  # compilers and drivers raise anything
        print(f"{type(error).__name__}: {str(error)[:300]}", file=sys.stderr, flush=True)
        return type(error).__name__


def measured(
    name: str, frame: tuple[int, int], device: str, *, small: bool
) -> tuple[str, str, str]:
    """Single precision, half precision, and how far apart they are."""
    weights, network, image = network_of(name, frame, device, small=small)

    def half() -> torch.Tensor:
        with half_precision(device):
            return network(image)

    with single_precision(device):
        single = rate_of(lambda: network(image), frame, device)
    rate, off = rate_of(half, frame, device), "-"
    with contextlib.suppress(RuntimeError):  # as the rate said
        off = f"{half_deviation(network, weights, device):.1e}"
    if device == "cuda":
        torch.cuda.empty_cache()
    return single, rate, off


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
    limit = time.perf_counter() + RATE_S
    times = [once()]
    while len(times) < 10 and time.perf_counter() < limit:
        times.append(once())
    return min(times)


# --- compiled networks ---------------------------------------------------------------------------


def time_compiled(name: str, frame: tuple[int, int], device: str, *, small: bool) -> None:
    """Of a process of its own: compile, say so, wait for a line, and say the rate."""
    _, network, image = network_of(name, frame, device, small=small)
    # Smoke leaves out the compiler, which takes minutes on a processor.
    compiled = torch.compile(network, backend="eager" if small else "inductor")
    with single_precision(device):
        rate_of(lambda: compiled(image), (1, 1), device)
        if device == "cuda":
            torch.cuda.empty_cache()  # others compile and measure meanwhile
        print("compiled", flush=True)
        if sys.stdin.readline():
            print(rate_of(lambda: compiled(image), frame, device), flush=True)


class Compiling:
    """Processes that each compile one network, side by side, and are timed one at a time.

    Args:
        names: of the networks.
        end: when all are ended, by ``time.monotonic``.
        small: tiny networks that are not compiled, for a try.
    """

    def __init__(self, names: Iterable[str], end: float, *, small: bool) -> None:
        names = tuple(names)
        room = max(1, int(free_memory() // COMPILING_BYTES))
        self._end, self._small = end, small
        self._compilers = threading.Semaphore(max(1, (os.cpu_count() or 1) // 2))
        self._card = threading.Semaphore(0)  # taken until whoever made this says so
        self._started: list[subprocess.Popen[str]] = []
        self._over = False
        self._pool = ThreadPoolExecutor(min(room, len(names)))
        self._rates = {name: self._pool.submit(self._rate, name) for name in names}

    def release(self) -> None:
        """Nobody else uses the graphics processor any more."""
        self._card.release()

    def results(self) -> dict[str, str]:
        """The rates of those that were done in time."""
        wait(self._rates.values(), max(0.0, self._end - time.monotonic()))
        self.stop()
        return {name: rate.result() for name, rate in self._rates.items() if not rate.cancelled()}

    def stop(self) -> None:
        """End all processes; the compiler has some of its own."""
        self._over = True
        for process in self._started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        self._card.release()
        self._pool.shutdown(cancel_futures=True)

    def _rate(self, name: str) -> str:
        command = [sys.executable, __file__, "--compiled", name]
        command += ["--smoke"] if self._small else []
        with self._compilers:
            if self._over:
                return "no time left"
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
                env={**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": "2"},
            )
            self._started.append(process)
            assert process.stdout is not None
            ready = process.stdout.readline()
        with self._card:
            if self._over or not ready:
                return "no time left" if self._over else "failed"
            said, _ = process.communicate("now\n")
        found = said.strip() or ("no time left" if self._over else "failed")
        print(f"  {name}, compiled: {found}", flush=True)
        return found


@contextlib.contextmanager
def compiling(names: Iterable[str], end: float, *, small: bool) -> Iterator[Compiling]:
    processes = Compiling(names, end, small=small)
    try:
        yield processes
    finally:
        processes.stop()


if __name__ == "__main__":
    sys.exit(main())
