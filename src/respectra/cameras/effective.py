"""A camera and a light as one: what a response sees of reflectance; see :mod:`capture`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras.images import PHOTOGRAPH
from respectra.cameras.responses import band_weights, resample_response
from respectra.colour import (
    list_rgb_spaces,
    open_light,
    resample_light,
    space_matrix,
    srgb_matrix,
)
from respectra.cubes import check_wavelengths
from respectra.typing import FloatArray

#: The light that a developed photograph is taken to be under.
PHOTOGRAPH_LIGHT = "D65"
#: Light that stands for one of which nothing is known, not even the colour of white.
ASSUMED_LIGHT = "E"
#: Temperatures of the lights that are compared with a told white, K.
_PLANCK_K = (2000, 2300, 2600, 2856, 3200, 3600, 4000, 4500)
_DAYLIGHT_K = (4500, 5000, 5500, 6000, 6500, 7500, 9000, 12000)


def is_observer(camera: xr.DataArray | None) -> bool:
    """Whether a camera is the observer of a colour space: its pictures are developed."""
    return camera is not None and camera.attrs["name"] in list_rgb_spaces()


def sensitivity(camera: xr.DataArray, wavelengths_nm: npt.ArrayLike) -> FloatArray:
    """A camera alone in bands, shape (band, 3), in the true proportions of its channels.

    Raises:
        DataError: it does not cover the bands.
    """
    if is_observer(camera):
        power = resample_light(open_light(PHOTOGRAPH_LIGHT), wavelengths_nm)
        seen = _observed(camera, power, check_wavelengths(wavelengths_nm))
        return np.asarray(seen / power[:, None], np.float64)
    sampled = resample_response(camera, wavelengths_nm)
    return np.asarray(sampled.values * band_weights(wavelengths_nm)[:, None], np.float64)


def seen_under(camera: xr.DataArray, power: FloatArray, grid: FloatArray) -> FloatArray:
    """A camera times a light, shape (band, 3), in no particular scale."""
    if is_observer(camera):
        return _observed(camera, power, grid)
    return sensitivity(camera, grid) * power[:, None]


def nearest_light(
    camera: xr.DataArray, white: npt.ArrayLike, wavelengths_nm: npt.ArrayLike
) -> xr.DataArray:
    """Of equal energy, black bodies and daylights the light whose white is nearest in colour."""
    told = np.log(np.asarray(white) / np.sum(white))
    best, least = open_light(ASSUMED_LIGHT), np.inf
    response = sensitivity(camera, wavelengths_nm)
    names = [*(f"planck:{k}" for k in _PLANCK_K), *(f"daylight:{k}" for k in _DAYLIGHT_K)]
    for light in (best, *map(open_light, names)):
        given = resample_light(light, wavelengths_nm) @ response
        if (given <= 0).any():
            continue
        distance = float(np.abs(np.log(given / given.sum()) - told).sum())
        if distance < least:
            best, least = light, distance
    return best


def _observed(camera: xr.DataArray, power: FloatArray, grid: FloatArray) -> FloatArray:
    """Linear R, G, B of a photograph's colour space, of reflectance under a light."""
    seen = srgb_matrix(power, grid)
    name = str(camera.attrs["name"])
    if name == PHOTOGRAPH:
        return seen
    return seen @ space_matrix(PHOTOGRAPH, name).T
