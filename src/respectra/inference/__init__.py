"""Inference: from images to cubes."""

from respectra.inference.ensembles import ModelEnsemble, SelfEnsemble
from respectra.inference.reconstructor import Reconstructor, find_weights, load
from respectra.inference.streaming import Streamed, reconstruct_file, streams

__all__ = [
    "ModelEnsemble",
    "Reconstructor",
    "SelfEnsemble",
    "Streamed",
    "find_weights",
    "load",
    "reconstruct_file",
    "streams",
]
