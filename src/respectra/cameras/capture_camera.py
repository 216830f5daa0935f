"""The camera of a capture as something that renders cubes and explains codes, as a track does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras import sensor
from respectra.cameras.capture import Capture
from respectra.cameras.codec import Rounding
from respectra.cameras.images import Noise, code_bounds, make_image, middle_of_codes, require_image
from respectra.colour import encode_srgb
from respectra.cubes import Quantity, require_cube, wavelengths_of
from respectra.errors import DataError
from respectra.typing import FloatArray

#: Depth of the codes of a capture that does not say it.
_BITS = 8


@dataclass(frozen=True)
class CaptureCamera:
    """How a capture sees spectra of a quantity."""

    capture: Capture
    quantity: Quantity = "reflectance"

    @property
    def exact(self) -> bool:
        """Whether a code says, without noise, between which bounds the value lay."""
        return not self.capture.noise

    @property
    def rounding(self) -> Rounding:
        """How values become codes."""
        return self.capture.rounding or "nearest"

    def response_matrix(self, wavelengths_nm: npt.ArrayLike) -> FloatArray:
        """The effective response, shape (band, 3): linear values = spectrum @ it."""
        return self.capture.effective_response(wavelengths_nm, self.quantity)

    def deviation(self, values: FloatArray) -> FloatArray:
        """Standard deviation of the noise of linear values."""
        noise = self.capture.noise
        return noise.deviation(values) if isinstance(noise, Noise) else np.zeros_like(values)

    def render(self, cube: xr.DataArray, *, seed: int | None = None) -> xr.DataArray:
        """The picture that the capture makes of a cube.

        Args:
            cube: dims (y, x, wavelength), of this camera's quantity.
            seed: of the noise; None leaves it out.

        Returns:
            codes over the highest code: encoding ``srgb`` for photographs, else ``linear``.

        Raises:
            DataError: another quantity, or values that are not finite.
        """
        cube = require_cube(cube)
        if cube.attrs.get("quantity", self.quantity) != self.quantity:
            raise DataError(
                f"this capture is to see {self.quantity}, and the cube holds "
                f"{cube.attrs['quantity']}; use respectra.to_reflectance or to_radiance"
            )
        matrix = self.response_matrix(wavelengths_of(cube))
        values = sensor.project(sensor.cube_values(cube), matrix)
        if seed is not None:
            noise = np.random.default_rng(seed).standard_normal(values.shape)
            values += self.deviation(values) * noise
        return self.develop(values)

    def develop(self, values: FloatArray) -> xr.DataArray:
        """The picture of linear values, shape (y, x, 3): clipped, encoded, as codes."""
        bits = self.capture.bits or _BITS
        top = float(2**bits - 1)
        shares = np.clip(values, 0.0, 1.0)
        encoding: str = "linear"
        if self.capture.camera_name == "srgb":
            shares, encoding = encode_srgb(shares).astype(np.float64), "srgb"
        elif self.capture.has_levels:
            low, high = self.capture.levels(bits)
            shares = low + shares * (high - low)
        codes = np.rint(shares * top) if self.rounding == "nearest" else np.floor(shares * top)
        return make_image(
            codes / top,
            encoding="srgb" if encoding == "srgb" else "linear",
            bits=bits,
            track="capture",
        )

    def code_bounds(self, image: xr.DataArray) -> tuple[FloatArray, FloatArray]:
        """Between which linear values each code of what :meth:`Capture.linear` gives lies.

        Two arrays, low ≤ v < high, of shape (y, x, 3), float64; the highest has no upper bound.
        """
        values = np.asarray(require_image(image).values, np.float64)
        bits = int(image.attrs.get("code_bits", image.attrs.get("bits", 32)))
        curve = str(image.attrs.get("code_curve", "linear"))
        levels = self.capture.levels(bits) if curve == "levels" and bits <= 16 else (0.0, 1.0)
        return code_bounds(values, bits, self.rounding, curve=curve, levels=levels)

    def invert_codes(self, image: xr.DataArray) -> FloatArray:
        """The linear value in the middle of each code's bounds; full scale for the highest."""
        return middle_of_codes(*self.code_bounds(image))
