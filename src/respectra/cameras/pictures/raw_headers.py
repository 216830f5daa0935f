"""What a raw file's header says: camera, DNG's matrices and white, noise, and whether it is whole.

Raw files are TIFF files (DNG, NEF, CR2, ARW, PEF, SRW, ORF, RW2 …), a header before a TIFF (RAF) or
ISO media files that hold one (CR3).
"""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from respectra.cameras.pictures.stated import camera_facts, clean_text
from respectra.errors import FormatError

_EXIF, _SUB, _UNIQUE_MODEL = 0x8769, 330, 50708
_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES = 273, 279, 324, 325
_NEUTRAL, _NOISE = 50728, 51041
#: DNG tags of the colour matrices and of the lights that they are for.
_MATRICES = ((50721, 50778), (50722, 50779))
#: EXIF LightSource -> name of an illuminant.
LIGHTS = {1: "D55", 4: "D55", 9: "D55", 10: "D65", 11: "D75", 17: "A", 18: "D55", 19: "D65"}
LIGHTS |= {2: "FL2", 3: "A", 12: "FL1", 13: "FL3", 14: "FL2", 20: "D55", 21: "D65", 22: "D75"}
LIGHTS |= {23: "D50", 24: "A"}
_MOST_DIRECTORIES = 32
#: Bytes of byte order, version and the place of the first directory.
_TIFF_HEADER = 8


def read_raw_header(data: bytes) -> dict[str, Any]:
    """Facts of a raw file for the attributes of its image; what is not stated is left out.

    ``camera_make``, ``camera_model``, ``iso``, ``exposure_s``, ``as_shot_neutral`` (R, G, B that
    white gives), ``xyz_to_camera_1`` and ``_2`` (nine numbers, row by row) with
    ``calibration_light_1`` and ``_2``, ``noise_gain`` and ``noise_read`` (of values in [0, 1]).

    Raises:
        FormatError: the file is cut short.
    """
    facts: dict[str, Any] = {}
    if data[:15] == b"FUJIFILMCCD-RAW":
        _whole_raf(data)
        facts["camera_make"] = "FUJIFILM"
        facts["camera_model"] = clean_text(data[28:60].split(b"\0")[0])
    if data[4:8] == b"ftyp":
        _whole_media(data)
    tiff = _tiff_part(data)
    if tiff is None:
        return facts
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow says of tags that are left out
        for directory in _directories(tiff):
            if tiff is data:
                _whole_tiff(directory, len(data))
            with contextlib.suppress(Exception):  # EXIF is free text to its writers
                for name, value in _facts(directory).items():
                    facts.setdefault(name, value)
    return facts


def _tiff_part(data: bytes) -> bytes | None:
    at = data.find(b"CMT1", 0, 65536)
    tiff = data if data[:2] in (b"II", b"MM") else data[at + 4 :] if at > 0 else b""
    return tiff if len(tiff) >= _TIFF_HEADER else None


def _directories(data: bytes) -> Iterator[Any]:
    """The directories of a TIFF file, those within others and EXIF's too; damage ends the walk."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    order = data[:2]
    waiting, seen = [struct.unpack("<I" if order == b"II" else ">I", data[4:8])[0]], set[int]()
    file = io.BytesIO(data)
    while waiting and len(seen) < _MOST_DIRECTORIES:
        at = waiting.pop(0)
        if at in seen or not 0 < at < len(data):
            continue
        seen.add(at)
        directory = ImageFileDirectory_v2((b"II*\0" if order == b"II" else b"MM\0*") + data[4:8])
        try:
            file.seek(at)
            directory.load(file)
        except Exception:  # damaged; LibRaw judges the rest
            return
        yield directory
        for tag in (_EXIF, _SUB):
            waiting += _places(_get(directory, tag))
        waiting.append(int(directory.next or 0))


def _get(directory: Any, tag: int) -> Any:
    with contextlib.suppress(Exception):
        return directory[tag]
    return None


def _places(value: Any) -> list[int]:
    """Numbers of bytes; none where a tag holds something else."""
    if value is None:
        return []
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        return [int(v) for v in np.atleast_1d(value)]
    return []


def _facts(directory: Any) -> dict[str, Any]:
    facts = camera_facts(lambda tag: _get(directory, tag))
    if model := clean_text(_get(directory, _UNIQUE_MODEL)):
        facts.setdefault("camera_model", model)
    for number, (matrix, light) in enumerate(_MATRICES, 1):
        values = _numbers(_get(directory, matrix), 9)
        if values is not None:
            facts[f"xyz_to_camera_{number}"] = values
            known = LIGHTS.get(int(_get(directory, light) or 0))
            if known:
                facts[f"calibration_light_{number}"] = known
    neutral = _numbers(_get(directory, _NEUTRAL), 3)
    if neutral is not None and min(neutral) > 0:
        facts["as_shot_neutral"] = neutral
    noise = _get(directory, _NOISE)
    if noise is not None and len(noise) >= 2 and len(noise) % 2 == 0:
        gain, offset = float(np.mean(noise[::2])), float(np.mean(noise[1::2]))
        if 0 <= gain < 1 and 0 <= offset < 1:
            facts["noise_gain"], facts["noise_read"] = gain, float(np.sqrt(offset))
    return facts


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    if value is None or len(value) != count:
        return None
    numbers = tuple(float(v) for v in value)
    return numbers if np.isfinite(numbers).all() else None


def _whole_tiff(directory: Any, size: int) -> None:
    for starts, lengths in ((_STRIPS, _STRIP_BYTES), (_TILES, _TILE_BYTES)):
        begin, count = _places(_get(directory, starts)), _places(_get(directory, lengths))
        if any(b + c > size for b, c in zip(begin, count, strict=False)):
            raise FormatError("the raw file is cut short; copy it again")


def _whole_raf(data: bytes) -> None:
    if len(data) < 108:
        raise FormatError("the raw file is cut short; copy it again")
    for at in (84, 92, 100):
        start, length = struct.unpack(">II", data[at : at + 8])
        if start + length > len(data):
            raise FormatError("the raw file is cut short; copy it again")


def _whole_media(data: bytes) -> None:
    """The boxes of an ISO media file, from one to the next."""
    at = 0
    while at + 8 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if length == 1 and at + 16 <= len(data):
            (length,) = struct.unpack(">Q", data[at + 8 : at + 16])
        if length == 0:
            return
        if length < 8 or at + length > len(data):
            raise FormatError("the raw file is cut short; copy it again")
        at += length
