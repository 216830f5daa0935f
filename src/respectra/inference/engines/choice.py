"""Which engine runs a network fastest here: a quick trial, remembered."""

from __future__ import annotations

import time

import numpy as np

from respectra.inference.backends.onnx import OnnxBackend
from respectra.inference.cache import fingerprint, machine, remember
from respectra.inference.engines import Engine, onnx
from respectra.inference.tiling import Predictor
from respectra.methods import Weights
from respectra.typing import Float32Array

#: Side of the piece that is tried, pixels.
_SIDE = 128


def fastest(weights: Weights, in_torch: Predictor) -> Engine:
    """``torch`` or ``onnx``, whichever takes less for a piece of 128 x 128 pixels.

    The trial takes some seconds, the export included, the first time that a configuration runs
    on a machine.
    """
    if not onnx.exportable(weights):
        return "torch"
    key = fingerprint(weights.method, weights.config.model_dump(mode="json"), machine())

    def trial() -> str:
        rivals: dict[str, Predictor] = {
            "torch": in_torch,
            "onnx": OnnxBackend(weights, in_torch),
        }
        pixels = np.random.default_rng(0).random((_SIDE, _SIDE, 3), dtype=np.float32)
        return min(rivals, key=lambda name: _seconds(rivals[name], pixels))

    return "onnx" if remember("engines", key, trial) == "onnx" else "torch"


def _seconds(predict: Predictor, pixels: Float32Array) -> float:
    predict(pixels)
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        predict(pixels)
        best = min(best, time.perf_counter() - start)
    return best
