"""Colour as codecs number it (ITU-T H.273): in HEIC and AVIF, and in PNG's part cICP."""

from __future__ import annotations

import struct

from respectra.errors import FormatError

#: Primaries -> space; and the transfer curves that are sRGB's or near it.
_PRIMARIES = {1: "srgb", 9: "rec2020", 12: "display-p3"}
_SRGB_CURVES = (1, 2, 6, 13, 14, 15)
#: PNG's own statement of its curve, in 1/100 000, where it is sRGB's or near it.
_SRGB_GAMMAS = range(43_000, 48_000)


def coded_space(primaries: int, curve: int, kind: str) -> str | None:
    """The colour space; None for sRGB and for primaries that are not named.

    Raises:
        FormatError: a curve that no ordinary display has.
    """
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
        part = _png_part(data, b"cICP")
        return (part[0], part[1]) if len(part) >= 2 else None
    if kind == "AVIF":
        at = data.find(b"colrnclx", 0, 2**16)
        if 0 <= at <= len(data) - 12:
            primaries, curve = struct.unpack(">HH", data[at + 8 : at + 12])
            return primaries, curve
    return None


def other_gamma(data: bytes) -> float | None:
    """The exponent that a PNG states where it is not sRGB's, and nothing better is stated."""
    part = _png_part(data, b"gAMA")
    better = any(_png_part(data, name) for name in (b"iCCP", b"sRGB", b"cICP"))
    if len(part) != 4 or better:
        return None
    gamma = int.from_bytes(part, "big")
    return None if gamma == 0 or gamma in _SRGB_GAMMAS else 100_000 / gamma


def _png_part(data: bytes, name: bytes) -> bytes:
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
