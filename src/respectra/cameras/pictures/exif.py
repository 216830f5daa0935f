"""What EXIF says of a picture: which way is up, which camera, and which colour space."""

from __future__ import annotations

import contextlib
from typing import Any

#: EXIF tag -> attribute of the image.
_FACTS = {271: "camera_make", 272: "camera_model", 305: "software"}
_ORIENTATION, _EXIF, _INTEROP = 274, 0x8769, 0xA005
_ISO, _EXPOSURE = 0x8827, 0x829A
_LONGEST = 100


def orientation_of(picture: Any) -> int:
    """The orientation, 1 to 8; 1 where it is not stated or damaged."""
    with contextlib.suppress(Exception):  # EXIF is free text to its writers
        return _valid(picture.getexif().get(_ORIENTATION, 1))
    return 1


def _valid(value: Any) -> int:
    number = int(value)
    return number if 1 <= number <= 8 else 1


def exif_facts(picture: Any) -> dict[str, Any]:
    """Make and model of the camera, software, ISO, exposure time: what of them is stated."""
    facts: dict[str, Any] = {}
    with contextlib.suppress(Exception):
        exif = picture.getexif()
        for tag, name in _FACTS.items():
            text = clean_text(exif.get(tag))
            if text:
                facts[name] = text
        inner = exif.get_ifd(_EXIF)
        iso = inner.get(_ISO)
        if isinstance(iso, tuple):
            iso = iso[0]
        if iso:
            facts["iso"] = float(iso)
        if inner.get(_EXPOSURE):
            facts["exposure_s"] = float(inner[_EXPOSURE])
    return facts


def exif_space(picture: Any) -> str | None:
    """``adobe-rgb`` where the camera says so by EXIF's interoperability index R03."""
    with contextlib.suppress(Exception):
        index = picture.getexif().get_ifd(_INTEROP).get(1)
        if index in ("R03", b"R03", "R03\0"):
            return "adobe-rgb"
    return None


def clean_text(value: Any) -> str:
    """Printable text without the padding that cameras add."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str):
        return ""
    return "".join(c for c in value if c.isprintable()).strip()[:_LONGEST]
