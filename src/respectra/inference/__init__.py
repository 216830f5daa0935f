"""Inference: from images to cubes."""

from respectra.inference.reconstructor import Reconstructor, find_weights, load

__all__ = ["Reconstructor", "find_weights", "load"]
