"""Raw files of cameras, through LibRaw (the extra ``raw``): linear values, nothing done to them.

LibRaw unpacks the codes, in a process of its own; black level, saturation and demosaicing are done
here. No white balance, no colour matrix, no tone curve.

What a header says of camera, matrices, white and noise, and whether the file is whole, is read here
as well: raw files are TIFF files (DNG, NEF, CR2, ARW, PEF, SRW, ORF, RW2 …), a header before a TIFF
(RAF) or ISO media files that hold one (CR3).
"""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from respectra.cameras.pictures.child import ask_child
from respectra.cameras.pictures.demosaicing import Way, cell_size, develop_mosaic
from respectra.cameras.pictures.source import (
    Codes,
    Said,
    WholeSource,
    check_cost,
    read_file,
    turn,
    turned_size,
)
from respectra.cameras.pictures.stated import camera_facts, clean_text
from respectra.errors import DataError, FormatError
from respectra.typing import Float32Array

#: LibRaw's flip -> EXIF's orientation.
_FLIPS = {3: 3, 5: 8, 6: 6}


def open_raw(path: Path, *, demosaic: Way, max_pixels: int) -> WholeSource:
    """A raw file as linear values in [0, 1], upright; of red, green and blue alone."""
    data = read_file(path)
    if not data:
        raise FormatError("the file is empty")
    said = read_raw_header(data)
    del data
    look, _ = ask_child(path, "raw", "look")
    raw_height, raw_width = int(look["raw_height"]), int(look["raw_width"])
    check_cost(path, raw_height, raw_width, 2, max_pixels)
    letters = str(look["description"])
    if not set(letters) <= set("RGB"):
        raise DataError(f"the sensor's colours are {letters}, not red, green and blue")
    side = cell_size(look["pattern"]) if demosaic == "half" and look.get("pattern") else 1
    height, width = int(look["height"]) // side, int(look["width"]) // side
    attrs = {**_colour(look), **said, "demosaic": demosaic if look.get("pattern") else "none"}
    black, white = _levels(look)
    attrs["black_level"], attrs["white_level"] = float(black.mean()), float(white.mean())

    def load() -> Codes:
        facts, codes = ask_child(path, "raw", "decode", pixels=raw_height * raw_width)
        if codes is None or codes.size == 0:
            raise FormatError("the raw file holds no picture")
        values = _develop(codes, facts, letters, demosaic)
        return turn(values, orientation)

    orientation = _FLIPS.get(int(look["flip"]), 1)
    shape = turned_size(height, width, orientation)
    return WholeSource(shape, Said("camera", 1.0, 32, facts=attrs), load)


def _levels(facts: dict[str, Any]) -> tuple[Float32Array, Float32Array]:
    """Black level and saturation of each of LibRaw's channels."""
    black = np.array(facts["black"], np.float32)
    white = np.array(facts.get("white_per_channel") or [0.0], np.float32)
    if white.shape != black.shape or (white <= black).any():
        white = np.full(black.shape, facts["white"], np.float32)
    if (white <= black).any():
        raise FormatError("the raw file is damaged: its white level lies below its black level")
    return black, white


def _develop(codes: Codes, facts: dict[str, Any], letters: str, way: Way) -> Float32Array:
    black, white = _levels(facts)
    if codes.ndim == 3:
        values = ((codes[..., :3] - black[:3]) / (white - black)[:3]).astype(np.float32)
        return np.clip(values, 0.0, 1.0)
    pattern = np.array(facts["pattern"])
    channel = np.array(["RGB".index(letter) for letter in letters])[pattern]
    return develop_mosaic(codes, channel, black[pattern], white[pattern], way)


def _colour(facts: dict[str, Any]) -> dict[str, Any]:
    """As-shot white and LibRaw's own matrix, where the header says nothing of them."""
    found: dict[str, Any] = {}
    gains = np.array(facts["as_shot"][:3], float)
    if np.isfinite(gains).all() and (gains > 0).all():
        neutral = 1.0 / gains
        found["as_shot_neutral"] = tuple((neutral / neutral.max()).tolist())
    matrix = np.array(facts["xyz_to_camera"], float)[:3]
    if matrix.shape == (3, 3) and np.isfinite(matrix).all() and np.abs(matrix).max() > 0:
        found["xyz_to_camera_1"] = tuple(matrix.ravel().tolist())
        found["calibration_light_1"] = "D65"
    if facts.get("iso"):
        found["iso"] = float(facts["iso"])
    return found


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
