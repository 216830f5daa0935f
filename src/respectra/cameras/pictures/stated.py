"""What picture files state of themselves: EXIF, and colour as codecs number it.

EXIF says which way is up, which camera it was, and perhaps the colour space. HEIC, AVIF and PNG's
part cICP number primaries and transfer curves (ITU-T H.273).
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from respectra.errors import FormatError

#: EXIF tag -> attribute of the image.
_FACTS = {271: "camera_make", 272: "camera_model", 305: "software"}
_ORIENTATION, _EXIF, _INTEROP = 274, 0x8769, 0xA005
_ISO, _EXPOSURE = 0x8827, 0x829A
_LONGEST = 100


def exif_of(picture: Any) -> Any:
    """The EXIF data of Pillow's picture; nothing where they are damaged."""
    with contextlib.suppress(Exception):  # EXIF is free text to its writers
        return picture.getexif()
    return {}


def orientation_of(exif: Any) -> int:
    """The orientation, 1 to 8; 1 where it is not stated or damaged."""
    with contextlib.suppress(Exception):
        number = int(exif.get(_ORIENTATION, 1))
        return number if 1 <= number <= 8 else 1
    return 1


def exif_facts(exif: Any) -> dict[str, Any]:
    """What EXIF data say of the camera; see :func:`camera_facts`."""
    return camera_facts(exif.get) | camera_facts(lambda tag: exif.get_ifd(_EXIF).get(tag))


def camera_facts(read: Callable[[int], Any]) -> dict[str, Any]:
    """Make and model of the camera, software, ISO, exposure time: what of them is stated.

    Of a directory of tags, by what reads one of them: None where it is not there.
    """
    facts: dict[str, Any] = {}
    with contextlib.suppress(Exception):
        for tag, name in _FACTS.items():
            text = clean_text(read(tag))
            if text:
                facts[name] = text
        if iso := read(_ISO):
            facts["iso"] = float(np.atleast_1d(iso)[0])
        if exposure := read(_EXPOSURE):
            facts["exposure_s"] = float(exposure)
    return facts


def exif_space(exif: Any) -> str | None:
    """``adobe-rgb`` where the camera says so by EXIF's interoperability index R03."""
    with contextlib.suppress(Exception):
        if exif.get_ifd(_INTEROP).get(1) in ("R03", b"R03", "R03\0"):
            return "adobe-rgb"
    return None


def clean_text(value: Any) -> str:
    """Printable text without the padding that cameras add."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str):
        return ""
    return "".join(c for c in value if c.isprintable()).strip()[:_LONGEST]


#: Primaries -> space; and the transfer curves that are sRGB's or near it.
_PRIMARIES = {1: "srgb", 9: "rec2020", 12: "display-p3"}
_SRGB_CURVES = (1, 2, 6, 13, 14, 15)
#: PNG's own statement of its curve, in 1/100 000, where it is sRGB's or near it.
_SRGB_GAMMAS = range(43_000, 48_000)


def coded_space(primaries: int, curve: int, kind: str) -> str | None:
    """The colour space; None for sRGB and unnamed primaries. High dynamic range is refused."""
    if curve not in _SRGB_CURVES:
        raise FormatError(
            f"the {kind} is of high dynamic range (transfer curve {curve}), which is not read; "
            "save it for an ordinary display"
        )
    space = _PRIMARIES.get(primaries)
    return None if space == "srgb" else space


def stated_in(data: bytes, kind: str) -> tuple[int, int] | None:
    """Primaries and transfer curve that a PNG or AVIF states; None if it states none."""
    if kind == "PNG":
        part = png_part(data, b"cICP")
        return (part[0], part[1]) if len(part) >= 2 else None
    if kind == "AVIF":
        at = data.find(b"colrnclx", 0, 2**16)
        if 0 <= at <= len(data) - 12:
            primaries, curve = struct.unpack(">HH", data[at + 8 : at + 12])
            return primaries, curve
    return None


def other_gamma(data: bytes) -> float | None:
    """The exponent that a PNG states where it is not sRGB's, and nothing better is stated."""
    part = png_part(data, b"gAMA")
    better = any(png_part(data, name) for name in (b"iCCP", b"sRGB", b"cICP"))
    if len(part) != 4 or better:
        return None
    gamma = int.from_bytes(part, "big")
    return None if gamma == 0 or gamma in _SRGB_GAMMAS else 100_000 / gamma


def png_part(data: bytes, name: bytes) -> bytes:
    """What a part before the pixels holds; nothing where there is none."""
    at = 8
    while at + 8 <= len(data):
        length, found = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if found == name:
            return data[at + 8 : at + 8 + length]
        if found == b"IDAT":
            break
        at += 12 + length
    return b""
