"""Engines: ways to run the same network."""

from typing import Literal

__all__ = ["ENGINES", "Engine"]

#: ``auto``: by a trial. ``plain``: PyTorch as the network is written. ``torch``: PyTorch with the
#: network rewritten for the CPU. ``onnx``: ONNX Runtime. ``half``: PyTorch in half precision.
Engine = Literal["auto", "plain", "torch", "onnx", "half"]
ENGINES: tuple[Engine, ...] = ("auto", "plain", "torch", "onnx", "half")
