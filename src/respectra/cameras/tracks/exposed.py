"""The exposed track: shot noise, and an exposure that each image sets for itself."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from respectra.cameras import codec, sensor
from respectra.cameras.sensor import cube_values, for_row_blocks, project
from respectra.cameras.track import Track, refuse_negative
from respectra.config import Config
from respectra.cubes import require_cube, wavelengths_of
from respectra.errors import DataError
from respectra.typing import FloatArray


class ExposedOptions(Config):
    """What the exposed track does; the defaults are those the organisers published for 2022.

    They called their noise and JPEG quality similar to the competition's, but not the same.
    """

    analog_gains: tuple[float, float, float] = (2.2933984, 1.0, 1.62308182)
    """Gain of R, G and B before the noise."""
    electrons_per_unit: float = Field(750.0, ge=0)
    """Photo-electrons of a signal of 1; 0 leaves the shot noise out."""
    mean_level: float = Field(0.18, gt=0, le=1)
    """Mean of the image, over pixels and channels, that the exposure leads to; 1 is full scale."""
    black: Literal["refuse", "keep"] = "refuse"
    """An image without any signal, for which the challenge divides by zero."""
    negative: Literal["refuse", "clip"] = "clip"
    """Negative signals; the challenge clips them."""
    rounding: codec.Rounding = "truncate"
    jpeg_quality: int = Field(65, ge=1, le=100)


class ExposedTrack(Track):
    """Projection, shot noise, exposure to a mean of 0.18, JPEG; no mosaic.

    The linear value ``v = spectrum @ response_matrix`` is the sensor's signal; an image's codes
    are proportional to it by a factor that the image sets, so that absolute light is lost.

    Source: NTIRE 2022 challenge (Arad et al. 2022), the organisers' published simulator.
    """

    name = "exposed"
    summary = "shot noise, every image exposed to a mean of 0.18, JPEG (NTIRE 2022)"
    file_suffix = ".jpg"
    title = "Exposed"
    exact = False
    keeps_exposure = False
    option_type = ExposedOptions
    # The 2022 camera's sensitivities come under a licence that we cannot ship; this one is raw
    # as well, and the 2022 gains turn it to about neutral.
    default_response = "nikon-5100-npl"
    options: ExposedOptions

    def with_electrons(self, electrons: float, per_unit: float) -> Track:
        """The sensor whose full scale holds so many electrons."""
        options = self.options.model_copy(update={"electrons_per_unit": per_unit})
        return dataclasses.replace(self, options=options)

    @property
    def full_scale(self) -> float:
        """A signal of 1."""
        return 1.0

    def signal_matrix(self, wavelengths_nm: npt.ArrayLike) -> FloatArray:
        """The response at each band times the band's width and the channel's analog gain."""
        plain: FloatArray = super().signal_matrix(wavelengths_nm)
        return plain * np.array(self.options.analog_gains, dtype=np.float64)

    def encode(self, codes: codec.Codes) -> bytes:
        """A JPEG file."""
        return codec.encode_jpeg(codes, self.options.jpeg_quality)

    def render_codes(
        self, cube: xr.DataArray, *, seed: int | None = None, key: str = ""
    ) -> codec.Codes:
        """The camera's 8-bit codes before JPEG, shape (y, x, 3)."""
        cube = require_cube(cube)
        options = self.options
        signal = project(cube_values(cube), self.signal_matrix(wavelengths_of(cube)))
        signal = refuse_negative(signal, options.negative)
        scale = options.electrons_per_unit
        if scale > 0:
            sensor.expose(
                signal,
                scale,
                lambda electrons: np.divide(electrons, scale, out=electrons),
                out=signal,
                seed=self.seed if seed is None else seed,
                key=key,
            )
        mean = float(signal.mean())
        if mean == 0.0:
            if options.black == "keep":
                return np.zeros(signal.shape, np.uint8)
            raise DataError(
                "the cube gives no signal at all, so no exposure can be set; leave the image "
                "out, or pass the option black='keep'"
            )
        exposure = (options.mean_level / mean) * 255.0
        codes = np.empty(signal.shape, np.uint8)

        def work(start: int, stop: int) -> None:
            codes[start:stop] = codec.quantise(signal[start:stop] * exposure, options.rounding)

        for_row_blocks(len(signal), work)
        return codes


TRACK = ExposedTrack
