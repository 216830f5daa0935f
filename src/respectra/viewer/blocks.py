"""Cubes that are read by rectangles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes import require_cube, wavelengths_of

Bytes = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Block:
    """A rectangle of a scene."""

    spectra: FloatArray
    """Shape (y, x, band); values that are not finite are zero."""
    invalid: int = 0
    """Pixels that held a value which is not finite."""
    pictures: dict[str, Bytes] = field(default_factory=dict)
    """Further planes by name, shape (y, x, channel)."""


class Source(Protocol):
    """A scene that can be read by rectangles."""

    height: int
    width: int
    wavelengths_nm: npt.NDArray[np.float64]
    quantity: str
    pictures: tuple[str, ...]

    def block(self, rows: slice, columns: slice) -> Block:
        """The rectangle; slices may have a step."""
        ...


class CubeSource:
    """A cube in memory."""

    pictures: tuple[str, ...] = ()

    def __init__(self, cube: xr.DataArray) -> None:
        self._values = np.asarray(require_cube(cube).values, np.float32)
        self.height, self.width = self._values.shape[:2]
        self.wavelengths_nm = wavelengths_of(cube)
        self.quantity = str(cube.attrs.get("quantity", "radiance"))

    def block(self, rows: slice, columns: slice) -> Block:
        """The rectangle."""
        values = np.array(self._values[rows, columns])
        bad = ~np.isfinite(values)
        values[bad] = 0.0
        return Block(values, int(bad.any(axis=2).sum()))
