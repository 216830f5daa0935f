"""The spectral angle."""

from __future__ import annotations

import math
from typing import Literal, get_args

from respectra.errors import ConfigError
from respectra.evaluation.metrics.arrays import Array, Pair, Reduction, namespace, root

AngleUnit = Literal["rad", "deg"]


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
        truth: shape (..., y, x, band), linear values.
        estimate: the same shape.
        unit: ``rad`` or ``deg``.
        band_axis: -1, or -3 for (..., band, y, x).
        reduction: ``mean`` over images, or ``none``.

    Returns:
        0 to π (or 180°), at most a right angle when no value is negative.

    Raises:
        DataError: NaN, or shapes that differ.
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
