"""A track: codes rounded to the nearest, as PNG, of a camera of its own."""

from __future__ import annotations

import xarray as xr
from pydantic import Field

from respectra.cameras import Track, codec
from respectra.config import Config


class RoundedOptions(Config):
    """What the track does."""

    full_scale: float = Field(default=1.0, gt=0)
    """Signal that gives the highest code."""


class RoundedTrack(Track):
    """``v = round(255 · min(1, spectrum · response / full_scale))``."""

    name = "rounded"
    summary = "codes rounded to the nearest, no noise, PNG (an example)"
    file_suffix = "_rounded.png"
    title = "Rounded"
    exact = True
    option_type = RoundedOptions
    default_response = "example-camera"
    options: RoundedOptions

    @property
    def full_scale(self) -> float:
        """The signal that counts as 1."""
        return self.options.full_scale

    @property
    def rounding(self) -> codec.Rounding:
        """To the nearest."""
        return "nearest"

    def encode(self, codes: codec.Codes) -> bytes:
        """A PNG file."""
        return codec.encode_png(codes, 9)

    def render_codes(
        self, cube: xr.DataArray, *, seed: int | None = None, key: str = ""
    ) -> codec.Codes:
        """The camera's 8-bit codes, shape (y, x, 3)."""
        return codec.quantise(self.project(cube).values * 255.0, self.rounding)
