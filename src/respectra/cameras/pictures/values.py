"""From a file's codes to the values of an image: opacity, grey, colour profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from respectra.cameras.images import Encoding
from respectra.cameras.pictures.demosaicing import Pattern, Way
from respectra.cameras.pictures.profiles import (
    SRGB,
    Profile,
    open_profile,
    space_profile,
)
from respectra.cameras.pictures.source import Codes, Said
from respectra.cameras.pictures.tone import LIGHT_SPACE, Rendering, Tone, open_tone
from respectra.config import Config
from respectra.errors import DataError
from respectra.guards.text import read_bytes
from respectra.typing import Float32Array

Grey = Literal["refuse", "repeat"]
Alpha = Literal["refuse", "white", "black", "drop"]


class PictureOptions(Config):
    """How to read a picture.

    Attributes:
        grey: ``refuse`` a picture of one channel, or ``repeat`` it three times.
        alpha: ``refuse`` a picture that is transparent in places, show it on ``white`` or
            ``black`` as displays do, or ``drop`` the opacity and keep the colours below it.
        profile: ``embedded``: what the file carries or states, sRGB where it says nothing;
            ``ignore``: sRGB whatever it says; else an ICC file to use instead.
        demosaic: of raw files: ``edge-aware``, ``bilinear``, or ``half``: a pixel for each cell of
            the sensor, without interpolation.
        tone: of photographs: ``generic``: undo what cameras do for beauty, ``none``, ``auto``: as
            ``generic`` where EXIF names a camera, or a file that ``Tone.save`` wrote.
        mosaic: of grey pictures that are a sensor's mosaic: the colours of its first two pixels
            and of those below, such as ``rggb``. The values are then the camera's own, linear.
        black_level: of a mosaic: the code that no light gives.
        white_level: of a mosaic: the code of full scale; the highest one by default.

    Example:
        >>> PictureOptions(grey="repeat").grey
        'repeat'
    """

    grey: Grey = "refuse"
    alpha: Alpha = "refuse"
    profile: str = "embedded"
    demosaic: Way = "edge-aware"
    tone: str = "auto"
    mosaic: Pattern = "none"
    black_level: float = 0.0
    white_level: float | None = None


class Values:
    """Turns codes into values in [0, 1], in the same way for a whole picture and for rows of it.

    Attributes:
        encoding: of the values.
        bits: depth of the values; 32 where they are computed from the codes.
        attrs: what was done, for the attributes of the image.
    """

    def __init__(self, said: Said, encoding: Encoding, options: PictureOptions) -> None:
        self._said, self._options = said, options
        self.bits, self.encoding = said.bits, encoding
        self.attrs: dict[str, Any] = dict(said.facts)
        self._profile = SRGB
        if said.colours == "grey" and options.grey == "refuse":
            raise DataError(
                "the image is grey and says nothing of colour; give an RGB image, state the "
                "pattern of a sensor's mosaic, mosaic='rggb' (--mosaic rggb), or accept three "
                "equal channels with grey='repeat' (--grey repeat)"
            )
        if said.colours == "camera":
            self.encoding = "linear"
        elif encoding == "srgb":
            self._profile, self.attrs["profile"] = _choose(said, options)
        elif said.colours == "cmyk":
            raise DataError("the image is CMYK, which no camera gives; open it as a photograph")
        elif said.icc is not None:
            self.attrs["profile"] = "not applied: the values are the camera's own"
        self._tone: Tone | Rendering | None = None
        if encoding == "srgb" and said.colours != "camera":
            self._tone, self.attrs["tone"] = _choose_tone(options.tone, said.facts)
        if self._tone is not None and self._profile.space is None:
            self._profile = space_profile("srgb", said)
        if self._profile.space is not None:
            self.encoding, self.bits = "linear", 32
            generic = isinstance(self._tone, Rendering)
            self.attrs["space"] = LIGHT_SPACE if generic else self._profile.space
        self._table: Float32Array | None = None
        if said.bits <= 16:
            top = int(np.iinfo(np.uint8 if said.bits <= 8 else np.uint16).max)
            self._table = (np.arange(top + 1) / np.float64(said.full)).astype(np.float32)

    def __call__(self, codes: Codes) -> Float32Array:
        """Values (rows, width, 3) of codes (rows, width, samples).

        Raises:
            DataError: transparent pixels where they are refused.
        """
        said = self._said
        codes = self._opaque(codes)
        if said.inverted:
            codes = (said.full - codes).astype(codes.dtype)
        if self._profile.apply is not None:
            values = self._profile.apply(codes)
        elif self._table is not None:
            values = self._table[codes]
        else:
            values = codes.astype(np.float32)
        if values.shape[2] == 1:
            values = np.repeat(values, 3, axis=2)
        if isinstance(self._tone, Rendering):
            assert self._profile.space is not None
            values = self._tone.undo(values, self._profile.space)
        elif self._tone is not None:
            values = self._tone.undo(values)
        return np.ascontiguousarray(values)

    def _opaque(self, codes: Codes) -> Codes:
        """Without the channel of opacity."""
        said, wish = self._said, self._options.alpha
        if said.alpha is None:
            return codes
        opacity, colours = codes[..., -1:], codes[..., :-1]
        if (opacity == said.full).all():
            return colours
        if wish == "refuse":
            raise DataError(
                "the image is transparent in places, which has no spectrum; flatten it onto a "
                "background with alpha='white' or 'black', or drop the opacity with "
                "alpha='drop' (--alpha)"
            )
        share = opacity.astype(np.float64) / said.full
        if wish == "drop":
            if said.alpha == "straight":
                return colours
            mixed = np.minimum(colours / np.maximum(share, 1e-9), said.full)
        else:
            back = (1.0 - share) * (said.full if wish == "white" else 0.0)
            mixed = back + (colours if said.alpha == "premultiplied" else colours * share)
        if codes.dtype.kind == "u":
            mixed = np.rint(np.clip(mixed, 0.0, said.full))
        return mixed.astype(codes.dtype)


def _choose(said: Said, options: PictureOptions) -> tuple[Profile, str]:
    """The profile to apply, and what to say of it."""
    if options.profile == "ignore":
        stated = said.icc is not None or said.space is not None
        _refuse_cmyk(said)
        return SRGB, "ignored as asked: read as sRGB" if stated else "none: read as sRGB"
    if options.profile != "embedded":
        path = Path(options.profile)
        profile = open_profile(read_bytes(path), said)
        return profile, f"{profile.name}, of {path.name}"
    if said.icc is not None:
        profile = open_profile(said.icc, said)
        return profile, f"{profile.name}, embedded"
    if said.space is not None and said.colours == "rgb":
        return space_profile(said.space, said), f"{said.space}, stated by the file"
    _refuse_cmyk(said)
    return SRGB, "none: read as sRGB"


def _choose_tone(wish: str, facts: dict[str, Any]) -> tuple[Tone | Rendering | None, str]:
    """What to undo and what to say of it, by :attr:`PictureOptions.tone` and what the file says."""
    camera = str(facts.get("camera_model") or facts.get("camera_make") or "")
    if wish == "none" or (wish == "auto" and not camera):
        return None, "none"
    if wish == "generic":
        return Rendering(), "generic, undone as asked"
    if wish == "auto":
        return Rendering(), f"generic, undone: developed by a camera ({camera})"
    tone = open_tone(Path(wish))
    return tone, f"{tone.name}, undone"


def _refuse_cmyk(said: Said) -> None:
    if said.colours == "cmyk":
        raise DataError(
            "the image is CMYK, and ink has no colour without a profile; name one with "
            "profile='FILE.icc' (--profile FILE.icc), or convert it to RGB"
        )
