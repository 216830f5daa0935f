"""Weights that are part of the package: of the project's own network and of a classical method.

``respectra train respectra --data synthetic`` makes the former, one set for any camera, of which
the tracks are settings. ``scripts/fit_classical.py`` makes the latter, one set a track.
"""

from __future__ import annotations

from pathlib import Path

from respectra.errors import unknown_name
from respectra.methods.settings import TRACK_SETTINGS, for_track
from respectra.methods.weights import Weights
from respectra.methods.weights_files import load_weights

__all__ = ["list_shipped", "open_shipped", "shipped"]

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
        >>> shipped("clean").name, shipped("real-world").name
        ('respectra.safetensors', 'respectra.safetensors')

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


def _whole(name: str) -> Path:
    return _FOLDER / f"{name}.safetensors"
