"""Weights that are part of the package: of the project's own network and of a classical method.

``respectra train respectra --data synthetic`` makes the former for any camera, of which the
real-world track is a setting; there is one for the clean track where nothing else is known.
``scripts/fit_classical.py`` makes the latter, one set a track.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from respectra.errors import unknown_name
from respectra.methods.settings import TRACK_SETTINGS, for_track
from respectra.methods.weights import Weights
from respectra.methods.weights_files import load_weights

__all__ = ["for_captures", "list_shipped", "open_any_camera", "open_shipped", "shipped"]

_FOLDER = Path(__file__).parent


def list_shipped(name: str = "respectra") -> list[str]:
    """Tracks for which there are weights: of ``respectra``, or of ``classical``."""
    own = {p.stem.removeprefix(f"{name}-") for p in _FOLDER.glob(f"{name}-*.safetensors")}
    return sorted(own | (set(TRACK_SETTINGS) if _whole(name).is_file() else set()))


def shipped(track: str = "clean", *, name: str = "respectra") -> Path:
    """The weights file for a track; :func:`open_shipped` tells what is in it of the track.

    Args:
        track: of the images.
        name: ``respectra``, the project's own network, or ``classical``.

    Example:
        >>> shipped("real-world").name
        'respectra.safetensors'

    Raises:
        ConfigError: none are shipped for this track.
    """
    if track not in list_shipped(name):
        raise unknown_name(f"track with {name} weights", track, list_shipped(name))
    own = _FOLDER / f"{name}-{track}.safetensors"
    return own if own.is_file() else _whole(name)


def open_shipped(track: str = "clean", *, name: str = "respectra") -> Weights:
    """The weights for a track, where nothing else is known of the pictures.

    Args:
        track: of the images.
        name: ``respectra``, the project's own network, or ``classical``.

    Raises:
        ConfigError: none are shipped for this track.
    """
    weights = load_weights(shipped(track, name=name))
    return weights if weights.contract.track == track else for_track(weights, track)


def open_any_camera() -> Weights:
    """The weights of the project's own network that can be told how pictures were taken."""
    return load_weights(_whole("respectra"))


def for_captures(weights: Weights) -> Weights:
    """What is to be told of a capture in place of these weights.

    The weights that ship for the clean track know cameras alone; those for any camera take their
    place. All others stay as they are.
    """
    if weights.method != "respectra" or getattr(weights.config, "told", False) or weights.baked:
        return weights
    own = load_weights(shipped("clean"))
    same = all(np.array_equal(weights.tensors.get(k, 0), own.tensors[k]) for k in own.tensors)
    return open_any_camera() if same else weights


def _whole(name: str) -> Path:
    return _FOLDER / f"{name}.safetensors"
