"""HEIC pictures, through libheif (the extra ``heif``), in a process of its own."""

from __future__ import annotations

import base64
import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from respectra.cameras.pictures.child import ask_child
from respectra.cameras.pictures.source import Codes, Said, WholeSource, check_cost
from respectra.cameras.pictures.stated import coded_space, exif_facts
from respectra.cameras.pictures.with_pillow import profile_of
from respectra.errors import FormatError

_PIXEL_BYTES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


def open_heif(path: Path, *, max_pixels: int) -> WholeSource:
    """The main picture of a HEIC file; high dynamic range is refused.

    libheif puts it upright: the orientation is part of how the file is coded.
    """
    facts, _ = ask_child(path, "heif", "look")
    mode = str(facts["mode"]).split(";")[0]
    value_bytes = _PIXEL_BYTES.get(mode, 4) * (1 if facts["bits"] == 8 else 2)
    check_cost(path, facts["height"], facts["width"], value_bytes, max_pixels)
    bits = int(facts["bits"])
    colours: Any = "grey" if mode in ("L", "LA") else "rgb"
    alpha: Any = "straight" if mode in ("LA", "RGBA") else None
    icc = base64.b64decode(facts["icc_profile"]) if "icc_profile" in facts else None
    space = None
    if not icc and "nclx" in facts:
        primaries, curve = facts["nclx"]
        space = coded_space(primaries, curve, "HEIC")
    said = Said(
        colours,
        float(2**bits - 1),
        bits,
        alpha,
        icc=profile_of({"icc_profile": icc}),
        space=space,
        facts=_camera(facts),
    )

    def load() -> Codes:
        _, codes = ask_child(path, "heif", "decode", pixels=facts["height"] * facts["width"])
        if codes is None:
            raise FormatError("the HEIC holds no picture")
        # Codes of more than 8 bits lie in the upper ones of 16.
        return np.asarray(codes >> (16 - bits) if codes.dtype == np.uint16 else codes)

    return WholeSource((facts["height"], facts["width"]), said, load)


def _camera(facts: dict[str, Any]) -> dict[str, Any]:
    from PIL import Image

    exif = Image.Exif()
    with contextlib.suppress(Exception):  # damaged EXIF says nothing
        exif.load(base64.b64decode(facts.get("exif", "")))
    return exif_facts(exif)
