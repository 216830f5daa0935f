"""Filling in the channels that a mosaic lacks: those of raw files, and of grey pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from respectra.cameras.pictures.source import Codes, PictureSource, WholeSource
from respectra.errors import ConfigError, DataError
from respectra.typing import Float32Array

#: ``half``: each cell of the pattern becomes one pixel, nothing is interpolated; ``bilinear``;
#: ``edge-aware``: OpenCV's, for patterns of 2 x 2.
Way = Literal["edge-aware", "bilinear", "half"]

_BAYER = {"RGGB": "BG", "BGGR": "RG", "GRBG": "GB", "GBRG": "GR"}


def fill_in(values: Float32Array, channel: npt.NDArray[Any], way: Way) -> Float32Array:
    """Three channels a pixel, of values (y, x) in [0, 1].

    ``channel`` are the channels of one period of the pattern, 0 to 2: 2 x 2 (Bayer) or 6 x 6
    (X-Trans, whose cells of 3 x 3 hold all channels). Where edges cannot be heeded, bilinear.

    Raises:
        DataError: smaller than the pattern, or a pattern that lacks a channel.
    """
    if set(np.unique(channel)) != {0, 1, 2}:
        raise DataError("the mosaic does not hold red, green and blue")
    if min(values.shape) < 2 * channel.shape[0]:
        raise DataError(f"a mosaic of {values.shape} pixels is too small to be filled in")
    if way == "half":
        return _cells(values, channel)
    if way == "edge-aware" and channel.shape == (2, 2):
        return _edge_aware(values, channel)
    return _bilinear(values, channel)


def develop_mosaic(
    codes: Codes,
    channel: npt.NDArray[Any],
    black: npt.NDArray[Any],
    white: npt.NDArray[Any],
    way: Way,
) -> Float32Array:
    """Linear values (y, x, 3) of the codes (y, x) of a mosaic.

    The pattern's channels and its black and white levels are those of one period.
    """
    period = channel.shape
    repeats = (-(-codes.shape[0] // period[0]), -(-codes.shape[1] // period[1]))
    height, width = codes.shape

    def spread(table: npt.NDArray[Any]) -> Float32Array:
        return np.tile(table.astype(np.float32), repeats)[:height, :width]

    low = spread(black)
    values = (codes.astype(np.float32) - low) / (spread(white) - low)
    return fill_in(np.clip(values, 0.0, 1.0), channel, way)


def cell_size(pattern: Any) -> int:
    """Side of the smallest cell that holds all channels: 2, or 3 for X-Trans."""
    return 2 if np.shape(pattern) == (2, 2) else 3


def _cells(values: Float32Array, channel: npt.NDArray[Any]) -> Float32Array:
    side = cell_size(channel)
    height, width = (size // side * side for size in values.shape)
    cells = values[:height, :width].reshape(height // side, side, width // side, side)
    kinds = np.tile(channel, (height // channel.shape[0] + 1, width // channel.shape[1] + 1))
    kinds = kinds[:height, :width].reshape(height // side, side, width // side, side)
    out = np.empty((height // side, width // side, 3), np.float32)
    for index in range(3):
        here = kinds == index
        out[..., index] = (cells * here).sum(axis=(1, 3)) / here.sum(axis=(1, 3))
    return out


def _edge_aware(values: Float32Array, channel: npt.NDArray[Any]) -> Float32Array:
    import cv2

    pattern = "".join("RGB"[index] for index in channel.ravel())
    if pattern not in _BAYER:
        return _bilinear(values, channel)
    codes = np.rint(values * np.float32(65535)).astype(np.uint16)
    code = getattr(cv2, f"COLOR_Bayer{_BAYER[pattern]}2BGR_EA")
    bgr = cv2.cvtColor(codes, code)
    rgb: Float32Array = bgr[..., ::-1] / np.float32(65535)
    return rgb


def _bilinear(values: Float32Array, channel: npt.NDArray[Any]) -> Float32Array:
    """Means of the neighbours of a channel, weighted by nearness; measured values are kept."""
    import cv2

    reach = 1 if channel.shape == (2, 2) else 2
    ramp = np.minimum(np.arange(1, 2 * reach + 2), np.arange(2 * reach + 1, 0, -1))
    kernel = np.outer(ramp, ramp).astype(np.float32)
    tiles = [-(-size // period) for size, period in zip(values.shape, channel.shape, strict=True)]
    kinds = np.tile(channel, tiles)[: values.shape[0], : values.shape[1]]
    out = np.empty((*values.shape, 3), np.float32)
    for index in range(3):
        here = (kinds == index).astype(np.float32)
        total = cv2.filter2D(values * here, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
        weight = cv2.filter2D(here, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
        out[..., index] = np.where(here > 0, values, total / weight)
    return out


#: The colours of the first two pixels of the first row, and of the second.
Pattern = Literal["none", "rggb", "bggr", "grbg", "gbrg"]


def fill_in_source(
    source: PictureSource, pattern: Pattern, way: Way, black_level: float, white_level: float | None
) -> WholeSource:
    """The picture behind a grey mosaic: linear values of the camera in [0, 1].

    Its levels are codes; full scale is the highest one by default.

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
