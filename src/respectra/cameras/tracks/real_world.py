"""The real-world track: an RGGB sensor with noise, demosaicing and JPEG."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from respectra.cameras import codec, sensor
from respectra.cameras.responses import EXAMPLE_RESPONSE
from respectra.cameras.sensor import Demosaic, cube_values, demosaic, project, project_mosaic
from respectra.cameras.track import Track, refuse_negative
from respectra.config import Config
from respectra.cubes import require_cube, wavelengths_of
from respectra.errors import DataError
from respectra.typing import FloatArray

#: Full scale of the sensor's 16-bit codes.
FULL_SCALE_DN = 65535.0


class RealWorldOptions(Config):
    """What the real-world track does; the defaults are those the organisers published.

    The competition's own camera and noise stayed secret; these are the organisers' examples.
    """

    target_electrons: float = Field(5000.0, gt=0)
    """Mean photo-electrons of the green pixels: each image gets the gain that leads to it."""
    dark_noise_e: float = Field(10.0, ge=0)
    """Dark noise in electrons."""
    dark_noise_spread: Literal["squared", "as-given"] = "squared"
    """Standard deviation of the dark noise: the challenge's code passes the square of
    ``dark_noise_e`` where a standard deviation is expected (100 electrons)."""
    shot_noise: bool = True
    """Poisson noise of the photo-electrons."""
    filter_array: bool = True
    """An RGGB mosaic, filled in again; otherwise every pixel measures all three channels."""
    demosaic: Demosaic = "edge-aware"
    odd_sizes: Literal["refuse", "accept"] = "refuse"
    """Odd heights and widths: the challenge averages the two green planes as one array, which
    needs them to be of one size. ``accept`` averages over all green pixels."""
    black: Literal["refuse", "keep"] = "refuse"
    """An image without any green signal, for which the challenge divides by zero. ``keep`` gives
    a black image with noise-free pixels."""
    negative: Literal["refuse", "clip"] = "refuse"
    """Negative signals; the challenge's Poisson draw fails on them."""
    rounding: codec.Rounding = "truncate"
    """From the 16-bit image to the 8-bit codes."""
    jpeg_quality: int = Field(80, ge=1, le=100)


class RealWorldTrack(Track):
    """Projection, mosaic, noise, demosaicing, JPEG, in this order.

    Source: NTIRE 2020 challenge (Arad et al. 2020), the organisers' real-world example.
    """

    name = "real-world"
    summary = "RGGB sensor with shot and dark noise, demosaicing, JPEG 80 (NTIRE 2020)"
    file_suffix = "_RealWorld.jpg"
    title = "Real World"
    exact = False
    option_type = RealWorldOptions
    default_response = EXAMPLE_RESPONSE
    options: RealWorldOptions

    def with_electrons(self, electrons: float, per_unit: float) -> Track:
        """The sensor exposed so that its green channel holds so many electrons on average."""
        options = self.options.model_copy(update={"target_electrons": electrons})
        return dataclasses.replace(self, options=options)

    @property
    def full_scale(self) -> float:
        """The largest 16-bit code."""
        return FULL_SCALE_DN

    def encode(self, codes: codec.Codes) -> bytes:
        """A JPEG file."""
        return codec.encode_jpeg(codes, self.options.jpeg_quality)

    def render_codes(
        self, cube: xr.DataArray, *, seed: int | None = None, key: str = ""
    ) -> codec.Codes:
        """The camera's 8-bit codes before JPEG, shape (y, x, 3)."""
        cube = require_cube(cube)
        options = self.options
        height, width = cube.sizes["y"], cube.sizes["x"]
        if options.odd_sizes == "refuse" and (height % 2 or width % 2):
            raise DataError(
                f"the real-world track needs an even height and width; got {height} × {width}: "
                "crop the cube by a row or column, or pass the option odd_sizes='accept'"
            )
        see = project_mosaic if options.filter_array else project
        signal = see(cube_values(cube), self.signal_matrix(wavelengths_of(cube)))
        signal = refuse_negative(signal, options.negative)
        raw = self._expose(signal, self.seed if seed is None else seed, key)
        rgb = demosaic(raw, options.demosaic) if options.filter_array else raw
        return _eight_bits(rgb, options.rounding)

    def _expose(self, signal: FloatArray, seed: int, key: str) -> npt.NDArray[np.uint16]:
        """Noisy 16-bit codes of a signal in the same scale."""
        options = self.options
        raw = np.zeros(signal.shape, np.uint16)
        mean = mean_green(signal)
        if mean == 0.0:
            if options.black == "keep":
                return raw
            raise DataError(
                "the cube gives no green signal at all, so no exposure can be set; leave the "
                "image out, or pass the option black='keep'"
            )
        electrons_per_code = options.target_electrons / mean
        codes_per_electron = 1 / electrons_per_code

        def digitise(electrons: FloatArray) -> FloatArray:
            electrons *= codes_per_electron
            np.rint(electrons, out=electrons)
            return np.clip(electrons, 0.0, FULL_SCALE_DN, out=electrons)

        dark = options.dark_noise_e
        sensor.expose(
            signal,
            electrons_per_code,
            digitise,
            out=raw,
            seed=seed,
            key=key,
            shot=options.shot_noise,
            dark_sigma_e=dark**2 if options.dark_noise_spread == "squared" else dark,
        )
        return raw


def mean_green(signal: FloatArray) -> float:
    """Mean of the green pixels, of a mosaic (y, x) or of an image (y, x, channel)."""
    if signal.ndim == 3:
        return float(signal[..., 1].mean())
    planes = [signal[1::2, 0::2], signal[0::2, 1::2]]
    if planes[0].shape == planes[1].shape:
        return float(np.mean(planes))
    return float(np.concatenate([plane.ravel() for plane in planes]).mean())


def _eight_bits(rgb: npt.NDArray[np.uint16], rounding: codec.Rounding) -> codec.Codes:
    """8-bit codes of 16-bit ones: 65535 = 257 · 255, so that truncation is a whole division."""
    if rounding == "truncate":
        codes: codec.Codes = (rgb // np.uint16(257)).astype(np.uint8)
        return codes
    return codec.quantise(rgb * (255.0 / FULL_SCALE_DN), rounding)


TRACK = RealWorldTrack
