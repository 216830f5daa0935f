"""Inference: from images to cubes."""

from typing import TYPE_CHECKING

from respectra.inference.ensembles import ModelEnsemble, SelfEnsemble
from respectra.inference.files import reconstruct_files
from respectra.inference.jobs import Outcome
from respectra.inference.known import KnownFacts
from respectra.inference.loading import find_weights, load
from respectra.inference.reconstructor import Reconstructor
from respectra.inference.streaming import Streamed, reconstruct_file, streams
from respectra.inference.video import ReconstructedVideo, reconstruct_video
from respectra.inference.video_store import Flicker
from respectra.renaming import lazy_names

if TYPE_CHECKING:
    from respectra.inference.engines.onnx import export_onnx

__getattr__ = lazy_names(__name__, {"engines.onnx": ["export_onnx"]}, within=["tables"])

__all__ = [
    "Flicker",
    "KnownFacts",
    "ModelEnsemble",
    "Outcome",
    "ReconstructedVideo",
    "Reconstructor",
    "SelfEnsemble",
    "Streamed",
    "export_onnx",
    "find_weights",
    "load",
    "reconstruct_file",
    "reconstruct_files",
    "reconstruct_video",
    "streams",
]
