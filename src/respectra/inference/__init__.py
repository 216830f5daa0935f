"""Inference: from images to cubes."""

from respectra.inference.reconstructor import Reconstructor, find_weights, load
from respectra.inference.streaming import Streamed, reconstruct_file, streams

__all__ = ["Reconstructor", "Streamed", "find_weights", "load", "reconstruct_file", "streams"]
