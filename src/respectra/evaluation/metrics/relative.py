"""Relative errors: MRAE, by which the challenge ranks, by band, as quantiles and back in RGB."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
import xarray as xr

from respectra.errors import ConfigError, DataError
from respectra.evaluation.metrics.arrays import (
    Array,
    Pair,
    Reduction,
    Term,
    namespace,
)

#: What a zero in the truth, where a relative error is not defined, does. ``raise``: an error says
#: how many there are. ``inf``: the score is infinite, which is what the official formula amounts
#: to. ``exclude``: the value is left out of the mean.
OnZero = Literal["raise", "inf", "exclude"]
#: What a sum of relative errors is over: all values of an image, a band of it, or a pixel.
Over = Literal["image", "band", "pixel"]


def mrae(
    truth: Array,
    estimate: Array,
    floor: float = 0.0,
    *,
    on_zero: OnZero = "raise",
    band_axis: int = -1,
    reduction: Reduction = "mean",
) -> Array:
    """Mean relative absolute error: the mean of \\|truth − estimate\\| / truth, then over images.

    The official score has no epsilon, so neither has this one at the default floor of 0. The
    official function yields infinity where the truth is zero, and NaN where the estimate is zero
    too; ``on_zero="inf"`` yields infinity for both. Divided by \\|truth\\|, so that a negative
    truth cannot earn a negative error.

    Args:
        truth: shape (..., y, x, band), linear values.
        estimate: the same shape.
        floor: smallest denominator, in the unit of the truth; 0 is official. Scores with different
            floors do not compare: declare it with the score.
        on_zero: what a zero in the truth does when the floor is 0.
        band_axis: -1, or -3 for (..., band, y, x).
        reduction: ``mean`` over images, or ``none`` for one score an image.

    Returns:
        A float, an array of shape (...), or a differentiable tensor; 0 is perfect.

    Raises:
        DataError: zeros in the truth, NaN, or shapes that differ.
        ConfigError: a negative floor, an unknown option.

    Source: report, eq. 1.

    Example:
        >>> import numpy as np
        >>> truth = np.full((2, 2, 31), 0.5)
        >>> round(mrae(truth, 1.1 * truth), 6)
        0.1
    """
    pair = Pair.of(truth, estimate, band_axis)
    return pair.finish(relative_mean(pair, floor, on_zero), reduction)


def mrae_by_band(
    truth: Array,
    estimate: Array,
    floor: float = 0.0,
    *,
    on_zero: OnZero = "raise",
    band_axis: int = -1,
    reduction: Reduction = "mean",
) -> Array:
    """MRAE of each band: shape (band,), or (..., band) with ``reduction="none"``; as `mrae`.

    Example:
        >>> import numpy as np
        >>> truth = np.full((2, 2, 3), 0.5)
        >>> mrae_by_band(truth, truth * [1.0, 1.1, 1.2]).round(6).tolist()
        [0.0, 0.1, 0.2]
    """
    pair = Pair.of(truth, estimate, band_axis)
    return pair.finish(relative_mean(pair, floor, on_zero, "band"), reduction)


def mrae_map(
    truth: Array,
    estimate: Array,
    floor: float = 0.0,
    *,
    on_zero: OnZero = "raise",
    band_axis: int = -1,
) -> Array:
    """MRAE of each pixel over its bands, shape (..., y, x); as `mrae`.

    A pixel that is zero in every band has the error 0 with ``on_zero="exclude"``.

    Example:
        >>> import numpy as np
        >>> truth = np.full((2, 3, 31), 0.5)
        >>> mrae_map(truth, 1.1 * truth).round(6).tolist()
        [[0.1, 0.1, 0.1], [0.1, 0.1, 0.1]]
    """
    pair = Pair.of(truth, estimate, band_axis)
    return pair.finish(relative_mean(pair, floor, on_zero, "pixel"), "none")


def back_projection_mrae(
    truth: Array,
    estimate: Array,
    response: Array,
    floor: float = 0.0,
    *,
    on_zero: OnZero = "raise",
    band_axis: int = -1,
    reduction: Reduction = "mean",
) -> Array:
    """MRAE between the camera signals of truth and estimate: physical consistency.

    Between truth·F and estimate·F, unquantised, as the challenge scored it; not against the
    image that was reconstructed.

    The other arguments, the result and the errors are those of `mrae`; floor and zeros are of
    truth·F.

    Args:
        response: camera response F, shape (band, channel), any scale; or a labelled response, whose
            wavelengths must be those of the cubes.

    Raises:
        DataError: also for a response that does not fit the bands.

    Source: report, section 3.4.

    Example:
        >>> import numpy as np
        >>> truth = np.full((2, 2, 31), 0.5)
        >>> round(back_projection_mrae(truth, 1.1 * truth, np.ones((31, 3))), 6)
        0.1
    """
    pair = Pair.of(truth, estimate, band_axis)
    matrix = pair.constant(_response(response, pair))

    def project(values: Array) -> Array:
        return values @ matrix

    return pair.finish(relative_mean(pair, floor, on_zero, project=project), reduction)


def relative_error_quantiles(
    truth: Array,
    estimate: Array,
    quantiles: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95),
    floor: float = 0.0,
    *,
    on_zero: OnZero = "raise",
    band_axis: int = -1,
    reduction: Reduction = "mean",
) -> Array:
    """Quantiles of the relative errors of all values of an image, then their mean over images.

    Linear interpolation between order statistics, as NumPy's default. The other arguments and
    errors are those of `mrae`.

    Args:
        quantiles: in [0, 1].

    Returns:
        Shape (quantile,), or (..., quantile) with ``reduction="none"``.

    Raises:
        ConfigError: also for a quantile outside [0, 1].

    Example:
        >>> import numpy as np
        >>> truth = np.full((2, 2, 31), 0.5)
        >>> relative_error_quantiles(truth, 1.1 * truth, [0.05, 0.5]).round(6).tolist()
        [0.1, 0.1]
    """
    for level in quantiles:
        if not 0.0 <= level <= 1.0:
            raise ConfigError(f"Expected quantiles in [0, 1], got {level!r}")
    pair = Pair.of(truth, estimate, band_axis)
    term = _relative(floor, on_zero)
    xp, rows = pair.xp, []
    for image in np.ndindex(*pair.lead):
        one = Pair(pair.truth[image], pair.estimate[image])
        errors: Array
        if xp is np:
            errors = np.empty(one.truth.shape, np.result_type(one.truth, np.float32))
            with np.errstate(all="ignore"):
                for index, t, e in one.blocks():
                    errors[index] = term(t, e)
        else:
            errors = term(one.truth, one.estimate)
        if floor == 0 and on_zero == "exclude":
            errors = errors[one.truth != 0]
        elif floor == 0 and on_zero == "inf":
            errors = xp.where(one.truth == 0, float("inf"), errors)
        errors = errors.reshape(-1)
        if xp is np:
            errors.sort()  # vectorised, hence faster than partitioning at a handful of places
        else:
            errors = errors.sort().values
        if not (len(errors) and bool(xp.isfinite(errors[-1]))):
            relative_mean(pair, floor, on_zero)  # explains zeros, and what is not finite
        rows.append(_quantiles(errors, quantiles))
    scores = xp.stack(rows).reshape((*pair.lead, len(quantiles)))
    return pair.finish(scores, reduction)


def relative_mean(
    pair: Pair,
    floor: float,
    on_zero: OnZero,
    over: Over = "image",
    project: Callable[[Array], Array] | None = None,
) -> Array:
    """Mean relative error of each image, band or pixel, zeros handled; NaN not yet explained."""
    errors, counts = relative_sums(pair, floor, on_zero, over, project)
    return errors / counts.clip(min=1)


def relative_sums(
    pair: Pair,
    floor: float,
    on_zero: OnZero,
    over: Over,
    project: Callable[[Array], Array] | None = None,
) -> tuple[Array, Array]:
    """Sums of the relative errors of each image, band or pixel, and of how many values each is."""
    through = project or _identity
    term = _relative(floor, on_zero, through)

    def summed(term: Term) -> Array:
        if over == "pixel":
            return pair.map(lambda t, e: term(t, e).sum(axis=-1))
        return pair.sums(term, by_band=over == "band")

    errors = summed(term)
    channels = through(pair.truth[(0,) * len(pair.lead)][:1, :1]).shape[-1]
    count = {"image": pair.pixels * channels, "band": pair.pixels, "pixel": channels}[over]
    counts = pair.xp.full_like(errors, count)
    if floor > 0 or (on_zero != "exclude" and bool(pair.xp.isfinite(errors).all())):
        return errors, counts
    zeros = summed(lambda t, e: through(t) == 0)
    if over == "pixel":  # a pixel may be all zero, an image may not
        _check_zeros(pair, zeros.sum(axis=-1).sum(axis=-1), pair.pixels * channels, on_zero)
    else:
        _check_zeros(pair, zeros, count, on_zero)
    if on_zero == "inf":
        return pair.xp.where(zeros > 0, float("inf"), errors), counts
    return errors, counts - zeros


def _check_zeros(pair: Pair, zeros: Array, count: int, on_zero: OnZero) -> None:
    pair.require_finite()
    total = int(zeros.sum())
    if on_zero == "raise" and total:
        raise DataError(
            f"Expected a truth without zeros, got {total} of {count * zeros.reshape(-1).shape[0]} "
            "values zero, where a relative error is not defined; give a floor (and declare it "
            "with the score), or on_zero='exclude' or 'inf'"
        )
    if on_zero == "raise":
        raise DataError(
            "Expected values whose relative error can be computed, got an overflow: the truth is "
            "too close to zero somewhere; give a floor"
        )
    if on_zero == "exclude" and bool((zeros == count).any()):
        raise DataError(
            "Expected values other than zero in the truth, got an image or a band that is all "
            "zero; give a floor"
        )


def _relative(
    floor: float, on_zero: OnZero, through: Callable[[Array], Array] | None = None
) -> Term:
    """|t − e| / max(|t|, floor) after a projection; 0 where t is zero and is to be excluded."""
    if not (floor >= 0 and np.isfinite(floor)):
        raise ConfigError(f"Expected a floor of 0 or more, got {floor!r}")
    if on_zero not in get_args(OnZero):
        raise ConfigError(f"Expected on_zero 'raise', 'inf' or 'exclude', got {on_zero!r}")
    project = through or _identity

    def term(truth: Array, estimate: Array) -> Array:
        truth, estimate = project(truth), project(estimate)
        size = abs(truth)
        if floor > 0:
            size = size.clip(min=floor)
        elif on_zero == "exclude":
            kept = size != 0
            return kept * abs(truth - estimate) / (size + ~kept)
        return abs(truth - estimate) / size

    return term


def _identity(values: Array) -> Array:
    return values


def _response(response: Array, pair: Pair) -> Array:
    if isinstance(response, xr.DataArray):
        if "wavelength" not in response.dims:
            raise DataError(
                f"Expected a response with dimensions (wavelength, channel), got {response.dims}"
            )
        response = response.transpose("wavelength", ...)
        grid = np.asarray(response["wavelength"].values)
        known = pair.wavelengths_nm
        if known is not None and not (grid.shape == known.shape and np.allclose(grid, known)):
            raise DataError(
                "Expected a response at the wavelengths of the cubes, got others; resample it"
            )
        response = response.values
    if response.ndim != 2 or response.shape[0] != pair.bands:
        raise DataError(
            f"Expected a response of shape ({pair.bands}, channel), got {tuple(response.shape)}"
        )
    return response


def _quantiles(ordered: Array, levels: Sequence[float]) -> Array:
    """Linearly interpolated quantiles of sorted values; neighbours that are infinite stay so."""
    last = ordered.shape[0] - 1
    rows = []
    for level in levels:
        below = int(level * last)
        low, high = ordered[below], ordered[min(below + 1, last)]
        share = level * last - below
        rows.append(low if share == 0 or low == high else low + (high - low) * share)
    return namespace(ordered).stack(rows)
