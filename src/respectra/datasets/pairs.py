"""Training pairs of RGB and spectrum, made of measured reflectances under measured lights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from respectra.errors import ConfigError, DataError
from respectra.typing import FloatArray

#: Share of pixels that mix two reflectances, as the borders of objects do.
_MIXED = 0.5


@dataclass(frozen=True)
class Pairs:
    """Pixels as a camera sees them, with the spectra behind them."""

    rgb: FloatArray
    """Shape (n, 3), linear values in [0, 1]."""
    spectra: FloatArray
    """Shape (n, bands), relative radiance; rgb = spectra @ response."""


def render_pairs(
    reflectances: npt.ArrayLike,
    illuminants: npt.ArrayLike,
    response_matrix: npt.ArrayLike,
    n: int,
    *,
    seed: int,
    exposure_range: tuple[float, float] = (0.5, 1.0),
    weights: npt.ArrayLike | None = None,
    illuminant_weights: npt.ArrayLike | None = None,
) -> Pairs:
    """Draw pixels: a reflectance, or a mixture of two, under an illuminant at an exposure.

    An exposure of 1 puts the strongest channel of a perfect white at the top of the camera's range,
    as exposure control does; a pixel that would leave the range is darkened to its top.

    Args:
        reflectances: shape (m, bands), factors >= 0.
        illuminants: shape (k, bands), relative power >= 0.
        response_matrix: shape (bands, 3), rgb = s @ response_matrix with rgb in [0, 1].
        n: number of pairs.
        seed: the same seed gives the same pairs.
        exposure_range: lowest and highest exposure, drawn log-uniformly.
        weights, illuminant_weights: relative frequencies; equal without them.

    Raises:
        DataError: shapes disagree, or values are negative or not finite.
        ConfigError: an option is out of its range.
    """
    r = _checked("reflectances", reflectances)
    e = _checked("illuminants", illuminants)
    f = _checked("response_matrix", response_matrix, negative=True)
    low, high = exposure_range
    if r.shape[1] != e.shape[1] or f.shape != (r.shape[1], 3):
        raise DataError(
            "reflectances (m, bands), illuminants (k, bands) and response_matrix (bands, 3) share "
            f"their bands; got {r.shape}, {e.shape} and {f.shape}"
        )
    if n < 1 or not 0 < low <= high <= 1:
        raise ConfigError(
            "n >= 1 and 0 < exposure_range[0] <= exposure_range[1] <= 1 are needed; got n="
            f"{n}, exposure_range={exposure_range}"
        )
    white = (e @ f).max(axis=1)
    if not (white > 0).all():
        raise DataError("an illuminant is invisible to this camera; leave it out")
    e = e / white[:, None]
    rng = np.random.default_rng(seed)
    p, q = _frequencies(weights, len(r)), _frequencies(illuminant_weights, len(e))
    first, second = rng.choice(len(r), (2, n), p=p)
    share = np.where(rng.random(n) < _MIXED, rng.random(n), 1.0)[:, None]
    exposure = np.exp(rng.uniform(np.log(low), np.log(high), n))[:, None]
    light = e[rng.choice(len(e), n, p=q)]
    spectra = (share * r[first] + (1 - share) * r[second]) * light * exposure
    rgb = spectra @ f
    # Fluorescent and specular samples reflect more than white: bring those pixels into range.
    spectra /= np.maximum(1.0, rgb.max(axis=1, keepdims=True))
    return Pairs(spectra @ f, spectra)


def _checked(name: str, values: npt.ArrayLike, *, negative: bool = False) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.size == 0:
        raise DataError(f"{name} has two dimensions and at least one row; got {array.shape}")
    if not np.isfinite(array).all() or (array.min() < 0 and not negative):
        raise DataError(f"{name} holds finite values, none negative; remove the rows that do not")
    return array


def _frequencies(weights: npt.ArrayLike | None, count: int) -> FloatArray | None:
    if weights is None:
        return None
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != (count,) or not (w >= 0).all() or not w.sum() > 0:
        raise DataError(f"weights are {count} numbers >= 0, not all 0; got shape {w.shape}")
    frequencies: FloatArray = w / w.sum()
    return frequencies
