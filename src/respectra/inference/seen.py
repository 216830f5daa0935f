"""A picture as a method sees it, to be read in parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import xarray as xr

from respectra.cameras.pictures import Picture
from respectra.inference.backends.base import EXACT_BITS, bits_of
from respectra.inference.tiling import Reader

if TYPE_CHECKING:
    from respectra.inference.reconstructor import Reconstructor


@dataclass(frozen=True)
class SeenPicture:
    """Linear values of a picture, in the exposure that guarantees ask for."""

    height: int
    width: int
    read: Reader
    bits: int
    """Depth of the codes that the values came from."""
    factor: float
    """What the picture's cube has to be multiplied by."""
    bounds: tuple[float, float]
    """Smallest and largest value that the method's own camera sees, where the contract asks."""

    @classmethod
    def in_memory(cls, reconstructor: Reconstructor, picture: xr.DataArray) -> Self:
        """A picture of linear values."""
        scaled, factor = reconstructor.guarantees.scale(picture)
        rgb = np.asarray(scaled.values, np.float32)
        height, width = rgb.shape[:2]
        bounds = reconstructor.tiled.bounds_of(rgb)
        return cls(height, width, lambda y, x: rgb[y, x], bits_of(scaled), factor, bounds)

    @classmethod
    def on_disk(cls, reconstructor: Reconstructor, picture: Picture) -> Self:
        """A picture that is read piece by piece."""
        contract = reconstructor.contract
        top = picture.bounds()[1] if reconstructor.guarantees.scales else 1.0
        factor = top if top > 0 else 1.0
        share = np.float32(factor)
        bounds = (0.0, 1.0)
        if not contract.keeps_exposure:
            bounds = picture.bounds(lambda rgb: contract.own_values(rgb / share))
        return cls(
            picture.height,
            picture.width,
            lambda y, x: picture.read(y, x) / share,
            picture.value_bits if factor == 1.0 else EXACT_BITS,
            factor,
            bounds,
        )
