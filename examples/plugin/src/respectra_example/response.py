"""A camera response, made when it is asked for."""

from __future__ import annotations

import numpy as np
import xarray as xr

from respectra.cameras import make_response


def example_camera() -> xr.DataArray:
    """Three bells; a spectrum of ones gives white of 1."""
    wavelengths_nm = np.arange(380.0, 781.0, 5.0)
    bells = np.exp(-(((wavelengths_nm[:, None] - [600.0, 540.0, 450.0]) / 35.0) ** 2))
    # On the grid of 10 nm every second sample counts.
    values = bells / bells[::2].sum(axis=0)
    return make_response(values, wavelengths_nm, name="example-camera", source="three bells")
