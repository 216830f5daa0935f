"""How fast patches come: from a store, and from MATLAB files the way the public toolboxes read.

The toolboxes open a whole cube (h5py), turn its axes round and cut a patch from it; the MST++
toolbox keeps all cubes in memory, which takes 28 GB for its 897 scenes: the third way. Below stands
how many patches the tiny networks with the least arithmetic take in training, forwards and
backwards, in the same run.

    python benchmarks/loading.py [--scenes 6] [--patch 128] [--batch 20] [--seconds 4]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pages
import torch

import respectra as rs
from respectra.datasets import PrepareOptions, plan_store, prepare_store
from respectra.datasets.collections import open_collection
from respectra.datasets.loading import to_tensors
from respectra.datasets.patches import Patches, PatchOptions
from respectra.datasets.store import open_store
from respectra.datasets.synthesize import SynthesisOptions, synthesize_scene

_SHAPE = (482, 512)
#: Those with the least arithmetic.
_NETWORKS = ("mxr-unet", "staffs-cvl", "csan", "hscnn-plus", "mst-plus-plus")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=6)
    parser.add_argument("--patch", type=int, default=128)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=4.0)
    pages.add_option(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        files = _write(Path(folder), arguments.scenes)
        _report(Path(folder), files, arguments)


def _write(folder: Path, count: int) -> list[Path]:
    options = SynthesisOptions(height=_SHAPE[0], width=_SHAPE[1])
    files = []
    for index in range(count):
        files.append(folder / "mat" / f"ARAD_HS_{index + 1:04d}.mat")
        rs.save_cube(synthesize_scene(1, index, options), files[-1])
    part = {"train": open_collection(folder / "mat")}
    for dtype in ("float32", "float16"):
        plan = plan_store(part, PrepareOptions(dtype=dtype))
        prepare_store(plan, folder / dtype)
    return files


def _report(folder: Path, files: list[Path], arguments: argparse.Namespace) -> None:
    size, n = arguments.patch, arguments.batch
    options = PatchOptions(size=size, per_scene=1000, symmetries="all")
    rates: dict[str, float] = {}
    for dtype in ("float32", "float16"):
        patches = Patches(open_store(folder / dtype)["train"], options)

        def from_store(step: int, patches: Patches = patches) -> None:
            first = step * n % (len(patches) - n)
            to_tensors(patches.batch(0, range(first, first + n)))

        rates[f"store, {dtype}"] = _rate(from_store, n, arguments.seconds)
    images = [np.zeros((*_SHAPE, 3), np.float32) for _ in files]
    rates["MATLAB files, whole cube each (h5py)"] = _rate(
        lambda step: _toolbox(lambda k: _read(files[k]), images, size, n, step),
        n,
        arguments.seconds,
    )
    cubes = [_read(file) for file in files]
    rates["cubes kept in memory (MST++ toolbox)"] = _rate(
        lambda step: _toolbox(lambda k: cubes[k], images, size, n, step), n, arguments.seconds
    )
    for name in _NETWORKS:
        rates[f"training steps take, tiny {name}"] = _network(name, size, n, arguments.seconds)
    slowest = rates["MATLAB files, whole cube each (h5py)"]
    page = pages.Page(
        "Reading patches for training",
        f"""Patches of {size} × {size} a second from scenes of {_SHAPE[0]} × {_SHAPE[1]} × 31, in
        batches of {n}, one thread. The toolboxes open a whole cube for each patch (h5py), or keep
        all cubes in memory and turn a copy of each patch; here patches are cut from a
        memory-mapped store of `respectra data prepare`.""",
    )
    rows = [(name, f"{rate:.1f}", f"{rate / slowest:.1f}×") for name, rate in rates.items()]
    page.table(("way", "patches a second", "ratio"), rows)
    fastest = max(rate for name, rate in rates.items() if name.startswith("training steps"))
    share = rates["store, float32"] / fastest
    page.text(f"The store gives {share:.0f} times what the fastest of these networks takes.")
    page.write(arguments.write)


def _read(file: Path) -> np.ndarray:
    with h5py.File(file, "r") as data:
        return np.transpose(np.float32(np.array(data["cube"])), [0, 2, 1])


def _toolbox(
    cube_of: Callable[[int], np.ndarray], images: list[np.ndarray], size: int, n: int, step: int
) -> None:
    """One batch as the toolbox's data set and PyTorch's default collation make it."""
    rng = np.random.default_rng(step)
    parts = []
    for _ in range(n):
        k = int(rng.integers(len(images)))
        cube, image = cube_of(k), images[k].transpose(2, 0, 1)
        y, x = rng.integers(cube.shape[1] - size + 1), rng.integers(cube.shape[2] - size + 1)
        pair = [a[:, y : y + size, x : x + size] for a in (image, cube)]
        turns = int(rng.integers(4))
        pair = [np.rot90(a, turns, axes=(1, 2)).copy() for a in pair]
        if rng.integers(2):
            pair = [a[:, :, ::-1].copy() for a in pair]
        if rng.integers(2):
            pair = [a[:, ::-1].copy() for a in pair]
        parts.append([torch.from_numpy(np.ascontiguousarray(a)) for a in pair])
    torch.stack([a for a, _ in parts])
    torch.stack([b for _, b in parts])


def _network(name: str, size: int, n: int, seconds: float) -> float:
    net = rs.build_network(name, preset="tiny")
    optimiser = torch.optim.Adam(net.parameters())
    image, truth = torch.rand(n, 3, size, size), torch.rand(n, 31, size, size)

    def step(_: int) -> None:
        optimiser.zero_grad()
        torch.nn.functional.l1_loss(net(image), truth).backward()
        optimiser.step()

    return _rate(step, n, seconds)


def _rate(step: Callable[[int], None], n: int, seconds: float) -> float:
    """Patches a second: the best of several steps, after one that warms up."""
    step(0)
    best, number, stop = np.inf, 0, time.perf_counter() + seconds
    while time.perf_counter() < stop or number < 3:
        number += 1
        start = time.perf_counter()
        step(number)
        best = min(best, time.perf_counter() - start)
    return n / best


if __name__ == "__main__":
    main()
