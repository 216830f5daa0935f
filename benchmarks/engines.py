"""What the rewritten networks gain over PyTorch as networks are written, at the challenge's size.

Each network runs in a process of its own, as its users run it. There the plain eager float32
forward (NCHW) and the rewritten one of the same weights take turns after one run of the latter;
the ratio is that of the least times. Weights are random: times do not depend on them.

``--peers`` adds what the libraries do with the same network in the same run: ONNX Runtime and
``torch.compile``. A rewritten form is worth its lines where it beats the better of the two by 1.3.

    python benchmarks/engines.py --only mst-plus-plus,awan --rounds 3 --peers
"""

from __future__ import annotations

import argparse
import copy
import multiprocessing
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pages
import torch
from torch import Tensor, nn

from respectra.inference.engines.rewriting import rewrite
from respectra.methods import build_network
from respectra.methods.measure import FRAME, peak_memory_bytes

#: Network -> the gain that is wanted.
TARGETS = {
    "mst-plus-plus": 3.0,
    "fmnet": 1.8,
    "awan": 2.0,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(TARGETS), help="networks, with commas")
    parser.add_argument("--frame", type=int, nargs=2, default=FRAME, metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--peers", action="store_true", help="ONNX Runtime and torch.compile too")
    pages.add_option(parser)
    options = parser.parse_args()
    height, width = options.frame
    columns = "network", "plain, s", "rewritten, s", "ratio", "CPU ratio", "wanted", "difference"
    columns += ("peak, GB", *(("ONNX, s", "compiled, s", "over best") if options.peers else ()))
    rows = []
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh, max_tasks_per_child=1) as pool:
        for name in options.only.split(","):
            row = pool.submit(
                measured, name, options.frame, options.rounds, options.threads, options.peers
            )
            rows.append(row.result())
    page = pages.Page(
        "Networks rewritten for processors",
        f"""The published sizes on one image of {height} × {width}, {options.threads} threads: the
        network as PyTorch runs it (eager, float32) and as Respectra rewrites it, the same weights,
        in turns in one run. The least of {options.rounds} times; *difference* is the largest one
        over the largest value.""",
    )
    page.table(columns, rows)
    page.write(options.write)


def measured(
    name: str, frame: tuple[int, int], rounds: int, threads: int, with_peers: bool = False
) -> tuple[str, ...]:
    """A row of the table."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    plain = build_network(name).eval()
    if name == "awan":  # begins at zero, which would switch its last module off
        nn.init.normal_(plain.get_parameter("non_local.project.weight"), std=0.1)
    fast = rewrite(copy.deepcopy(plain))
    image = torch.rand(1, 3, *frame)
    with torch.inference_mode():
        got = fast(image)  # compiles, makes its buffers
        peak = peak_memory_bytes() / 1e9
        expected = plain(image)
        runs = {"plain": lambda: plain(image), "fast": lambda: fast(image)}
        times = pages.in_turns(runs, rounds)
    difference = float((got - expected).abs().max() / expected.abs().max())
    (wall, cpu), (fast_wall, fast_cpu) = times["plain"], times["fast"]
    row = (
        f"`{name}`",
        f"{wall:.2f}",
        f"{fast_wall:.2f}",
        f"{wall / fast_wall:.2f}",
        f"{cpu / fast_cpu:.2f}",
        f"{TARGETS.get(name, 0):.1f}",
        f"{difference:.1e}",
        f"{peak:.2f}",
    )
    if not with_peers:
        return row
    seconds = {
        "onnx": least(in_onnx_runtime(plain, image), image, rounds),
        "compiled": least(torch.compile(plain, dynamic=False), image, rounds),
    }
    over = min(seconds.values()) / fast_wall
    return (*row, f"{seconds['onnx']:.2f}", f"{seconds['compiled']:.2f}", f"{over:.2f}")


def in_onnx_runtime(network: nn.Module, image: Tensor) -> Callable[[Tensor], object]:
    """The network as ONNX Runtime runs it, with PyTorch's number of threads."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        program = torch.onnx.export(network, (image,), dynamo=True, verbose=False)
        assert program is not None
        program.save(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda image: session.run(None, {given.name: image.numpy()})


def least(run: Callable[[Tensor], object], image: Tensor, rounds: int) -> float:
    """The least of the seconds that some runs take, after one that is not counted."""
    with torch.inference_mode():
        return pages.in_turns({"": lambda: run(image)}, rounds)[""][0]


if __name__ == "__main__":
    main()
