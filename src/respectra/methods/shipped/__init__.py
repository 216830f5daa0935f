"""Weights that are part of the package: of the project's own network and of a classical method.

``scripts/train_respectra.py`` makes the former, ``scripts/fit_classical.py`` the latter.
"""

from __future__ import annotations

from pathlib import Path

from respectra.errors import unknown_name

_FOLDER = Path(__file__).parent


def list_shipped(name: str = "respectra") -> list[str]:
    """Tracks for which there are weights: of ``respectra``, or of ``classical``."""
    return sorted(p.stem.removeprefix(f"{name}-") for p in _FOLDER.glob(f"{name}-*.safetensors"))


def shipped(track: str = "clean", *, name: str = "respectra") -> Path:
    """The weights file for a track.

    Args:
        track: of the images.
        name: ``respectra``, the project's own network, or ``classical``.

    Example:
        >>> shipped("clean").name
        'respectra-clean.safetensors'

    Raises:
        ConfigError: none are shipped for this track.
    """
    if track not in list_shipped(name):
        raise unknown_name(f"track with {name} weights", track, list_shipped(name))
    return _FOLDER / f"{name}-{track}.safetensors"
