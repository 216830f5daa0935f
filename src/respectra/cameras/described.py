"""What a picture file says of how it was taken, as a capture.

A developed photograph is the observer of its colour space under D65. A raw file is its camera:
by name where the response of that camera was measured, else the response that fits the file's
colour matrices best among responses like those of real cameras.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from respectra.cameras.capture import Capture
from respectra.cameras.images import InputKind, Noise
from respectra.cameras.pictures import PictureOptions
from respectra.cameras.pictures.opening import RAW_SUFFIXES
from respectra.cameras.response_prior import fit_matrices
from respectra.cameras.responses import list_responses, native_response
from respectra.cameras.tracks import track_of_file
from respectra.colour import list_rgb_spaces
from respectra.errors import ConfigError, DataError

#: Prefixes and endings of the names of measured responses.
_PREFIX, _SUFFIX = "ampas-", "-npl"


def described_capture(attrs: Mapping[Any, Any]) -> Capture | None:
    """The capture that the attributes of an image speak of; None where they say nothing.

    Args:
        attrs: as :func:`respectra.open_image` gives them; ``capture`` may hold a whole capture, as
            :meth:`Capture.to_json` gives it or its text.

    Raises:
        DataError: a raw file of an unknown camera without colour matrices.
        FormatError: ``capture`` is none, of another version, or damaged.

    Example:
        >>> described_capture({}) is None
        True
    """
    if "capture" in attrs:
        return Capture.from_json(attrs["capture"], where="the capture in the image's attributes")
    if attrs.get("encoding") == "srgb":
        return _developed("srgb")
    space = attrs.get("space")
    if space in list_rgb_spaces():
        return _developed(str(space))
    if "as_shot_neutral" in attrs or "xyz_to_camera_1" in attrs:
        return _raw_capture(attrs)
    return None


@functools.lru_cache(maxsize=16)
def _developed(space: str) -> Capture:
    """A photograph of a colour space; the same object for each of many pictures."""
    return Capture.photograph(camera=space)


def input_kind_of(
    path: str | os.PathLike[str],
    capture: Capture | None = None,
    told: InputKind | Literal["auto"] = "auto",
) -> InputKind:
    """What the values of a picture are, by its file's name and what is known of the camera.

    Args:
        path: the file; it is not opened.
        capture: what is known of how it was taken.
        told: what somebody says of it; ``auto``: nothing.

    Returns:
        what was told, else ``clean`` or ``real-world`` for pictures that the challenge named,
        ``camera`` for raw files and where the capture names a camera, else ``srgb``.

    Example:
        >>> input_kind_of("ARAD_HS_0451_clean.png"), input_kind_of("holiday.jpg")
        ('clean', 'srgb')
    """
    if told != "auto":
        return told
    track = track_of_file(Path(path).name)
    if track == "clean":
        return "clean"
    if track == "real-world":
        return "real-world"
    named = capture is not None and capture.camera is not None and not capture.is_photograph
    raw = Path(path).suffix.lower() in RAW_SUFFIXES
    return "camera" if raw or named else "srgb"


def options_for(options: PictureOptions, capture: Capture | None) -> PictureOptions:
    """How to read a picture of a capture: where it has a tone curve of its own, no other one.

    Example:
        >>> from respectra.cameras import Capture, PictureOptions, Tone
        >>> options_for(PictureOptions(), Capture(tone=Tone())).tone
        'none'
    """
    if options.tone == "auto" and capture is not None and capture.tone is not None:
        return options.model_copy(update={"tone": "none"})
    return options


def known_camera(make: str, model: str) -> str | None:
    """The name of a camera's measured response, by what EXIF says; None where there is none."""
    words = _plain(model)
    if _plain(make).split("-")[0] not in words.split("-"):
        words = f"{_plain(make).split('-')[0]}-{words}"
    for name in list_responses():
        if name.removeprefix(_PREFIX).removesuffix(_SUFFIX) == words:
            return name
    return None


def _plain(text: str) -> str:
    text = text.lower().replace("corporation", "").replace("mark", "mark ")
    return re.sub(r"[^a-z0-9]+", "-", text).strip("-")


def _raw_capture(attrs: Mapping[Any, Any]) -> Capture:
    facts: dict[str, Any] = {"camera": raw_camera(attrs)}
    neutral = attrs.get("as_shot_neutral")
    if neutral is not None:
        values = np.asarray(neutral, float)
        facts["white"] = tuple((values / values.max()).tolist())
    if attrs.get("noise_gain") is not None:
        facts["noise"] = Noise(float(attrs["noise_gain"]), float(attrs.get("noise_read", 0.0)))
    return Capture(**facts)


def raw_camera(attrs: Mapping[Any, Any]) -> xr.DataArray:
    """The response of the camera of a raw file, measured or fitted.

    Raises:
        DataError: neither is possible.
    """
    make, model = str(attrs.get("camera_make", "")), str(attrs.get("camera_model", ""))
    name = known_camera(make, model) if model else None
    if name is not None:
        return native_response(name)
    matrices = []
    for number in (1, 2):
        matrix = attrs.get(f"xyz_to_camera_{number}")
        if matrix is not None:
            light = str(attrs.get(f"calibration_light_{number}", "D65"))
            matrices.append((tuple(float(v) for v in np.ravel(matrix)), light))
    if not matrices:
        raise DataError(
            f"nothing is known of the camera {model or make or '(no name)'!r} and the file holds "
            "no colour matrix; state a response with camera= (--camera), or calibrate it from a "
            "photograph of a colour chart"
        )
    return _fitted(tuple(matrices), model or make or "unknown camera")


@functools.lru_cache(maxsize=16)
def _fitted(matrices: tuple[tuple[tuple[float, ...], str], ...], model: str) -> xr.DataArray:
    return fit_matrices([(np.reshape(m, (3, 3)), light) for m, light in matrices], name=model)


def require_capture(capture: object) -> Capture:
    """Return ``capture`` when it is one.

    Raises:
        ConfigError: it is something else, which the message says.

    Example:
        >>> import respectra as rs
        >>> known = rs.Capture(light="A")
        >>> rs.cameras.require_capture(known) is known
        True
    """
    if not isinstance(capture, Capture):
        raise ConfigError(
            f"a capture is a respectra.Capture; got {type(capture).__name__}: state "
            "what is known, Capture(camera=..., light=...), or read a file, Capture.load(path)"
        )
    return capture
