"""Absolute errors and angles: RMSE, PSNR, ERGAS and SAM."""

from __future__ import annotations

import math
from typing import Literal, get_args

from respectra.errors import ConfigError, DataError
from respectra.evaluation.metrics.arrays import Array, Pair, Reduction, namespace, root
from respectra.evaluation.metrics.relative import OnZero

AngleUnit = Literal["rad", "deg"]


def _squared(truth: Array, estimate: Array) -> Array:
    return (truth - estimate) ** 2


def rmse(
    truth: Array, estimate: Array, *, band_axis: int = -1, reduction: Reduction = "mean"
) -> Array:
    """Root mean square error of each image, then the mean over images.

    Returns:
        In the unit of the truth; 0 is perfect.

    Source: report, eq. 2.

    Example:
        >>> import numpy as np
        >>> truth = np.full((2, 2, 31), 0.5)
        >>> round(rmse(truth, truth + 0.1), 6)
        0.1
    """
    pair = Pair.of(truth, estimate, band_axis)
    return pair.finish(root(pair.sums(_squared) / (pair.pixels * pair.bands)), reduction)


def rmse_by_band(
    truth: Array, estimate: Array, *, band_axis: int = -1, reduction: Reduction = "mean"
) -> Array:
    """RMSE of each band: shape (band,), or (..., band) with ``reduction="none"``; as `rmse`.

    Example:
        >>> import numpy as np
        >>> truth = np.full((2, 2, 3), 0.5)
        >>> rmse_by_band(truth, truth + [0.0, 0.1, 0.2]).round(6).tolist()
        [0.0, 0.1, 0.2]
    """
    pair = Pair.of(truth, estimate, band_axis)
    return pair.finish(root(pair.sums(_squared, by_band=True) / pair.pixels), reduction)


def psnr(
    truth: Array,
    estimate: Array,
    data_range: float = 1.0,
    *,
    clamp: bool = False,
    band_axis: int = -1,
    reduction: Reduction = "mean",
) -> Array:
    """Peak signal-to-noise ratio over all bands of each image, in dB, then the mean over images.

    Args:
        data_range: the peak, in the unit of the truth. Declared, never taken from the data.
        clamp: first limit both to [0, data_range]. With a range of 1 that is the convention of the
            MST++ toolbox, whose factor of 255 cancels.

    Returns:
        Decibels; infinite when the estimate is perfect.

    Raises:
        ConfigError: a range that is not positive.

    Example:
        >>> import numpy as np
        >>> truth = np.full((2, 2, 31), 0.5)
        >>> round(psnr(truth, truth + 0.1), 4)
        20.0
    """
    if not data_range > 0:
        raise ConfigError(f"Expected a positive data_range, got {data_range!r}")
    pair = Pair.of(truth, estimate, band_axis)

    def clamped(t: Array, e: Array) -> Array:
        # Zero times the values leaves NaN and infinity visible, which a clamp could hide.
        return _squared(t.clip(0.0, data_range), e.clip(0.0, data_range)) + 0.0 * (t + e)

    mse = pair.sums(clamped if clamp else _squared) / (pair.pixels * pair.bands)
    if not bool(pair.xp.isfinite(mse).all()):
        pair.require_finite()
    ratio = data_range**2 / (pair.xp.where(mse > 0, mse, 1.0))
    decibels = pair.xp.where(mse > 0, 10.0 * pair.xp.log10(ratio), float("inf"))
    return pair.finish(decibels, reduction)


