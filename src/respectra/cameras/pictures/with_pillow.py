"""JPEG, PNG, WebP and AVIF through Pillow; PNG of 16 bits, which Pillow shortens, through OpenCV.

A picture's size is read and judged before its pixels are decoded.
"""

from __future__ import annotations

import importlib
import io
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from respectra.cameras.pictures.source import (
    Codes,
    Said,
    WholeSource,
    check_cost,
    turn,
    turned_size,
)
from respectra.cameras.pictures.stated import (
    coded_space,
    exif_facts,
    exif_of,
    exif_space,
    orientation_of,
    other_gamma,
    png_part,
    stated_in,
)
from respectra.errors import FormatError, RespectraError, RespectraWarning

#: A profile in a file may be this large, in bytes.
MAX_PROFILE = 16 * 2**20
_CHANNELS = {"1": 1, "L": 1, "LA": 2, "P": 4, "RGB": 3, "RGBA": 4, "CMYK": 4}
#: Where a PNG keeps EXIF, and what Pillow takes for it. It may follow the pixels: whoever asks has
#: Pillow decode all of them.
_EXIF_OF_PNG = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")
_LAST_PART = {"PNG": b"IEND", "JPEG": b"\xff\xd9"}


def open_with_pillow(
    path: Path, data: bytes, kind: str, *, upright: bool, max_pixels: int
) -> WholeSource:
    """The picture of a JPEG, PNG, WebP or AVIF file, whose bytes are given."""
    try:
        if kind == "PNG" and data[12:16] == b"IHDR" and len(data) > 25:
            width, height = struct.unpack(">II", data[16:24])
            check_cost(path, height, width, 1, max_pixels)
        _require_end(data, kind)
        if kind == "WebP":  # whose reader allocates when it is opened
            check_cost(path, *_webp_size(data), 4, max_pixels)
        picture = _plugin(kind)(io.BytesIO(data))
        if getattr(picture, "n_frames", 1) > 1:
            raise FormatError(f"the {kind} holds {picture.n_frames} pictures; save one of them")
        deep = picture.mode.startswith("I") or (kind == "PNG" and _depth(data) == 16)
        channels = _CHANNELS.get(picture.mode, 4) * (2 if deep else 1)
        check_cost(path, picture.height, picture.width, channels, max_pixels)
        if kind == "PNG":
            _plugin(kind)(io.BytesIO(data)).verify()  # the checksums of its parts
        has_exif = kind != "PNG" or any(mark in data for mark in _EXIF_OF_PNG)
        exif = exif_of(picture) if has_exif else {}
        said = _said(picture, data, deep, exif, kind)
        if upright and kind == "PNG" and (gamma := other_gamma(data)) is not None:
            warnings.warn(
                f"{path} states the gamma {gamma:.3g}, which is not applied: it is read as sRGB; "
                "say what its values are if they are no display's",
                RespectraWarning,
                stacklevel=2,
            )
        orientation = orientation_of(exif) if upright else 1
    except RespectraError:
        raise
    except Exception as error:  # damaged files raise almost anything inside the reader
        raise FormatError(f"the {kind} is damaged or cut short ({error})") from error

    def load() -> Codes:
        try:
            codes = _deep_png(data, said) if deep else _decode(picture, said)
        except RespectraError:
            raise
        except Exception as error:
            raise FormatError(f"the {kind} is damaged or cut short ({error})") from error
        return turn(codes, orientation)

    return WholeSource(turned_size(picture.height, picture.width, orientation), said, load)


def profile_of(info: dict[Any, Any]) -> bytes | None:
    """The profile that a file carries; refused where it is larger than any profile."""
    icc = info.get("icc_profile")
    if icc is not None and len(icc) > MAX_PROFILE:
        raise FormatError(f"its colour profile has {len(icc):,} bytes, more than {MAX_PROFILE:,}")
    return bytes(icc) if icc else None


def _plugin(kind: str) -> Any:
    """The reader itself: ``PIL.Image.open`` would judge sizes by a limit of the whole process."""
    name = kind if kind == "WebP" else kind.title()
    return getattr(importlib.import_module(f"PIL.{name}ImagePlugin"), f"{name}ImageFile")


