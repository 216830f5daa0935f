"""The clean track: a colorimetric camera without noise or compression."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from pydantic import Field

from respectra.cameras import codec
from respectra.cameras.responses import CLEAN_RESPONSE
from respectra.cameras.sensor import cube_values, for_row_blocks, piece_pixels, project
from respectra.cameras.track import Track, refuse_negative
from respectra.config import Config
from respectra.cubes import require_cube, wavelengths_of
from respectra.errors import DataError
from respectra.typing import Float32Array, FloatArray


class CleanOptions(Config):
    """What the clean track does; the defaults are the challenge's."""

    divisor: float = Field(256.0, gt=0)
    """Signal that is full scale. The challenge divides by 256 although its response sums to 255,
    so that a spectrum of ones gives 254."""
    rounding: codec.Rounding = "truncate"
    negative: Literal["refuse", "clip"] = "refuse"
    """Negative signals; the challenge asserts that there are none."""
    overflow: Literal["clip", "refuse"] = "clip"
    """Signals above full scale; the challenge clips them."""
    png_compression: int = Field(9, ge=0, le=9)


class CleanTrack(Track):
    """``v = floor(255 · min(1, spectrum · F / 256))``, written as PNG.

    Source: NTIRE 2020 challenge (Arad et al. 2020), the organisers' clean example.
    """

    name = "clean"
    summary = "CIE 1964 observer as the camera, no noise, PNG (NTIRE 2020)"
    file_suffix = "_clean.png"
    title = "Clean"
    exact = True
    one_camera = True
    by_pixel = True
    option_type = CleanOptions
    default_response = CLEAN_RESPONSE
    options: CleanOptions

    @property
    def full_scale(self) -> float:
        """The divisor."""
        return self.options.divisor

    @property
    def released_scale(self) -> float:
        """The highest code, which AWAN's authors divide by instead of 256."""
        return 255.0

    def encode(self, codes: codec.Codes) -> bytes:
        """A PNG file."""
        return codec.encode_png(codes, self.options.png_compression)

    def through_codec(self, codes: codec.Codes) -> codec.Codes:
        """The codes themselves: PNG loses nothing."""
        return codes

    def render_codes(
        self, cube: xr.DataArray, *, seed: int | None = None, key: str = ""
    ) -> codec.Codes:
        """The camera's 8-bit codes, shape (y, x, 3). There is no noise, so no seed matters."""
        cube = require_cube(cube)
        values = cube_values(cube)
        matrix = self.response_matrix(wavelengths_of(cube))
        plain = self.options.rounding == "truncate" and self.options.overflow == "clip"
        if plain and (matrix >= 0).all():
            codes = _truncated_codes(values, matrix)
            if codes is not None:
                return codes
        linear = refuse_negative(project(values, matrix), self.options.negative)
        if self.options.overflow == "refuse" and float(linear.max()) > 1.0:
            raise DataError(
                f"the cube reaches {linear.max():.4g} times full scale; scale it down, or pass "
                "the option overflow='clip'"
            )
        return codec.quantise(linear * 255.0, self.options.rounding)


def _truncated_codes(values: Float32Array, matrix: FloatArray) -> codec.Codes | None:
    """``floor(255 · min(1, values @ matrix))`` as float64 gives it, at the speed of float32.

    The sums are taken in float32. Rounding moves a sum of n products, none of them negative, by
    at most (n + 2) · 2⁻²⁴ of itself; where that could change the code, the sum is taken again in
    float64.

    Returns:
        the codes, or None where a value is negative or not finite, so that the bound is not one.
    """
    rows, columns, bands = values.shape
    codes = np.empty((rows, columns, 3), np.uint8)
    fast = (matrix * 255.0).astype(np.float32)
    margin = (bands + 4) * 2.0**-24
    low, high = np.float32(1.0 - margin), np.float32(1.0 + margin)
    usable: list[bool] = []

    def work(start: int, stop: int) -> None:
        pixels = values[start:stop].reshape(-1, bands)
        scaled = np.empty((len(pixels), 3), np.float32)
        step, lowest = piece_pixels(bands), np.float32(0.0)
        for first in range(0, len(pixels), step):
            part = pixels[first : first + step]
            np.matmul(part, fast, out=scaled[first : first + step])
            lowest = np.minimum(lowest, part.min())  # passes NaN on
        usable.append(bool(lowest >= 0.0) and bool(np.isfinite(scaled.max())))
        if not usable[-1]:
            return
        np.minimum(scaled, np.float32(255.5), out=scaled)
        at_least, at_most = (scaled * low).astype(np.uint8), (scaled * high).astype(np.uint8)
        doubtful = np.flatnonzero(at_least != at_most)
        for first in range(0, doubtful.size, step):
            some = doubtful[first : first + step]
            pixel, channel = np.divmod(some, 3)
            exact = np.einsum("nb,nb->n", pixels[pixel].astype(np.float64), matrix.T[channel])
            at_least.reshape(-1)[some] = codec.quantise(exact * 255.0)
        codes[start:stop] = at_least.reshape(-1, columns, 3)

    for_row_blocks(rows, work)
    return codes if all(usable) else None


TRACK = CleanTrack