def ergas(
    truth: Array,
    estimate: Array,
    ratio: float = 1.0,
    *,
    on_zero: OnZero = "raise",
    band_axis: int = -1,
    reduction: Reduction = "mean",
) -> Array:
    """Relative dimensionless global error: 100 / ratio · √mean over bands of (RMSE / mean)².

    Args:
        ratio: pixel size of the low over the high resolution; 1 in spectral reconstruction, where
            image and cube share their grid (torchmetrics assumes 4).
        on_zero: what a band whose mean is zero does; ``exclude`` leaves it out.

    Returns:
        A ratio; 0 is perfect.

    Raises:
        DataError: also for a band whose mean is zero.
        ConfigError: a ratio that is not positive, an unknown ``on_zero``.

    Source: Wald, Data Fusion (2002).

    Example:
        >>> import numpy as np
        >>> truth = np.full((2, 2, 31), 0.5)
        >>> round(ergas(truth, truth + 0.05), 4)
        10.0
    """
    if not ratio > 0:
        raise ConfigError(f"Expected a positive ratio, got {ratio!r}")
    if on_zero not in get_args(OnZero):
        raise ConfigError(f"Expected on_zero 'raise', 'inf' or 'exclude', got {on_zero!r}")
    pair = Pair.of(truth, estimate, band_axis)
    mse = pair.sums(_squared, by_band=True) / pair.pixels
    mean = pair.sums(lambda t, e: t, by_band=True) / pair.pixels
    pair.finish(mse, "none")
    black = mean == 0
    if on_zero == "raise" and bool(black.any()):
        raise DataError(
            f"Expected bands whose mean is not zero, got {int(black.sum())} of {pair.bands} such; "
            "leave them out, or give on_zero='exclude' or 'inf'"
        )
    if on_zero == "exclude" and bool(black.all(-1).any()):
        raise DataError("Expected a band whose mean is not zero, got an image without any")
    filler = 0.0 if on_zero == "exclude" else float("inf")
    squares = pair.xp.where(black, filler, mse / pair.xp.where(black, 1.0, mean) ** 2)
    kept = (~black).sum(-1) if on_zero == "exclude" else pair.bands
    return pair.finish(100.0 / ratio * root(squares.sum(-1) / kept), reduction)


def sam(
    truth: Array,
    estimate: Array,
    unit: AngleUnit = "rad",
    *,
    band_axis: int = -1,
    reduction: Reduction = "mean",
) -> Array:
    """Spectral angle between truth and estimate, mean over pixels, then over images.

    Computed from the chord between the normalised spectra rather than from the arc cosine, so
    that small angles keep their digits and equal spectra score exactly 0. A black spectrum has no
    direction: against another black one it scores 0, against any other a right angle.

    Args:
        unit: ``rad`` or ``deg``.

    Returns:
        0 to π (or 180°), at most a right angle when no value is negative.

    Raises:
        ConfigError: another unit.

    Source: Kruse et al. 1993, Remote Sensing of Environment 44; chord after Kahan 2006.

    Example:
        >>> import numpy as np
        >>> truth = np.full((2, 2, 2), 0.5)
        >>> round(sam(truth, truth * [1.0, 0.0], "deg"), 4)
        45.0
    """
    pair = Pair.of(truth, estimate, band_axis)
    return pair.finish(_angles(pair, unit).mean(axis=(-2, -1)), reduction)


def sam_map(
    truth: Array, estimate: Array, unit: AngleUnit = "rad", *, band_axis: int = -1
) -> Array:
    """Spectral angle of each pixel, shape (..., y, x); as `sam`.

    Example:
        >>> import numpy as np
        >>> truth = np.full((2, 3, 2), 0.5)
        >>> sam_map(truth, truth * [1.0, 0.0], "deg").round(4).tolist()
        [[45.0, 45.0, 45.0], [45.0, 45.0, 45.0]]
    """
    pair = Pair.of(truth, estimate, band_axis)
    return pair.finish(_angles(pair, unit), "none")


def _angles(pair: Pair, unit: AngleUnit) -> Array:
    if unit not in get_args(AngleUnit):
        raise ConfigError(f"Expected unit 'rad' or 'deg', got {unit!r}")
    return pair.map(_angle) * (180.0 / math.pi if unit == "deg" else 1.0)


def _angle(truth: Array, estimate: Array) -> Array:
    xp = namespace(truth)
    truth_norm = root((truth * truth).sum(-1))
    estimate_norm = root((estimate * estimate).sum(-1))
    truth_black, estimate_black = truth_norm == 0, estimate_norm == 0
    chord = (
        truth / xp.where(truth_black, 1.0, truth_norm)[..., None]
        - estimate / xp.where(estimate_black, 1.0, estimate_norm)[..., None]
    )
    angle = 2.0 * xp.arcsin((root((chord * chord).sum(-1)) / 2.0).clip(max=1.0))
    return xp.where(truth_black != estimate_black, math.pi / 2.0, angle)
