"""Cutting a picture into tiles, and putting the results together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from respectra.inference.predictors import Predictor

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Tile:
    """A piece of a picture: what is read, and the part of the result that is kept."""

    read: tuple[slice, slice]
    """Rows and columns of the picture that the method sees, halo included."""
    keep: tuple[slice, slice]
    """Rows and columns of the picture that this tile answers for."""

    @property
    def inner(self) -> tuple[slice, slice]:
        """The kept part, counted from the corner of what is read."""
        (ry, rx), (ky, kx) = self.read, self.keep
        return (
            slice(ky.start - ry.start, ky.stop - ry.start),
            slice(kx.start - rx.start, kx.stop - rx.start),
        )


def cut(height: int, width: int, *, side: int, halo: int, multiple: int = 1) -> Iterator[Tile]:
    """Tiles that cover a picture once.

    Args:
        height: rows of the picture.
        width: columns of the picture.
        side: rows and columns that a tile answers for; a multiple of ``multiple``.
        halo: rows and columns that it sees beyond them.
        multiple: what it reads starts at multiples of this, so that a network that shrinks its
            input samples the same positions in every tile.
    """
    reach = -(-halo // multiple) * multiple
    for top in range(0, height, side):
        for left in range(0, width, side):
            bottom, right = min(top + side, height), min(left + side, width)
            yield Tile(
                read=(
                    slice(max(0, top - reach), min(height, bottom + reach)),
                    slice(max(0, left - reach), min(width, right + reach)),
                ),
                keep=(slice(top, bottom), slice(left, right)),
            )


def predict_native(predict: Predictor, pixels: FloatArray, side: int, bands: int) -> FloatArray:
    """Run a method that is defined on square tiles of its own.

    The tiles start at the top left and do not overlap; those at the right and bottom are filled
    with zeros and cropped afterwards.

    Args:
        predict: takes (side, side, 3).
        pixels: shape (y, x, 3).
        side: side of the tiles in pixels.
        bands: bands of the result.
    """
    height, width = pixels.shape[:2]
    spectra = np.empty((height, width, bands), np.float32)
    for tile in cut(height, width, side=side, halo=0):
        piece = pixels[tile.keep]
        rows, columns = piece.shape[:2]
        padded = np.zeros((side, side, 3), np.float32)
        padded[:rows, :columns] = piece
        spectra[tile.keep] = predict(padded)[:rows, :columns]
    return spectra


def predict_tiles(
    predict: Predictor,
    pixels: FloatArray,
    *,
    bands: int,
    side: int,
    halo: int,
    multiple: int = 1,
) -> FloatArray:
    """Run a method tile by tile; the result is that of the whole picture.

    Args:
        predict: takes (y, x, 3) of any size.
        pixels: shape (y, x, 3).
        bands: bands of the result.
        side: rows and columns that a tile answers for.
        halo: radius of the method's receptive field in pixels.
        multiple: the method's size multiple.
    """
    height, width = pixels.shape[:2]
    spectra = np.empty((height, width, bands), np.float32)
    for tile in cut(height, width, side=side, halo=halo, multiple=multiple):
        spectra[tile.keep] = predict(pixels[tile.read])[tile.inner]
    return spectra
