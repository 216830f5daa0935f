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
from respectra.typing import Float32Array

Scaling = Literal["unit", "min-max", "maximum", "standardised"]


class ResponseRecord(Config):
    """A camera's spectral sensitivity, written down so that it can travel in a file.

    Example:
        >>> from respectra import cameras
        >>> record = ResponseRecord.of(cameras.native_response("cie-1931-2deg"))
        >>> record.to_response().sizes["channel"]
        3
    """

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

    Example:
        >>> contract = Contract(wavelengths_nm=(450, 550, 650))
        >>> contract.bands, contract.channel_order, contract.scaling
        (3, 'RGB', 'unit')
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
    capture: str | None = None
    """The one capture that the weights serve, where they were told: the JSON of a
    ``respectra.Capture``, whose camera is then that of the pictures. None: they serve any capture,
    told it or through a matrix, and without one the pictures of ``track``."""
    camera_matrix: tuple[tuple[float, float, float], ...] | None = None
    """Where the method knows ``response`` alone: what brings the capture's R, G, B to that of its
    own camera, values = matrix @ values."""
    band_scale: tuple[float, ...] | None = None
    """What the method's spectra are multiplied by, one factor a band: one over the light, where
    radiance becomes reflectance, or the light, where reflectance becomes radiance."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_wavelengths(self.wavelengths_nm)
        if (self.scaling == "standardised") != (self.mean is not None and self.std is not None):
            raise ValueError("mean and std belong to scaling 'standardised', and to it alone")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError("std must be positive")
        if self.band_scale is not None and len(self.band_scale) != len(self.wavelengths_nm):
            raise ValueError("band_scale has one factor a band")
        if self.camera_matrix is not None and len(self.camera_matrix) != 3:
            raise ValueError("camera_matrix has three rows")
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
    ) -> Float32Array:
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
        values = self.own_values(rgb)
        if not self.keeps_exposure:
            low, high = bounds if bounds is not None else (float(values.min()), float(values.max()))
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

    def own_values(self, rgb: npt.NDArray[np.floating]) -> Float32Array:
        """Linear values (..., 3) of the picture as the method's own camera would have them."""
        values = rgb.astype(np.float32, copy=False)
        if self.camera_matrix is None:
            return values
        matrix = np.asarray(self.camera_matrix, np.float32)
        return np.asarray(np.clip(values @ matrix.T, 0.0, 1.0))

    def finish(self, spectra: Float32Array) -> Float32Array:
        """The method's own clip and the scale of the bands; in place where the array allows it."""
        out = spectra if spectra.flags.writeable else None
        if self.clip_low is not None or self.clip_high is not None:
            spectra = np.clip(spectra, self.clip_low, self.clip_high, out=out)
        if self.band_scale is not None:
            spectra = np.multiply(spectra, np.asarray(self.band_scale, np.float32), out=out)
        return spectra
