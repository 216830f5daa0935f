"""Backends: what runs the weights of a method, behind one interface.

``network`` (PyTorch), ``pixels`` (networks of single pixels in NumPy), ``onnx`` (ONNX Runtime, for
the tiles of a network), ``fitted`` (classical methods in NumPy, look-up tables), ``module`` (a
module of the user's own).
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from respectra.devices import pick_device
from respectra.errors import unknown_name
from respectra.inference.backends.base import Backend
from respectra.inference.engines import ENGINES
from respectra.methods import Weights, is_classical

__all__ = ["BringsBackend", "make_backend"]


@runtime_checkable
class BringsBackend(Protocol):
    """Weights of a method that only they know, with what runs it."""

    def make_backend(self, *, device: str, engine: str) -> Backend:
        """The backend."""
        ...


def make_backend(weights: Weights, *, device: str = "auto", engine: str = "torch") -> Backend:
    """The backend that runs a set of weights.

    Args:
        weights: of a network, a classical method, a table, or weights that bring their own.
        device: of a network; see :func:`respectra.devices.pick_device`. NumPy, tables and ONNX
            Runtime run on the processor.
        engine: of a network; see :class:`respectra.inference.backends.network.NetworkBackend`.

    Raises:
        ConfigError: an unknown engine, or a device that is not there.
    """
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    if device != "auto":
        device = pick_device(device)  # checked for every method, whatever then runs
    if isinstance(weights, BringsBackend):
        return weights.make_backend(device=pick_device(device), engine=engine)
    if weights.baked is not None or is_classical(weights.method):
        from respectra.inference.backends.fitted import ClassicalBackend, TableBackend

        return ClassicalBackend(weights) if weights.baked is None else TableBackend(weights)
    device = "cpu" if engine == "onnx" else pick_device(device)
    if engine == "auto" and device == "cpu":
        from respectra.inference.backends.pixels import pixel_backend

        backend = pixel_backend(weights)
        if backend is not None:
            return backend
    from respectra.inference.backends.network import NetworkBackend

    return NetworkBackend(weights, device=device, engine=engine)
