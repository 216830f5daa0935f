"""Raw files of cameras, through LibRaw (the extra ``raw``): linear values, nothing done to them.

LibRaw unpacks the codes, in a process of its own; black level, saturation and demosaicing are done
here. No white balance, no colour matrix, no tone curve.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from respectra.cameras.pictures.child import ask_child
from respectra.cameras.pictures.demosaicing import Way, cell_size, develop_mosaic
from respectra.cameras.pictures.raw_headers import read_raw_header
from respectra.cameras.pictures.source import (
    Codes,
    Said,
    WholeSource,
    check_cost,
    read_file,
    turn,
    turned_size,
)
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
