"""Weights that are part of the package: of the project's own network and of a classical method.

``scripts/train_respectra.py`` makes the former, one set for every track, which is a setting of it;
``scripts/fit_classical.py`` makes the latter, one set a track.
"""

from __future__ import annotations

from pathlib import Path

from respectra.errors import unknown_name
from respectra.methods.settings import TRACK_SETTINGS, for_track
from respectra.methods.weights import Weights, load_weights

_FOLDER = Path(__file__).parent


def list_shipped(name: str = "respectra") -> list[str]:
    """Tracks for which there are weights: of ``respectra``, or of ``classical``."""
    if (_FOLDER / f"{name}.safetensors").is_file():
        return sorted(TRACK_SETTINGS)
    return sorted(p.stem.removeprefix(f"{name}-") for p in _FOLDER.glob(f"{name}-*.safetensors"))


def shipped(track: str = "clean", *, name: str = "respectra") -> Path:
    """The weights file for a track; :func:`open_shipped` tells what is in it of the track.

    Args:
        track: of the images.
        name: ``respectra``, the project's own network, or ``classical``.

    Example:
        >>> shipped("clean").name
        'respectra.safetensors'

    Raises:
        ConfigError: none are shipped for this track.
    """
    if track not in list_shipped(name):
        raise unknown_name(f"track with {name} weights", track, list_shipped(name))
    whole = _FOLDER / f"{name}.safetensors"
    return whole if whole.is_file() else _FOLDER / f"{name}-{track}.safetensors"


def open_shipped(track: str = "clean", *, name: str = "respectra") -> Weights:
    """The weights for a track.

    Args:
        track: of the images.
        name: ``respectra``, the project's own network, or ``classical``.

    Raises:
        ConfigError: none are shipped for this track.
    """
    weights = load_weights(shipped(track, name=name))
    return weights if weights.contract.track == track else for_track(weights, track)
