"""The tracks: one file a track, found by name. Other packages add theirs by entry points."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import Any

import xarray as xr

from respectra.cameras.responses import native_response, require_response
from respectra.cameras.track import Track
from respectra.config import Config
from respectra.errors import ConfigError
from respectra.registry import Registry

__all__ = [
    "default_response",
    "file_suffix",
    "get_track",
    "has_no_noise",
    "has_one_camera",
    "keeps_exposure",
    "list_tracks",
    "track_of_file",
    "track_of_kind",
    "track_options",
    "track_summary",
    "track_title",
    "tracks",
]

#: The order of the challenges.
_FIRST = ("clean", "real-world", "exposed")
#: Group of the entry points of other packages, each a subclass of ``Track``.
GROUP = "respectra.tracks"


@functools.cache
def tracks() -> Registry[type[Track]]:
    """Every track by name, from the file of its name."""
    registry: Registry[type[Track]] = Registry("track", group=GROUP, accept=_accept)
    names = {info.name.replace("_", "-") for info in pkgutil.iter_modules(__path__)}
    for name in sorted(names, key=lambda n: (_FIRST.index(n) if n in _FIRST else 99, n)):
        registry.add(name, functools.partial(_load, name))
    return registry


def _load(name: str) -> type[Track]:
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    return _accept(name, module.TRACK)


def _accept(name: str, entry: Any) -> type[Track]:
    if not (isinstance(entry, type) and issubclass(entry, Track)):
        raise TypeError(f"expected a subclass of respectra.cameras.Track, got {entry!r}")
    if entry.name != name:
        raise ValueError(f"it calls itself {entry.name!r}; both names must be the same")
    return entry


def get_track(
    name: str,
    *,
    seed: int = 0,
    response: str | xr.DataArray | None = None,
    **options: object,
) -> Track:
    """A track by name, with its published behaviour unless options say otherwise.

    Args:
        name: one of ``list_tracks()``.
        seed: where the noise comes from.
        response: a name from ``list_responses()``, or a response; the track's own by default.
        options: what to change, by name; see ``track_options``.

    Raises:
        ConfigError: an unknown track, response or option, or a value that is refused.

    Example:
        >>> get_track("real-world", seed=1, dark_noise_e=3.0).options.jpeg_quality
        80
    """
    kind = tracks().find(name)
    if seed < 0:
        raise ConfigError(f"a seed is a non-negative integer; got {seed}")
    chosen = kind.default_response if response is None else response
    table = native_response(chosen) if isinstance(chosen, str) else require_response(chosen)
    return kind(options=kind.option_type(**options), response=table, seed=seed)


def list_tracks() -> list[str]:
    """Names of the tracks.

    One of another package that cannot be loaded is left out with a warning.

    Example:
        >>> list_tracks()
        ['clean', 'real-world', 'exposed']
    """
    known = tracks()
    others = known.others()
    usable = [name for name, _ in known.usable(others)]
    return [*(name for name in known if name not in others), *usable]


def track_options(name: str) -> type[Config]:
    """The options of a track, with their defaults.

    Raises:
        ConfigError: unknown track.

    Example:
        >>> sorted(track_options("real-world").model_fields)[:3]
        ['black', 'dark_noise_e', 'dark_noise_spread']
    """
    return tracks().find(name).option_type


def track_summary(name: str) -> str:
    """One line on what a track does.

    Raises:
        ConfigError: unknown track.

    Example:
        >>> track_summary("clean")
        'CIE 1964 observer as the camera, no noise, PNG (NTIRE 2020)'
    """
    return tracks().find(name).summary


def file_suffix(name: str) -> str:
    """What a track adds to a scene's name to name its image.

    Raises:
        ConfigError: unknown track.
    """
    return tracks().find(name).file_suffix


def default_response(name: str) -> str:
    """Name of the response that a track uses unless told otherwise.

    Raises:
        ConfigError: unknown track.

    Example:
        >>> default_response("clean")
        'cie-1964-ntire2020'
    """
    return tracks().find(name).default_response


def track_of_file(name: str) -> str | None:
    """The track whose images end like this file's name; None for any other file.

    Example:
        >>> track_of_file("ARAD_HS_0451_clean.png")
        'clean'
    """
    endings = {n: track.file_suffix for n, track in tracks().usable()}
    # An ending of the suffix alone, as that of 2022, says nothing.
    told = [n for n, ending in endings.items() if not ending.startswith(".")]
    return next((n for n in told if name.endswith(endings[n])), None)


def track_title(name: str) -> str:
    """A track as tables write it; its name where it is not known here.

    Example:
        >>> track_title("real-world")
        'Real World'
    """
    return tracks()[name].title if name in tracks() else name


def track_of_kind(kind: str) -> str:
    """The track whose images a kind of picture stands for; photographs stand for the first one's.

    Args:
        kind: one of :data:`respectra.cameras.INPUT_KINDS`.

    Example:
        >>> track_of_kind("real-world"), track_of_kind("srgb")
        ('real-world', 'clean')
    """
    return kind if kind in tracks() else _FIRST[0]


def has_one_camera(name: str) -> bool:
    """Whether all of a track's images are of its default response; not said of unknown tracks."""
    return tracks()[name].one_camera if name in tracks() else False


def has_no_noise(name: str) -> bool:
    """Whether a track's images do not depend on a seed; not said of unknown tracks."""
    return tracks()[name].exact if name in tracks() else False


def keeps_exposure(name: str) -> bool:
    """Whether twice the light gives a track's images twice the values; so for unknown tracks.

    Example:
        >>> keeps_exposure("clean"), keeps_exposure("exposed")
        (True, False)
    """
    return tracks()[name].keeps_exposure if name in tracks() else True
