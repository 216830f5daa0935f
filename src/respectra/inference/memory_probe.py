"""What runs in a process of its own to measure the memory of a method; see ``memory``."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

from respectra.inference.backends import make_backend
from respectra.inference.memory import forget_peak
from respectra.methods import load_weights
from respectra.methods.measure import peak_memory_bytes


def main() -> None:
    """A task from standard input, peaks to the output."""
    import torch

    task: dict[str, Any] = json.loads(sys.stdin.read())
    torch.set_num_threads(task["threads"])
    engine = "plain" if task["engine"] == "plain" else "torch"
    predict = make_backend(load_weights(task["weights"]), device="cpu", engine=engine)
    rng = np.random.default_rng(0)
    forget_peak()
    results = [peak_memory_bytes()]
    for side in task["sides"]:
        predict(rng.random((side, side, 3), dtype=np.float32))
        results.append(peak_memory_bytes())
    sys.stdout.write("\n" + json.dumps(results) + "\n")
