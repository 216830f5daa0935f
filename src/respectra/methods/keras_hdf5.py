"""Reading the weights out of a Keras HDF5 file without TensorFlow and without executing anything.

Keras keeps one group a layer, ``/model_weights/LAYER/LAYER/WEIGHT``, and beside it the layer graph
as JSON, in which Lambda layers carry Python byte code. Only the arrays are read here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from respectra.errors import FormatError, no_file
from respectra.guards.hdf5 import Hdf5Array, Hdf5File, open_hdf5

_ROOT = "model_weights"
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
    if not path.is_file():
        raise no_file(path)
    try:
        file = open_hdf5(path)
    except FormatError as error:
        raise FormatError(
            f"{path} is not a readable Keras HDF5 file ({error}); download it again"
        ) from None
    weights = _layers(file)
    if not weights:
        raise FormatError(f"{path} holds no Keras weights: no arrays under /model_weights/LAYER")
    return weights


def _layers(file: Hdf5File) -> dict[str, Tensor]:
    """The weights of every layer, ``LAYER/LAYER/WEIGHT`` below the root."""
    whole_model = _ROOT in file.groups or any(_below(name, _ROOT) for name in file.skipped)
    root = f"{_ROOT}/" if whole_model else ""
    for name, reason in file.skipped.items():
        if not root or _below(name, _ROOT):
            raise FormatError(f"{file.path}: {name!r} is {reason}; nothing is followed")
    for name in file.groups:
        if name.startswith(root) and name.removeprefix(root).count("/") == 2:
            raise FormatError(f"{file.path}: {name!r} is a Group, expected a Dataset")
    weights: dict[str, Tensor] = {}
    budget = MAXIMUM_VALUES
    for name, array in file.arrays.items():
        parts = name.removeprefix(root).split("/")
        if name.startswith(root) and len(parts) == 1:
            raise FormatError(f"{file.path}: {parts[0]!r} is a Dataset, expected a Group")
        if not name.startswith(root) or len(parts) != 3 or parts[0] != parts[1]:
            continue
        budget -= array.size
        if budget < 0:
            raise FormatError(
                f"{file.path} declares more than {MAXIMUM_VALUES} values; not such a model"
            )
        weights[f"{parts[0]}/{parts[2]}"] = _tensor(array)
    return weights


def _below(name: str, root: str) -> bool:
    return name == root or name.startswith(f"{root}/")


def _tensor(array: Hdf5Array) -> Tensor:
    if array.kind != "outside" and array.dtype.kind != "f":
        found = array.dtype if array.kind == "numbers" else array.kind
        raise FormatError(
            f"{array.name!r} of {array.path} holds {found}; floating-point weights are needed"
        )
    values = np.asarray(array.read(), dtype=np.float32)
    if not np.isfinite(values).all():
        raise FormatError(f"{array.name!r} of {array.path} holds values that are not finite")
    return torch.from_numpy(values)
