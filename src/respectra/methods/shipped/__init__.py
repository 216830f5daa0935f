"""The default weights, one file a track; ``scripts/fit_default.py`` makes them."""

from __future__ import annotations

from pathlib import Path

from respectra.errors import unknown_name

_FOLDER = Path(__file__).parent
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