def _require_end(data: bytes, kind: str) -> None:
    """A file that lacks its end was cut short; decoders would fill the rest with grey."""
    mark = _LAST_PART.get(kind)
    if mark is not None and data.rfind(mark) < 2:
        raise FormatError(f"the {kind} is cut short; copy it again")
    if kind == "PNG":
        _require_honest_profile(data)
        if len(data) < data.rfind(b"IEND") + 8:
            raise FormatError("the PNG is cut short; copy it again")
    if kind == "WebP":
        (size,) = struct.unpack("<I", data[4:8])
        if size + 8 > len(data) + 1:
            raise FormatError("the WebP is cut short; copy it again")


def _require_honest_profile(data: bytes) -> None:
    """Refuse a compressed profile that is damaged or does not end."""
    import zlib

    name, _, packed = png_part(data, b"iCCP").partition(b"\0")
    if not packed:
        return
    label = name.decode("latin-1")[:40]
    engine = zlib.decompressobj()
    try:
        engine.decompress(packed[1:], MAX_PROFILE)
    except zlib.error as error:
        raise FormatError(f"its colour profile {label!r} is damaged ({error})") from None
    if engine.unconsumed_tail:
        raise FormatError(
            f"its colour profile {label!r} unpacks to more than {MAX_PROFILE:,} bytes from "
            f"{len(packed):,}; it is made to exhaust memory"
        )


def _depth(data: bytes) -> int:
    return data[24] if len(data) > 24 else 0


def _webp_size(data: bytes) -> tuple[int, int]:
    """Height and width by the header of a WebP file."""
    part = data[12:16]
    if part == b"VP8X" and len(data) >= 30:
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    elif part == b"VP8L" and len(data) >= 25:
        packed = int.from_bytes(data[21:25], "little")
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    elif part == b"VP8 " and len(data) >= 30:
        width, height = (value & 0x3FFF for value in struct.unpack("<HH", data[26:30]))
    else:
        raise FormatError("the WebP is damaged in its header")
    return height, width


def _said(picture: Any, data: bytes, deep: bool, exif: Any, kind: str) -> Said:
    """What is said of the codes, by the header."""
    space = exif_space(exif)
    icc = profile_of(picture.info)
    if (coded := stated_in(data, kind)) is not None:
        space = coded_space(*coded, kind)
    mode, transparent = picture.mode, "transparency" in picture.info
    if deep:
        grey, alpha = data[25] in (0, 4), data[25] in (4, 6) or transparent
    else:
        if mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK"):
            raise FormatError(f"holds colours of type {mode}; use RGB, grey or CMYK")
        grey, alpha = mode in ("1", "L", "LA"), mode in ("LA", "RGBA") or transparent
    colours: Any = "cmyk" if mode == "CMYK" else "grey" if grey else "rgb"
    opacity: Any = "straight" if alpha else None
    full, bits = (65535, 16) if deep else (255, 8)
    return Said(colours, full, bits, opacity, icc=icc, space=space, facts=exif_facts(exif))


def _decode(picture: Any, said: Said) -> Codes:
    """Codes of 8 bits."""
    mode = {"rgb": "RGB", "grey": "L", "cmyk": "CMYK"}[said.colours]
    if said.alpha:
        mode = {"RGB": "RGBA", "L": "LA"}[mode]
    picture.load()
    return np.array(picture if picture.mode == mode else picture.convert(mode))


def _deep_png(data: bytes, said: Said) -> Codes:
    """Codes of 16 bits."""
    import cv2

    codes = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if codes is None or codes.dtype != np.uint16:
        raise FormatError("the PNG data cannot be decoded; it is damaged")
    channels = 1 if codes.ndim == 2 else codes.shape[2]
    if said.colours == "grey":
        if said.alpha:  # OpenCV repeats grey that has opacity
            return np.asarray(codes[..., [0, channels - 1]]) if channels > 1 else _solid(codes)
        return np.asarray(codes if codes.ndim == 2 else codes[..., 0])
    codes = codes[..., [2, 1, 0, *range(3, channels)]]
    return _solid(codes) if said.alpha and channels == 3 else np.asarray(codes)


def _solid(codes: Codes) -> Codes:
    """With a channel of opacity that is full."""
    codes = codes if codes.ndim == 3 else codes[..., None]
    return np.concatenate([codes, np.full_like(codes[..., :1], np.iinfo(codes.dtype).max)], 2)
