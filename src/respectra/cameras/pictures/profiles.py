"""Colour profiles: from a file's codes to linear light in a named colour space.

Profiles of three primaries and three curves (of every camera, phone and display) are computed in
floating point, as the standard defines them (ICC.1:2022, 8.3 and 10). Profiles that are tables (of
scanners and of CMYK) go through LittleCMS in 8 bits. LittleCMS also judges whether a profile is
sound.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from respectra.cameras.pictures import icc
from respectra.cameras.pictures.source import Codes, Said
from respectra.colour import decode_srgb, rgb_space
from respectra.errors import FormatError
from respectra.typing import Float32Array, FloatArray

Apply = Callable[[Codes], Float32Array]

#: Spaces that a profile may be recognised as.
_KNOWN = ("srgb", "display-p3", "adobe-rgb", "prophoto", "rec2020")
#: Spaces that hold the colours of profiles that are none of the known ones, the smallest first.
_CONTAINERS = ("rec2020", "prophoto", "aces")
#: Primaries are a known space's where no XYZ differs by more than this; so are curves.
_SAME_PRIMARIES, _SAME_CURVE = 3e-3, 2e-3
_CLASSES = {"mntr": "display", "scnr": "scanner", "prtr": "printer", "spac": "colour space"}
_MODES = {"rgb": "RGB ", "grey": "GRAY", "cmyk": "CMYK"}


@dataclass(frozen=True)
class Profile:
    """What to do with the codes of a file.

    Attributes:
        name: of the profile, for the attributes of the image.
        space: colour space of the linear values that come out; ``None`` where the codes are
            those of sRGB, and stay.
        apply: codes (…, 1, 3 or 4) to linear values (…, 3 or 1), in [0, 1].
    """

    name: str
    space: str | None
    apply: Apply | None


SRGB = Profile("sRGB", None, None)


def open_profile(data: bytes, said: Said) -> Profile:
    """A profile for codes of a kind; one that is damaged or for other channels is refused."""
    sound = _sound(data)
    name = _name(sound)
    wanted, found = _MODES.get(said.colours, "RGB "), sound.xcolor_space
    kind = sound.device_class.strip()
    if kind not in _CLASSES:
        raise FormatError(f"its colour profile {name!r} is of class {kind!r}; {_WAY_OUT}")
    if found != wanted and not (wanted == "GRAY" and found == "RGB "):
        raise FormatError(
            f"its colour profile {name!r} is for {found.strip()} and the picture is "
            f"{wanted.strip()}; {_WAY_OUT}"
        )
    if found == "GRAY":
        return _grey_profile(data, name, said)
    tables = icc.read_tags(data)
    if found == "RGB " and {b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"} <= set(tables):
        return _matrix_profile(tables, name, said)
    return _table_profile(data, name, said)


def space_profile(name: str, said: Said) -> Profile:
    """The profile of a named space, for files that name one without carrying a profile."""
    space = rgb_space(name)
    apply = _per_channel([space.decode] * (1 if said.colours == "grey" else 3), said)
    return Profile(name, name, apply)


_WAY_OUT = "remove it, or pass it over with profile='ignore' (--profile ignore)"


def _sound(data: bytes) -> Any:
    from PIL import ImageCms

    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(data)).profile
    except Exception as error:  # LittleCMS says little, in several classes
        raise FormatError(f"its colour profile is damaged ({error}); {_WAY_OUT}") from None


def _name(sound: Any) -> str:
    text = str(sound.profile_description or "").strip()
    return "".join(c for c in text if c.isprintable())[:60] or "without a name"


def _grey_profile(data: bytes, name: str, said: Said) -> Profile:
    tags = icc.read_tags(data)
    if b"kTRC" not in tags:
        raise FormatError(f"its colour profile {name!r} has no curve for grey; {_WAY_OUT}")
    curve = icc.read_curve(tags[b"kTRC"])
    return Profile(name, "srgb", _per_channel([curve], said))


def _matrix_profile(tags: dict[bytes, bytes], name: str, said: Said) -> Profile:
    to_xyz = np.stack([icc.read_xyz(tags[key]) for key in (b"rXYZ", b"gXYZ", b"bXYZ")], axis=1)
    if np.abs(to_xyz.sum(axis=1) - icc.D50).max() > 0.05:
        raise FormatError(
            f"its colour profile {name!r} is damaged: its primaries do not add up to white; "
            f"{_WAY_OUT}"
        )
    curves = [icc.read_curve(tags[key]) for key in (b"rTRC", b"gTRC", b"bTRC")]
    space = next((s for s in _KNOWN if _differs(to_xyz, s) < _SAME_PRIMARIES), None)
    if space == "srgb" and said.colours == "rgb" and _is_srgb_curve(curves):
        return Profile(name, None, None)
    if said.colours == "grey":
        return Profile(name, "srgb", _per_channel(curves[:1], said))
    light = _per_channel(curves, said)
    if space is not None:
        return Profile(name, space, light)
    for container in _CONTAINERS:
        matrix = np.linalg.solve(rgb_space(container).to_xyz_d50, to_xyz)
        if matrix.min() > -2e-3:
            break
    matrix = matrix.T.astype(np.float32)

    def apply(codes: Codes) -> Float32Array:
        return np.clip(light(codes) @ matrix, 0.0, 1.0)

    return Profile(name, container, apply)


def _differs(to_xyz: FloatArray, space: str) -> float:
    return float(np.abs(to_xyz - rgb_space(space).to_xyz_d50).max())


def _is_srgb_curve(curves: list[icc.Curve]) -> bool:
    steps = np.linspace(0.0, 1.0, 256)
    wanted = decode_srgb(steps)
    return all(float(np.abs(curve(steps) - wanted).max()) < _SAME_CURVE for curve in curves)


def _per_channel(curves: list[icc.Curve], said: Said) -> Apply:
    """Codes through a curve a channel: by table where there are only so many codes."""
    if said.bits > 16:

        def compute(codes: Codes) -> Float32Array:
            values = np.asarray(codes, np.float64)
            parts = [np.asarray(c(values[..., i])) for i, c in enumerate(curves)]
            return np.stack(parts, axis=-1).astype(np.float32)

        return compute
    steps = np.arange(int(said.full) + 1) / said.full
    tables = [np.asarray(curve(steps), np.float64).astype(np.float32) for curve in curves]

    def look_up(codes: Codes) -> Float32Array:
        return np.stack([table[codes[..., i]] for i, table in enumerate(tables)], axis=-1)

    return look_up


def _table_profile(data: bytes, name: str, said: Said) -> Profile:
    """Through LittleCMS, in 8 bits, to ProPhoto; relative to the medium's white."""
    from PIL import Image, ImageCms

    mode = "CMYK" if said.colours == "cmyk" else "RGB"
    if said.colours == "grey":
        raise FormatError(f"its colour profile {name!r} is a table of RGB, not grey; {_WAY_OUT}")
    source = ImageCms.ImageCmsProfile(io.BytesIO(data))
    target = ImageCms.ImageCmsProfile(io.BytesIO(_prophoto()))
    try:
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        transform = ImageCms.buildTransform(source, target, mode, "RGB", intent)
    except ImageCms.PyCMSError as error:
        raise FormatError(f"its colour profile {name!r} is damaged ({error}); {_WAY_OUT}") from None
    light = (np.linspace(0.0, 1.0, 256) ** 1.8).astype(np.float32)

    def apply(codes: Codes) -> Float32Array:
        eight = codes
        if said.bits != 8:
            eight = np.rint(np.clip(codes / said.full, 0.0, 1.0) * 255).astype(np.uint8)
        picture = Image.fromarray(np.ascontiguousarray(eight), mode)
        return np.asarray(light[np.asarray(ImageCms.applyTransform(picture, transform))])

    return Profile(name, "prophoto", apply)


@functools.cache
def _prophoto() -> bytes:
    return icc.write_profile("ProPhoto, gamma 1.8", rgb_space("prophoto").to_xyz_d50, 1.8)
