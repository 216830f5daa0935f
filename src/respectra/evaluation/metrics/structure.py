"""Structural similarity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from respectra.errors import ConfigError, DataError
from respectra.evaluation.metrics.arrays import Array, Pair, Reduction, is_tensor

#: Width in pixels and standard deviation of the Gaussian window.
WINDOW, SIGMA = 11, 1.5
#: Rows, columns and bands of one NumPy tile, without its margin.
_TILE = (32, 64, 32)


def ssim(
    truth: Array,
    estimate: Array,
    data_range: float = 1.0,
    *,
    band_axis: int = -1,
    reduction: Reduction = "mean",
) -> Array:
    """Structural similarity of each band, mean over bands, then over images.

    Gaussian window 11 × 11, σ = 1.5, K₁ = 0.01, K₂ = 0.03, population covariance, only windows
    that lie wholly inside the image.

    Args:
        data_range: the dynamic range, in the unit of the truth.

    Returns:
        -1 to 1; 1 is perfect.

    Raises:
        DataError: also for an image smaller than the window.
        ConfigError: a range that is not positive.

    Source: Wang et al. 2004, IEEE Transactions on Image Processing 13 (4).

    Example:
        >>> import numpy as np
        >>> truth = np.random.default_rng(0).random((16, 16, 3))
        >>> float(ssim(truth, truth))
        1.0
    """
    if not data_range > 0:
        raise ConfigError(f"Expected a positive data_range, got {data_range!r}")
    pair = Pair.of(truth, estimate, band_axis)
    height, width = pair.truth.shape[-3:-1]
    if min(height, width) < WINDOW:
        raise DataError(
            f"Expected an image of {WINDOW} × {WINDOW} pixels or more for SSIM, "
            f"got {height} × {width}"
        )
    if is_tensor(pair.truth):
        planes = (pair.truth.movedim(-1, -3), pair.estimate.movedim(-1, -3))
        similarity = _similarity(*planes, _tensor_blur(planes[0]), data_range)
        return pair.finish(similarity.mean(axis=(-3, -2, -1)), reduction)
    scores = np.zeros(pair.lead)
    with np.errstate(all="ignore"):
        for image in np.ndindex(*pair.lead):
            scores[image] = _array_sum(pair.truth[image], pair.estimate[image], data_range)
    windows = (height - WINDOW + 1) * (width - WINDOW + 1) * pair.bands
    return pair.finish(scores / windows, reduction)


def _array_sum(truth: Array, estimate: Array, data_range: float) -> float:
    """Sum of the similarities of one image, tile by tile, so that all steps stay in the cache.

    Single precision stays so: its rounding, relative to C₂, is a ten-thousandth and averages out.
    """
    kind = np.float32 if truth.dtype == estimate.dtype == np.float32 else np.float64
    blur, edge = _array_blur(), WINDOW - 1
    height, width, bands = truth.shape
    total = 0.0
    for y in range(0, height - edge, _TILE[0]):
        for x in range(0, width - edge, _TILE[1]):
            for band in range(0, bands, _TILE[2]):
                tile = (
                    slice(y, y + _TILE[0] + edge),
                    slice(x, x + _TILE[1] + edge),
                    slice(band, band + _TILE[2]),
                )
                t, e = truth[tile].astype(kind), estimate[tile].astype(kind)
                total += float(_similarity(t, e, blur, data_range).sum(dtype=np.float64))
    return total


def _similarity(
    truth: Array, estimate: Array, blur: Callable[[Array], Array], data_range: float
) -> Array:
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_t, mean_e = blur(truth), blur(estimate)
    product, squares = mean_t * mean_e, mean_t * mean_t + mean_e * mean_e
    covariance = blur(truth * estimate) - product
    variances = blur(truth * truth + estimate * estimate) - squares
    return ((2 * product + c1) * (2 * covariance + c2)) / ((squares + c1) * (variances + c2))


def _kernel() -> Any:
    offsets = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-(offsets**2) / (2 * SIGMA**2))
    return weights / weights.sum()


def _array_blur() -> Callable[[Array], Array]:
    import cv2

    kernel, edge = _kernel(), WINDOW // 2

    def blur(tile: Array) -> Array:
        blurred = cv2.sepFilter2D(np.ascontiguousarray(tile), -1, kernel, kernel)
        return blurred.reshape(tile.shape)[edge:-edge, edge:-edge]

    return blur


def _tensor_blur(like: Array) -> Callable[[Array], Array]:
    import torch
    from torch.nn import functional as F

    kernel = torch.as_tensor(_kernel(), dtype=like.dtype, device=like.device)

    def blur(planes: Array) -> Array:
        flat = planes.reshape(-1, 1, *planes.shape[-2:])
        flat = F.conv2d(F.conv2d(flat, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
        return flat.reshape(*planes.shape[:-2], *flat.shape[-2:])

    return blur
