"""The light that a white surface's pixel makes plausible, where nothing else is known of it."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, check_wavelengths
from respectra.datasets.spectra import illuminants
from respectra.errors import DataError
from respectra.typing import FloatArray

#: How likely a light is to come from each collection.
_SHARES = {"cie": 0.4, "lamps": 0.1, "daylight": 0.25, "blackbody": 0.25}
#: Logarithms of channel ratios in which lights differ by less than this are taken for the same.
_WIDTH = 0.05


def light_of_white(
    camera: npt.ArrayLike,
    white: npt.ArrayLike,
    wavelengths_nm: npt.ArrayLike = CHALLENGE_WAVELENGTHS_NM,
) -> FloatArray:
    """The mean of the known lights in which a camera sees white in this colour.

    Lights are the standard illuminants, measured lamps, daylights and black bodies of
    colour-science, weighted by how near the colour of white comes to the one that was seen. The
    balance of the picture must be the sensor's own: after white balance every light looks alike,
    and nothing can be said.

    Args:
        camera: shape (bands, channels), the response with the channels' true relative strengths.
        white: shape (channels,), the pixel of a perfect white, in any scale; positive.
        wavelengths_nm: shape (bands,), nm.

    Returns:
        Shape (bands,), relative, with a mean of 1.

    Example:
        >>> import respectra as rs
        >>> camera = rs.get_track("clean").response_matrix(CHALLENGE_WAVELENGTHS_NM)
        >>> light = light_of_white(camera, [1.0, 0.72, 0.26])
        >>> bool(light[-1] > 3 * light[0])
        True

    Raises:
        DataError: shapes do not fit, or white or the camera are dark in a channel.
    """
    grid = check_wavelengths(wavelengths_nm)
    table, seen = np.asarray(camera, np.float64), np.asarray(white, np.float64)
    if table.ndim != 2 or len(table) != grid.size or seen.shape != table.shape[1:]:
        raise DataError(
            f"a camera of {grid.size} bands and the pixel of white have shapes (bands, channels) "
            f"and (channels,); got {table.shape} and {seen.shape}"
        )
    lights, weights = _lights(tuple(grid.tolist()))
    if not (np.isfinite(seen).all() and seen.min() > 0 and (table.sum(axis=0) > 0).all()):
        raise DataError(
            f"white is brighter than black in every channel; got {seen.tolist()}: name a patch "
            "that is neither black nor clipped, or leave white out"
        )
    # Some lamps have no light at all where a channel sees.
    whites = np.maximum(lights @ table, 1e-6 * table.sum(axis=0))
    distance = np.log(whites / whites.mean(axis=1, keepdims=True)) - np.log(seen / seen.mean())
    squared = np.sum(distance**2, axis=1)
    # Where no light comes near, the nearest decide.
    width = max(_WIDTH, float(np.sqrt(squared.min())))
    weights = weights * np.exp(-0.5 * squared / width**2)
    light: FloatArray = weights @ lights / weights.sum()
    light /= light.mean()
    return light


@functools.cache
def _lights(grid: tuple[float, ...]) -> tuple[FloatArray, FloatArray]:
    """Known lights, (light, band), with a mean of 1 each, and how likely they are."""
    values, weights = [], []
    for name, share in _SHARES.items():
        found = illuminants(name, grid).values
        found = found[found.min(axis=1) >= 0]
        values.append(found / found.mean(axis=1, keepdims=True))
        weights.append(np.full(len(found), share / len(found)))
    return np.vstack(values), np.concatenate(weights)
