"""Which pixels were measured."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes import require_cube

#: A spectrum that this share of the pixels has to the last digit was filled in, not measured. The
#: laboratory scenes reach 0.3 % even with 8 bits; a filled triangle of a flight strip has 13 %.
_FILLED_SHARE = 0.01
_FILLED_PIXELS = 9


def valid_pixels(cube: xr.DataArray) -> npt.NDArray[np.bool_]:
    """The pixels that were measured, shape (y, x).

    A pixel is not when a value is not finite or is negative, when it holds no light in any band,
    or when at least 1 % of the pixels (and at least 9) share its spectrum to the last digit: areas
    that a flight did not cover or a sensor saturated in. Where that would leave out more than half
    of a cube, the cube is taken for an artificial one, and equal spectra count as measured. A zero
    in some bands does not make a pixel invalid: scores and losses declare a floor for it.

    Raises:
        DataError: not a cube.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> values = np.random.default_rng(0).random((4, 5, 31), np.float32)
        >>> values[0, 0] = 0
        >>> rs.datasets.valid_pixels(rs.make_cube(values, range(400, 701, 10))).sum().item()
        19
    """
    values = require_cube(cube).values
    pixels = values.reshape(-1, values.shape[2])
    usable = np.isfinite(pixels).all(axis=1)
    with np.errstate(invalid="ignore"):
        usable &= (pixels >= 0).all(axis=1) & (pixels > 0).any(axis=1)
    # A number for each spectrum: equal spectra have equal ones, and others hardly ever do.
    weights = np.random.default_rng(0).random(pixels.shape[1])
    number = np.where(usable, np.nan_to_num(pixels, posinf=0.0, neginf=0.0) @ weights, -1.0)
    _, which, counts = np.unique(number, return_inverse=True, return_counts=True)
    filled = usable & (counts[which] >= max(_FILLED_PIXELS, _FILLED_SHARE * len(pixels)))
    if 2 * np.count_nonzero(filled) <= len(pixels):
        usable &= ~filled
    return np.asarray(usable.reshape(values.shape[:2]), np.bool_)
