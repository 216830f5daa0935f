"""What responses of real cameras are like, and the likeliest response for what was measured.

The prior is the mean and the covariance of the measured responses that ship (11 of AMPAS
rawtoaces-data and the Nikon D5100 of NPL, each channel with peak 1), the covariance softened by a
smooth one, so that cameras unlike any of them are possible. The likeliest response is non-negative.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import xarray as xr

from respectra.cameras.responses import (
    list_responses,
    make_response,
    native_response,
    resample_response,
)
from respectra.colour import normalise_light, open_light, resample_light, xyz_weights
from respectra.errors import DataError
from respectra.typing import FloatArray

#: Bands of the prior, nm.
GRID_NM: FloatArray = np.arange(400.0, 701.0, 10.0)
GRID_NM.setflags(write=False)
#: Deviation of what no measured camera shows, in shares of the peak, and its reach in nm.
_FREE, _REACH_NM = 0.05, 25.0
#: How exactly a colour matrix is believed: it is a fit itself.
_MATRIX_ERROR = 0.1


@dataclass(frozen=True)
class ResponsePrior:
    """Mean and covariance of the response of a channel.

    Attributes:
        mean: shape (band, 3).
        covariance: shape (3, band, band).
    """

    mean: FloatArray
    covariance: FloatArray


@functools.cache
def response_prior(left_out: tuple[str, ...] = ()) -> ResponsePrior:
    """The prior of the measured responses, but those whose names have one of some parts."""
    names = [n for n in list_responses() if n.startswith("ampas-") or n == "nikon-5100-npl"]
    names = [n for n in names if not any(part in n for part in left_out)]
    tables = [resample_response(native_response(n), GRID_NM).values for n in names]
    stack = np.stack([table / table.max(axis=0) for table in tables])
    mean = stack.mean(axis=0)
    distance = (GRID_NM[:, None] - GRID_NM[None, :]) / _REACH_NM
    smooth = _FREE**2 * np.exp(-0.5 * distance**2) + 1e-6 * np.eye(GRID_NM.size)
    covariance = np.stack(
        [np.cov(stack[..., k], rowvar=False) * (1 + 1 / len(names)) + smooth for k in range(3)]
    )
    return ResponsePrior(mean, covariance)


def fit_channel(
    seen: FloatArray,
    values: FloatArray,
    deviation: FloatArray,
    channel: int,
    prior: ResponsePrior,
) -> tuple[FloatArray, FloatArray]:
    """The likeliest non-negative response of a channel, and its standard deviation, both (band,).

    Its scale, values over what was seen, is part of what is sought: the mean of the prior may be
    scaled freely.

    Args:
        seen: shape (n, band), spectra of light that reached the camera, times the band's width.
        values, deviation: shape (n,), linear values of the channel and their standard deviation.
        channel: 0, 1 or 2.
        prior: of real responses.

    Raises:
        DataError: nothing of the light was seen.
    """
    from scipy.optimize import lsq_linear

    mean, covariance = prior.mean[:, channel], prior.covariance[channel]
    scale = _scale(seen, values, deviation, mean, covariance)
    root = np.linalg.inv(np.linalg.cholesky(covariance))
    rows = np.concatenate([seen * (scale / deviation)[:, None], root])
    target = np.concatenate([values / deviation, root @ mean])
    response = np.maximum(lsq_linear(rows, target, bounds=(0.0, np.inf)).x, 0.0)
    posterior = np.linalg.inv(rows.T @ rows)
    return response * scale, np.sqrt(np.diag(posterior)) * scale


def _scale(
    seen: FloatArray,
    values: FloatArray,
    deviation: FloatArray,
    mean: FloatArray,
    covariance: FloatArray,
) -> float:
    """Values over those of the prior's mean, by generalised least squares."""
    model = seen @ mean
    spread = seen @ covariance @ seen.T
    scale = float(values.sum() / max(float(model.sum()), 1e-12))
    for _ in range(3):
        whole = np.diag(deviation**2) + scale**2 * spread
        solved = np.linalg.solve(whole, model)
        scale = float(solved @ values) / max(float(solved @ model), 1e-12)
        if not (np.isfinite(scale) and scale > 0):
            raise DataError("the values do not follow the light: is it the right chart and light?")
    return scale


def classic_spectra() -> FloatArray:
    """The patches of a ColorChecker, (24, band): BabelColor's average of 30 (colour-science)."""
    import colour

    chart = colour.SDS_COLOURCHECKERS["BabelColor Average"]
    return np.array([np.interp(GRID_NM, sd.wavelengths, sd.values) for sd in chart.values()])


def light_seen(spectra: FloatArray, light: str) -> FloatArray:
    """Spectra of light from surfaces, shape (n, band), white's luminance 1."""
    return spectra * normalise_light(resample_light(open_light(light), GRID_NM), GRID_NM)


def fit_matrices(matrices: list[tuple[FloatArray, str]], *, name: str) -> xr.DataArray:
    """The response that gives what matrices from XYZ to a camera give, for real surfaces.

    Each matrix (camera = matrix @ XYZ) comes with the name of its light. Channels have peak 1.

    Raises:
        DataError: matrices that no camera has.
    """
    surfaces = np.concatenate([classic_spectra(), np.ones((1, GRID_NM.size))])
    seen, values = [], []
    for matrix, light in matrices:
        power = resample_light(open_light(light), GRID_NM)
        xyz = surfaces @ xyz_weights(power, GRID_NM)
        camera = xyz @ matrix.T
        if not (np.isfinite(camera).all() and (camera[-1] > 0).all()):
            raise DataError(f"the colour matrix of {name!r} under {light} gives no white")
        values.append(camera)
        seen.append(light_seen(surfaces, light))
    spectra, codes = np.concatenate(seen), np.concatenate(values) / values[0][-1]
    prior = response_prior()
    columns = []
    for channel in range(3):
        column = codes[:, channel]
        deviation = _MATRIX_ERROR * np.maximum(np.abs(column), 0.1)
        # Negative values come of the matrix, not of a camera.
        fitted, _ = fit_channel(spectra, np.maximum(column, 0.0), deviation, channel, prior)
        columns.append(fitted / fitted.max())
    return make_response(
        np.stack(columns, axis=1),
        GRID_NM,
        name=f"{name} (fitted)",
        source="fitted to the colour matrices of the raw file under a prior of measured cameras",
    )
