"""Networks in ONNX Runtime, exported once for each shape and kept in the cache folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from respectra.inference.backends.base import Backend
from respectra.inference.cache import cache_folder, fingerprint
from respectra.inference.engines.onnx import export_onnx, open_session
from respectra.inference.tiling import Predictor
from respectra.methods import Weights
from respectra.methods.weights import weights_hash
from respectra.notices import say_once
from respectra.typing import Float32Array

#: Pieces of so many different shapes get an export of their own; rarer ones run in PyTorch.
MOST_SHAPES = 4


class OnnxBackend(Backend):
    """A network in ONNX Runtime; the fallback runs pieces of rare shapes."""

    def __init__(self, weights: Weights, fallback: Predictor) -> None:
        super().__init__(weights)
        self._fallback = fallback
        self._sessions: dict[tuple[int, int], Any] = {}

    def __call__(self, pixels: Float32Array) -> Float32Array:
        """(y, x, 3) -> (y, x, band)."""
        height, width = pixels.shape[:2]
        session = self._session(height, width)
        if session is None:
            return self._fallback(pixels)
        image = np.ascontiguousarray(pixels.transpose(2, 0, 1))[None]
        (cube,) = session.run(None, {"image": image})
        spectra: Float32Array = np.ascontiguousarray(cube[0].transpose(1, 2, 0))
        return spectra

    def _session(self, height: int, width: int) -> Any:
        shape = (height, width)
        if shape not in self._sessions:
            if len(self._sessions) == MOST_SHAPES:
                return None
            file = self._file(height, width)
            if not file.is_file():
                say_once("preparing the network for ONNX Runtime; it takes some seconds, once")
                export_onnx(self.weights, file, height=height, width=width, overwrite=True)
            self._sessions[shape] = open_session(file)
        return self._sessions[shape]

    def _file(self, height: int, width: int) -> Path:
        import onnx
        import torch

        key = (weights_hash(self.weights), height, width, torch.__version__, onnx.__version__)
        return cache_folder() / "onnx" / f"{fingerprint(*key)}.onnx"
