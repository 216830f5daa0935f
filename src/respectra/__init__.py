"""Respectra recovers the spectrum behind every pixel of an RGB picture.

The public names below are loaded when they are first used, so that ``import respectra`` costs
milliseconds and does not import torch.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.2.0"

#: Public name -> the module that defines it.
_NAMES = {
    "open_cube": "respectra.cubes",
    "save_cube": "respectra.cubes",
    "make_cube": "respectra.cubes",
    "check": "respectra.cubes",
    "inspect": "respectra.cubes",
    "relight": "respectra.cubes",
    "to_radiance": "respectra.cubes",
    "to_reflectance": "respectra.cubes",
    "open_image": "respectra.cameras",
    "save_image": "respectra.cameras",
    "make_image": "respectra.cameras",
    "get_track": "respectra.cameras",
    "simulate": "respectra.cameras",
    "open_response": "respectra.cameras",
    "save_response": "respectra.cameras",
    "calibrate": "respectra.cameras.calibration",
    "Capture": "respectra.cameras",
    "References": "respectra.cameras",
    "list_cameras": "respectra.cameras",
    "list_illuminants": "respectra.colour",
    "open_collection": "respectra.datasets",
    "check_collection": "respectra.datasets",
    "prepare_store": "respectra.datasets",
    "save_scenes": "respectra.datasets",
    "list_methods": "respectra.methods",
    "get_card": "respectra.methods",
    "build_network": "respectra.methods",
    "import_official": "respectra.methods",
    "load_weights": "respectra.methods",
    "save_weights": "respectra.methods",
    "load": "respectra.inference",
    "from_module": "respectra.inference.modules",
    "reconstruct_file": "respectra.inference",
    "reconstruct_files": "respectra.inference",
    "reconstruct_lazily": "respectra.inference.lazy",
    "bake": "respectra.inference.tables",
    "recover_colours": "respectra.inference.single_colours",
    "export_onnx": "respectra.inference",
    "Reconstructor": "respectra.inference",
    "train": "respectra.training",
    "evaluate": "respectra.evaluation",
    "load_results": "respectra.evaluation",
    "make_leaderboard": "respectra.evaluation",
    "save_report": "respectra.evaluation",
    "benchmark": "respectra.evaluation",
    "run_demo": "respectra.evaluation",
    "find_plugins": "respectra.plugins",
    "RespectraError": "respectra.errors",
}
__all__ = ["__version__", *_NAMES]
_ROOMS = (
    "cameras",
    "colour",
    "cubes",
    "datasets",
    "errors",
    "evaluation",
    "inference",
    "methods",
    "plugins",
    "progress",
    "testing",
    "training",
    "viewer",
)


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"respectra.{name}")
    raise AttributeError(f"module 'respectra' has no attribute {name!r}")


def __dir__() -> list[str]:
    own = (name for name in globals() if name.startswith("__"))
    return sorted({*own, *_NAMES, *_ROOMS})
