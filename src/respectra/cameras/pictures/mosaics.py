"""Mosaics that are kept as ordinary grey pictures: PNG or TIFF files of a sensor's own values."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from respectra.cameras.pictures.demosaicing import Way
from respectra.cameras.pictures.raw import develop_mosaic
from respectra.cameras.pictures.source import Codes, PictureSource, WholeSource
from respectra.errors import ConfigError, DataError

#: The colours of the first two pixels of the first row, and of the second.
Pattern = Literal["none", "rggb", "bggr", "grbg", "gbrg"]


def fill_in_source(
    source: PictureSource, pattern: Pattern, way: Way, black_level: float, white_level: float | None
) -> WholeSource:
    """The picture behind a grey mosaic: linear values of the camera in [0, 1].

    Args:
        source: of one channel, its pixels as they lie on the sensor.
        pattern: see ``Pattern``.
        way: how the missing channels are filled in.
        black_level: the code that no light gives.
        white_level: the code of full scale; the highest one by default.

    Raises:
        DataError: the picture has colours already.
        ConfigError: levels that are none.
    """
    said = source.said
    if said.colours != "grey" or said.inverted or said.alpha is not None:
        raise DataError(
            f"a mosaic is a grey picture, and this one is {said.colours}; open it without "
            "mosaic= (--mosaic)"
        )
    white = float(said.full if white_level is None else white_level)
    if not 0 <= black_level < white:
        raise ConfigError(
            f"the black level lies below the white level; got {black_level:g} and {white:g}"
        )
    channel = np.array(["rgb".index(letter) for letter in pattern]).reshape(2, 2)
    side = 2 if way == "half" else 1

    def load() -> Codes:
        codes = source.read(slice(0, source.height))[..., 0]
        low, high = np.full((2, 2), black_level), np.full((2, 2), white)
        return develop_mosaic(codes, channel, low, high, way)

    levels = {"black_level": float(black_level), "white_level": white}
    facts = {**said.facts, **levels, "demosaic": way, "mosaic": pattern}
    told = replace(said, colours="camera", full=1.0, bits=32, icc=None, space=None, facts=facts)
    return WholeSource((source.height // side, source.width // side), told, load)
