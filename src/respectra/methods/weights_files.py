"""Weights files: safetensors with method, configuration, contract and card in the header."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from respectra.errors import ConfigError, DataError, FormatError, no_file
from respectra.files import atomic_path
from respectra.guards.text import parse_object
from respectra.methods.contract import Contract
from respectra.methods.registry import build_network, configure, get_method
from respectra.methods.weights import Weights

#: Version of the header; raised when its meaning changes.
FORMAT = 1
_KEY = "respectra"


def fresh_weights(
    name: str,
    *,
    preset: str = "published",
    contract: Contract | None = None,
    **options: object,
) -> Weights:
    """Weights of a network that has learned nothing: for timings, and to look at shapes.

    Args:
        name: of a network.
        preset: as for :func:`build_network`.
        contract: that of the clean track by default.
        options: as for :func:`build_network`; values are drawn from PyTorch's generator.

    Raises:
        ConfigError: unknown method, preset or option, or a value that is not allowed.

    Example:
        >>> fresh_weights("awan", preset="tiny").parameters < 100_000
        True
    """
    state = build_network(name, preset=preset, **options).state_dict()
    tensors = {key: tensor.numpy() for key, tensor in state.items()}
    config = configure(name, preset=preset, **options)
    return Weights(name, config, contract or Contract(), tensors)


def save_weights(
    weights: Weights,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    shared: bool = False,
) -> None:
    """Write a weights file, whole or not at all.

    Args:
        weights: what is written.
        path: where to.
        overwrite: replace what is there.
        shared: several processes may write it at once and the last one stays, as in a cache.

    Raises:
        OutputError: the file exists and ``overwrite`` is false, or cannot be written.
        ConfigError: their method is not registered, so that nobody could load them.

    Example:
        >>> save_weights(fresh_weights("awan", preset="tiny"), "tiny.safetensors")
        >>> load_weights("tiny.safetensors").method
        'awan'
    """
    weights.require_registered("a weights file")
    header = {
        "format": FORMAT,
        "method": weights.method,
        "config": weights.config.model_dump(mode="json"),
        "contract": weights.contract.model_dump(mode="json"),
        "card": get_method(weights.method).card.model_dump(mode="json"),
        "provenance": dict(weights.provenance),
    }
    if weights.baked is not None:
        header["baked"] = dict(weights.baked)
    arrays = {name: np.asarray(array, order="C") for name, array in weights.tensors.items()}
    with atomic_path(path, overwrite=overwrite, shared=shared) as temporary:
        # save_file would leave the file to its owner alone.
        metadata = {_KEY: json.dumps(header, sort_keys=True)}
        temporary.write_bytes(save(arrays, metadata=metadata))


def load_weights(path: str | os.PathLike[str]) -> Weights:
    """Read a weights file. Nothing in it is executed.

    Raises:
        FormatError: not a weights file of ours, damaged, or of a newer format.
        ConfigError: it names a method or an option that this version does not know.

    Example:
        >>> save_weights(fresh_weights("hscnn-plus", preset="tiny"), "tiny.safetensors")
        >>> load_weights("tiny.safetensors").contract.track
        'clean'
    """
    file = Path(path)
    if not file.is_file():
        raise no_file(file, "weights file")
    try:
        with safe_open(file, framework="numpy") as archive:
            metadata = archive.metadata() or {}
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise FormatError(
            f"{file} is not a safetensors file ({error}); a checkpoint of other people is "
            "brought in with: respectra import-weights METHOD FILE -o OUT.safetensors"
        ) from None
    if _KEY not in metadata:
        raise FormatError(f"{file} is a safetensors file, but not a weights file of Respectra")
    try:
        header = parse_object(metadata[_KEY], f"the header of {file}")
        version = header["format"]
        if not isinstance(version, int) or version > FORMAT:
            raise FormatError(f"{file} has format {version}, this version reads up to {FORMAT}")
        return Weights(
            method=_name(header["method"]),
            config=get_method(_name(header["method"])).config(**header["config"]),
            contract=Contract(**header["contract"]),
            tensors=tensors,
            provenance=header["provenance"],
            baked=header.get("baked"),
        )
    except FormatError:
        raise
    except (KeyError, TypeError, AttributeError, DataError) as error:
        raise FormatError(f"the header of {file} is damaged: {error!r}") from None
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"the name of a method is text; got {value!r}")
    return value
