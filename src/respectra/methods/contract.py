"""The contract: what a set of weights expects and gives. It travels inside the weights file."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import model_validator

from respectra.config import Config
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, Quantity, check_wavelengths, wavelengths_of
from respectra.errors import DataError

FloatArray = npt.NDArray[np.float32]
Scaling = Literal["unit", "min-max", "maximum", "standardised"]


class ResponseRecord(Config):
    """A camera's spectral sensitivity, written down so that it can travel in a file."""

    name: str
    wavelengths_nm: tuple[float, ...]
    values: tuple[tuple[float, float, float], ...]
    """One (R, G, B) triple a wavelength."""

    @classmethod
    def of(cls, response: xr.DataArray) -> Self:
        """Record a response of dims (wavelength, channel)."""
        return cls(
            name=str(response.attrs.get("name", response.name or "unnamed")),
            wavelengths_nm=tuple(wavelengths_of(response).tolist()),
            values=tuple(tuple(row) for row in np.asarray(response.values, dtype=float).tolist()),
        )

    def to_response(self) -> xr.DataArray:
        """The response, dims (wavelength, channel)."""
        return xr.DataArray(
            np.array(self.values),
            dims=("wavelength", "channel"),
            coords={"wavelength": list(self.wavelengths_nm), "channel": ["R", "G", "B"]},
            name="response",
            attrs={"name": self.name},
        )


class Contract(Config):
    """What goes into a method and what comes out.

    The method receives pixels of shape (..., 3) made by :meth:`prepare` from an image's linear
    values in [0, 1], and what it returns becomes a cube through :meth:`finish`.
    """

    track: str = "clean"
    """Track whose images the weights were made for."""
    channel_order: Literal["RGB", "BGR"] = "RGB"
    scaling: Scaling = "unit"
    """``unit``: values in [0, 1] as they are. ``min-max``: each image stretched to [0, 1];
    ``maximum``: each divided by its largest value; both lose exposure. ``standardised``:
    (value - mean) / std a channel."""
    mean: tuple[float, float, float] | None = None
    """Channel means for ``standardised``, in R, G, B order."""
    std: tuple[float, float, float] | None = None
    wavelengths_nm: tuple[float, ...] = tuple(CHALLENGE_WAVELENGTHS_NM.tolist())
    quantity: Quantity = "radiance"
    clip_low: float | None = None
    """Lower clip that belongs to the method, or None."""
    clip_high: float | None = None
    response: ResponseRecord | None = None
    """The camera, where it is known."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_wavelengths(self.wavelengths_nm)
        if (self.scaling == "standardised") != (self.mean is not None and self.std is not None):
            raise ValueError("mean and std belong to scaling 'standardised', and to it alone")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError("std must be positive")
        return self

    @property
    def bands(self) -> int:
        """Number of bands of the resulting cube."""
        return len(self.wavelengths_nm)

    @property
    def keeps_exposure(self) -> bool:
        """Whether the input's absolute level reaches the method."""
        return self.scaling not in ("min-max", "maximum")

    def prepare(
        self, rgb: npt.NDArray[np.floating], *, bounds: tuple[float, float] | None = None
    ) -> FloatArray:
        """Scale and order linear values (..., 3) in R, G, B as the method expects them.

        Args:
            rgb: linear values in [0, 1].
            bounds: minimum and maximum of the whole image, for ``min-max`` and ``maximum`` on a
                part of it.

        Raises:
            DataError: ``min-max`` on an image of one single value, ``maximum`` on a black one.
        """
        if rgb.shape[-1:] != (3,):
            raise DataError(f"pixels have 3 channels R, G, B on the last axis; got {rgb.shape}")
        values = rgb.astype(np.float32, copy=False)
        if not self.keeps_exposure:
            low, high = bounds if bounds is not None else (float(rgb.min()), float(rgb.max()))
            if self.scaling == "maximum":
                low = 0.0
            if not high > low:
                raise DataError(
                    f"these weights stretch each image by its own range, but every value of this "
                    f"one is {high:g}; use weights with another scaling"
                )
            values = (values - np.float32(low)) / np.float32(high - low)
        elif self.mean is not None and self.std is not None:
            mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
            values = np.asarray((values - mean) / std, np.float32)
        return values[..., ::-1] if self.channel_order == "BGR" else values

    def finish(self, spectra: FloatArray) -> FloatArray:
        """Apply the method's own clip, if it has one; in place where the array allows it."""
        if self.clip_low is None and self.clip_high is None:
            return spectra
        out = spectra if spectra.flags.writeable else None
        return np.clip(spectra, self.clip_low, self.clip_high, out=out)
