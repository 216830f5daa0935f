"""Absolute errors: RMSE, PSNR and ERGAS."""

from __future__ import annotations

from typing import get_args

from respectra.errors import ConfigError, DataError
from respectra.evaluation.metrics.arrays import Array, Pair, Reduction, root
from respectra.evaluation.metrics.relative import OnZero


def _squared(truth: Array, estimate: Array) -> Array:
    return (truth - estimate) ** 2


def rmse(
    truth: Array, estimate: Array, *, band_axis: int = -1, reduction: Reduction = "mean"
) -> Array:
    """Root mean square error of each image, then the mean over images.

    Args:
        truth: shape (..., y, x, band), linear values.
        estimate: the same shape.
        band_axis: -1, or -3 for (..., band, y, x).
        reduction: ``mean`` over images, or ``none`` for one score an image.

    Returns:
        In the unit of the truth; 0 is perfect. A float, an array or a differentiable tensor.

    Raises:
        DataError: NaN, or shapes that differ.

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
        truth: shape (..., y, x, band), linear values.
        estimate: the same shape.
        data_range: the peak, in the unit of the truth. Declared, never taken from the data.
        clamp: first limit both to [0, data_range]. With a range of 1 that is the convention of the
            MST++ toolbox, whose factor of 255 cancels.
        band_axis: -1, or -3 for (..., band, y, x).
        reduction: ``mean`` over images, or ``none``.

    Returns:
        Decibels; infinite when the estimate is perfect.

    Raises:
        DataError: NaN, or shapes that differ.
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
        truth: shape (..., y, x, band), linear values.
        estimate: the same shape.
        ratio: pixel size of the low over the high resolution; 1 in spectral reconstruction, where
            image and cube share their grid (torchmetrics assumes 4).
        on_zero: what a band whose mean is zero does; ``exclude`` leaves it out.
        band_axis: -1, or -3 for (..., band, y, x).
        reduction: ``mean`` over images, or ``none``.

    Raises:
        DataError: a band whose mean is zero, NaN, or shapes that differ.
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
