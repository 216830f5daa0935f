"""Other spectra with the same colour: variation that a camera cannot see."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from respectra.errors import ConfigError, DataError
from respectra.typing import FloatArray


def metamers(
    reflectances: npt.ArrayLike,
    response_matrix: npt.ArrayLike,
    wavelengths_nm: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    strength: float,
    smoothness_nm: float = 40.0,
) -> FloatArray:
    """Change each reflectance by a smooth curve to which the camera is blind.

    The curve is a draw from a Gaussian process (squared exponential covariance K), conditioned on
    giving no response: g − K A (Aᵀ K A)⁻¹ Aᵀ g. It is as smooth as the process and lies in the
    null space of Aᵀ exactly. It is scaled down where the reflectance would leave [0, 1].

    Args:
        reflectances: shape (n, band), in (0, 1).
        response_matrix: A, shape (band, channel): the response times the light.
        wavelengths_nm: shape (band,).
        rng: where the curves come from.
        strength: standard deviation of the curves, as a share of each reflectance's mean.
        smoothness_nm: length scale of the process.

    Returns:
        shape (n, band), within [0, 1] and with the same response.

    Raises:
        DataError: the shapes disagree.
        ConfigError: a negative strength, or a smoothness that is not positive.
    """
    r = np.asarray(reflectances, dtype=np.float64)
    a = np.asarray(response_matrix, dtype=np.float64)
    grid = np.asarray(wavelengths_nm, dtype=np.float64)
    if r.ndim != 2 or a.ndim != 2 or not r.shape[1] == a.shape[0] == grid.size:
        raise DataError(
            "reflectances (n, band), response_matrix (band, channel) and wavelengths (band,) "
            f"share their bands; got {r.shape}, {a.shape} and {grid.shape}"
        )
    if strength < 0 or smoothness_nm <= 0:
        raise ConfigError(
            f"strength >= 0 and smoothness_nm > 0 are needed; got {strength} and {smoothness_nm}"
        )
    if strength == 0 or a.shape[1] >= grid.size:
        return r.copy()
    covariance = np.exp(-0.5 * ((grid[:, None] - grid) / smoothness_nm) ** 2)
    root = np.linalg.cholesky(covariance + 1e-8 * np.eye(grid.size))
    curves = rng.standard_normal(r.shape) @ root.T
    gain = np.linalg.solve(a.T @ covariance @ a, a.T @ covariance)
    curves -= curves @ a @ gain
    curves *= strength * r.mean(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        up = np.where(curves > 0, (1.0 - r) / curves, np.inf).min(axis=1)
        down = np.where(curves < 0, r / -curves, np.inf).min(axis=1)
    # Short of the bound, so that a reflectance stays positive.
    reach = np.clip(0.9 * np.minimum(up, down), 0.0, 1.0)
    changed: FloatArray = r + reach[:, None] * curves
    return changed
