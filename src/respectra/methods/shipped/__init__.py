"""Weights that are part of the package, one file a track.

``scripts/fit_default.py`` makes the default ones, ``scripts/train_respectra.py`` those of
Respectra's own network, which lie in the folder ``networks``.
"""

from __future__ import annotations

from pathlib import Path

from respectra.errors import unknown_name

_FOLDER = Path(__file__).parent
_NETWORKS = _FOLDER / "networks"
_PREFIX = "respectra-"


def list_shipped() -> list[str]:
    """Tracks for which default weights are part of the package."""
    return sorted(path.stem.removeprefix(_PREFIX) for path in _FOLDER.glob("*.safetensors"))


def shipped(track: str = "clean") -> Path:
    """The weights file of the default method for a track.

    Example:
        >>> shipped("clean").name
        'respectra-clean.safetensors'

    Raises:
        ConfigError: no default weights are shipped for this track.
    """
    if track not in list_shipped():
        raise unknown_name("track with default weights", track, list_shipped())
    return _FOLDER / f"{_PREFIX}{track}.safetensors"


def shipped_network(track: str = "clean") -> Path:
    """The weights file of Respectra's own network for a track.

    Raises:
        ConfigError: none are shipped for this track.
    """
    tracks = sorted(p.stem.removeprefix(_PREFIX) for p in _NETWORKS.glob("*.safetensors"))
    if track not in tracks:
        raise unknown_name("track with weights of 'respectra'", track, tracks)
    return _NETWORKS / f"{_PREFIX}{track}.safetensors"
