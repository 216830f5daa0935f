"""Other wavelengths, and parts of the picture."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes.model import (
    by_chunk,
    check_wavelengths,
    cube_on,
    is_chunked,
    make_cube,
    require_cube,
    wavelengths_of,
)
from respectra.errors import ConfigError, DataError
from respectra.typing import FloatArray

Method = Literal["linear", "band-average", "auto"]


def resample(
    cube: xr.DataArray,
    wavelengths_nm: npt.ArrayLike,
    method: Method = "linear",
    *,
    extrapolate: bool = False,
) -> xr.DataArray:
    """A cube at other wavelengths; its spectra are taken as linear between their samples.

    What was not measured (NaN) stays so: a value is NaN where a NaN has a weight in it, and is not
    touched by a NaN that has none.

    Args:
        cube: dims (y, x, wavelength).
        wavelengths_nm: centres of the bands wanted, nm, ascending.
        method: ``linear`` takes the spectrum's value at each centre: right for a finer or equal
            grid. ``band-average`` takes its exact mean over each band, which reaches halfway to
            the neighbouring centres: right for a coarser grid. The first and the last band are
            symmetric; what of them lies beyond the measured range is left out. ``auto`` averages
            where the bands wanted are wider than those measured, and interpolates elsewhere.
        extrapolate: beyond the measured range, hold the nearest measured value.

    Returns:
        float32 cube with the same attributes; on dask's chunks where the cube is, computed (and
        refused) when it is asked for.

    Raises:
        DataError: a centre lies beyond the measured range and ``extrapolate`` is false; the cube
            holds infinite values; the wavelengths are not ascending; one band alone is to be
            averaged, whose width is unknown.
        ConfigError: unknown method.

    Example:
        >>> import respectra as rs
        >>> cube = rs.make_cube([[[0.0, 0.5, 1.0]]], [450, 550, 650])
        >>> rs.cubes.resample(cube, [500, 600]).values.round(3).tolist()
        [[[0.25, 0.75]]]
    """
    cube = require_cube(cube)
    if method not in get_args(Method):
        raise ConfigError(f"method is 'linear', 'band-average' or 'auto'; got {method!r}")
    source, target = wavelengths_of(cube), check_wavelengths(wavelengths_nm)
    outside = target[(target < source[0]) | (target > source[-1])]
    if outside.size and not extrapolate:
        raise DataError(
            f"the cube is known from {source[0]:g} to {source[-1]:g} nm, not at "
            f"{', '.join(f'{nm:g}' for nm in outside[:5])}{' ...' if outside.size > 5 else ''} nm; "
            "choose wavelengths within, or pass extrapolate=True to hold the nearest value"
        )
    if method == "auto":
        method = "band-average" if is_coarser(target, source) else "linear"
    if method == "linear":
        weights = linear_weights(source, target)
    else:
        weights = band_average_weights(source, target, extrapolate=extrapolate)
    mixed = weights.astype(np.float32)
    if is_chunked(cube):
        data = by_chunk(cube, _mix, target.size, weights=mixed)
        return cube_on(data, target, cube.attrs)
    resampled = make_cube(_mix(cube.values, mixed), target)
    resampled.attrs = dict(cube.attrs)
    return resampled


def _mix(
    values: npt.NDArray[np.float32], weights: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Weighted sums over the bands, NaN where a NaN has a weight; (y, x, target)."""
    if np.isfinite(values).all():
        return np.asarray(values @ weights, np.float32)
    if np.isinf(values).any():
        raise DataError(
            "the cube holds infinite values, which are no measurements; `respectra check` counts "
            "them: replace them, or set them to NaN where nothing was measured"
        )
    missing = np.isnan(values)
    sums = np.asarray(np.where(missing, np.float32(0), values) @ weights, np.float32)
    pixels = missing.any(axis=2)
    touched = missing[pixels].astype(np.float32) @ (weights != 0).astype(np.float32) > 0
    sums[pixels] = np.where(touched, np.float32(np.nan), sums[pixels])
    return sums


def is_coarser(target_nm: FloatArray, source_nm: FloatArray) -> bool:
    """Whether a grid has wider bands than another, by the median of their distances."""
    if min(target_nm.size, source_nm.size) < 2:
        return False
    return float(np.median(np.diff(target_nm))) > 1.01 * float(np.median(np.diff(source_nm)))


def fit_bands(cube: xr.DataArray, wavelengths_nm: npt.ArrayLike) -> xr.DataArray:
    """A cube at the bands that somebody expects: as it is where it has them, else resampled.

    This is the one way in which scenes come onto the grid of a method: images are rendered of what
    this gives, so that image and truth always belong together.

    Raises:
        DataError: the cube is not measured at all of these wavelengths.

    Example:
        >>> import respectra as rs
        >>> cube = rs.make_cube([[[0.2, 0.4, 0.6]]], [450, 550, 650])
        >>> rs.cubes.fit_bands(cube, [450, 650]).shape
        (1, 1, 2)
    """
    grid = check_wavelengths(wavelengths_nm)
    own = wavelengths_of(require_cube(cube))
    if own.shape == grid.shape and np.allclose(own, grid, rtol=0, atol=1e-6):
        return cube
    return resample(cube, grid, "auto")


def linear_weights(source_nm: FloatArray, target_nm: FloatArray) -> FloatArray:
    """Weights of linear interpolation, shape (source, target); the ends are held beyond them."""
    return np.stack([np.interp(target_nm, source_nm, unit) for unit in np.eye(source_nm.size)])


def band_average_weights(
    source_nm: FloatArray, target_nm: FloatArray, *, extrapolate: bool = False
) -> FloatArray:
    """Weights of the mean over each target band, shape (source, target); each column sums to 1.

    Raises:
        DataError: there is one target band, whose width is unknown.
    """
    if target_nm.size < 2:
        raise DataError("the width of a single band is unknown; use method='linear'")
    middles = (target_nm[1:] + target_nm[:-1]) / 2
    low = np.concatenate([[2 * target_nm[0] - middles[0]], middles])
    high = np.concatenate([middles, [2 * target_nm[-1] - middles[-1]]])
    if not extrapolate:
        low, high = np.maximum(low, source_nm[0]), np.minimum(high, source_nm[-1])
    columns = []
    for a, b in zip(low, high, strict=True):
        if b <= a:  # a cube of one band has no extent to average over
            columns.append(linear_weights(source_nm, np.array([a]))[:, 0])
            continue
        # The spectrum is linear between these knots, so that the trapezoidal rule is exact.
        knots = np.concatenate([[a], source_nm[(source_nm > a) & (source_nm < b)], [b]])
        columns.append(np.trapezoid(linear_weights(source_nm, knots), knots, axis=1) / (b - a))
    return np.stack(columns, axis=1)


def crop(cube: xr.DataArray, y: tuple[int, int], x: tuple[int, int]) -> xr.DataArray:
    """The part of a cube from row ``y[0]`` up to, not including, ``y[1]``; columns likewise.

    Returns a view.

    Raises:
        DataError: the part is empty or reaches beyond the cube.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> cube = rs.make_cube(np.zeros((8, 8, 2)), [450, 550])
        >>> rs.cubes.crop(cube, y=(2, 6), x=(0, 4)).shape
        (4, 4, 2)
    """
    cube = require_cube(cube)
    for axis, (start, stop) in (("y", y), ("x", x)):
        if not 0 <= start < stop <= cube.sizes[axis]:
            raise DataError(
                f"cannot crop {axis} from {start} to {stop}: the cube reaches from 0 to "
                f"{cube.sizes[axis]}"
            )
    return cube.isel(y=slice(*y), x=slice(*x))
