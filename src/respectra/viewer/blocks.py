"""Scenes that are read by rectangles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes import require_cube, wavelengths_of
from respectra.typing import Float32Array

Bytes = npt.NDArray[np.uint8]
ColourCodes = npt.NDArray[np.int32]


@dataclass(frozen=True)
class SceneBlock:
    """Some pixels of a scene."""

    spectra: Float32Array
    """Shape (pixel, band); values that are not finite are zero."""
    invalid: int = 0
    """Pixels that held a value which is not finite."""
    deviation: Float32Array | None = None
    """The method's own standard deviation of each value; where one pixel has it, all have."""
    pictures: dict[str, Bytes] = field(default_factory=dict)
    """Further planes by name, shape (pixel, channel)."""


class Source(Protocol):
    """A scene that can be read by rectangles."""

    height: int
    width: int
    wavelengths_nm: npt.NDArray[np.float64]
    quantity: str
    pictures: tuple[str, ...]
    deviates: bool
    """Whether blocks say how far off their spectra may be."""
    light: npt.NDArray[np.float64] | None
    """Of radiance: the light on the scene, shape (band,), where it is known."""

    def block(self, rows: slice, columns: slice) -> SceneBlock:
        """A rectangle, row by row; slices may have a step."""
        ...


@runtime_checkable
class ColourSource(Source, Protocol):
    """A scene whose pixels of one colour are all alike, so that each colour is computed once."""

    def colours(self, rows: slice, columns: slice) -> ColourCodes:
        """Shape (y, x): each pixel's 8-bit codes as one number below 2²⁴."""
        ...

    def block_of(self, colours: ColourCodes) -> SceneBlock:
        """Pixels of these colours, shape (pixel,)."""
        ...

    def preview(
        self, colours: ColourCodes, counts: npt.NDArray[np.int64]
    ) -> tuple[SceneBlock, bool]:
        """The same without knowing the whole picture, and whether that makes no difference.

        Args:
            colours: of some pixels of the picture.
            counts: how many of them have each.
        """
        ...


class CubeSource:
    """A cube in memory."""

    pictures: tuple[str, ...] = ()
    deviates = False
    light: npt.NDArray[np.float64] | None = None

    def __init__(self, cube: xr.DataArray) -> None:
        self._values = np.asarray(require_cube(cube).values, np.float32)
        self.height, self.width = self._values.shape[:2]
        self.wavelengths_nm = wavelengths_of(cube)
        self.quantity = str(cube.attrs.get("quantity", "radiance"))

    def block(self, rows: slice, columns: slice) -> SceneBlock:
        """The rectangle."""
        values = np.array(self._values[rows, columns]).reshape(-1, self._values.shape[2])
        bad = ~np.isfinite(values)
        values[bad] = 0.0
        return SceneBlock(values, int(bad.any(axis=1).sum()))
