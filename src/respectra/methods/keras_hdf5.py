"""Reading the weights out of a Keras HDF5 file without TensorFlow and without executing anything.

Keras keeps one group a layer, ``/model_weights/LAYER/LAYER/WEIGHT``, and beside it the layer graph
as JSON, in which Lambda layers carry Python byte code. Only the arrays are read here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from respectra.errors import FormatError

#: More values than any layer stack that people exchange as Keras HDF5 of this field; a header that
#: declares more is refused before memory is taken.
MAXIMUM_VALUES = 100_000_000


def read_keras_weights(path: Path) -> dict[str, Tensor]:
    """Every weight of a Keras HDF5 file in Keras' own layout, as ``{"LAYER/WEIGHT": tensor}``.

    For example ``conv2d_1/kernel:0``, float32. Both whole-model files and weights-only files are
    read. Links to other files, external storage and virtual arrays are refused.

    Raises:
        FormatError: not an HDF5 file, truncated, or without a Keras layer tree of finite floats.
    """
    import h5py

    if not path.is_file():
        raise FormatError(f"there is no file {path}")
    try:
        with h5py.File(path, "r") as file:
            whole_model = "model_weights" in file
            root = _child(file, "model_weights", h5py.Group) if whole_model else file
            weights = _layers(root)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, MemoryError) as error:
        raise FormatError(
            f"{path} is not a readable Keras HDF5 file ({error}); download it again"
        ) from None
    if not weights:
        raise FormatError(f"{path} holds no Keras weights: no arrays under /model_weights/LAYER")
    return weights


def _layers(root: Any) -> dict[str, Tensor]:
    import h5py

    weights: dict[str, Tensor] = {}
    budget = MAXIMUM_VALUES
    for layer in root:
        outer = _child(root, layer, h5py.Group)
        if layer not in outer:
            continue  # a layer without weights
        inner = _child(outer, layer, h5py.Group)
        for name in inner:
            dataset = _child(inner, name, h5py.Dataset)
            budget -= int(dataset.size or 0)
            if budget < 0:
                raise FormatError(f"declares more than {MAXIMUM_VALUES} values; not such a model")
            weights[f"{layer}/{name}"] = _tensor(f"{layer}/{name}", dataset)
    return weights


def _child(group: Any, name: str, kind: type) -> Any:
    """A member that lies in this file; links elsewhere could name any file of the machine."""
    import h5py

    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise FormatError(f"{name!r} is a link, not data of this file; nothing is followed")
    child = group[name]
    if not isinstance(child, kind):
        raise FormatError(f"{name!r} is a {type(child).__name__}, expected a {kind.__name__}")
    return child


def _tensor(name: str, dataset: Any) -> Tensor:
    if dataset.is_virtual or dataset.external:
        raise FormatError(f"{name!r} keeps its values in another file; nothing is followed")
    if dataset.dtype.kind != "f":
        raise FormatError(f"{name!r} holds {dataset.dtype}; floating-point weights are expected")
    array = np.asarray(dataset[()], dtype=np.float32)
    if not np.isfinite(array).all():
        raise FormatError(f"{name!r} holds values that are not finite")
    return torch.from_numpy(array)
