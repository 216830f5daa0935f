"""Calibration: does a method that says how unsure it is say so rightly?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.errors import DataError
from respectra.evaluation.auxiliary.base import Case, OutputTest, Recover, Scores

#: Central intervals whose coverage is compared with what it should be.
_LEVELS = np.linspace(0.05, 0.95, 19)
_SAMPLE = 200_000


@runtime_checkable
class Uncertain(Protocol):
    """A method that may know how unsure it is."""

    @property
    def gives_uncertainty(self) -> bool:
        """Whether it does, with the weights that it has."""
        ...

    def with_uncertainty(self, image: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
        """A cube and, of the same shape, the standard deviation of each of its values."""
        ...


class UncertaintyCalibration(OutputTest):
    """Errors are counted against the standard deviations that the method gives.

    ``calibration_error`` is the mean distance between the share of values inside a central
    interval of the normal distribution and the share that should be there, over 19 intervals;
    ``rank_correlation`` says whether larger errors come with larger deviations. Methods without
    ``with_uncertainty``, or without an answer to it, leave this test out.
    """

    source = "Kuleshov, Fenner and Ermon, ICML 2018"
    name_form = "calibration"
    title_form = "Calibration"
    columns: ClassVar[Mapping[str, str]] = {
        "calibration_error": "Calibration error",
        "coverage_68": "within 1 σ",
        "coverage_95": "within 2 σ",
        "rank_correlation": "rank correlation",
    }

    def score(self, case: Case, estimate: xr.DataArray, recover: Recover) -> Scores:
        """Coverage and calibration; nothing for a method that gives no uncertainty."""
        method: object = recover
        if not isinstance(method, Uncertain) or not method.gives_uncertainty:
            return {}
        cube, deviation = method.with_uncertainty(case.image)
        return calibration(case.need_truth(), cube, deviation, valid=case.valid)


def calibration(
    truth: xr.DataArray,
    estimate: xr.DataArray,
    deviation: xr.DataArray,
    *,
    valid: npt.NDArray[np.bool_] | None = None,
) -> dict[str, float]:
    """Scores of standard deviations; see :class:`UncertaintyCalibration`.

    Raises:
        DataError: shapes differ, or a deviation is negative or not finite.
    """
    from scipy import stats

    if not truth.shape == estimate.shape == deviation.shape:
        raise DataError(
            "truth, estimate and deviation have one shape; got "
            f"{truth.shape}, {estimate.shape} and {deviation.shape}"
        )
    spread = np.asarray(deviation.values, dtype=np.float64)
    if not (np.isfinite(spread).all() and spread.min() >= 0):
        raise DataError("standard deviations are finite and not negative; this method's are not")
    kept = np.ones(truth.shape[:2], bool) if valid is None else valid
    error = np.abs(truth.values.astype(np.float64) - estimate.values)[kept].ravel()
    spread = spread[kept].ravel()
    tiny = np.finfo(np.float64).tiny
    scaled = error / spread.clip(min=tiny)
    covered = stats.norm.cdf(scaled) * 2 - 1
    shares = np.searchsorted(np.sort(covered), _LEVELS, side="right") / covered.size
    step = max(1, error.size // _SAMPLE)
    flat = np.ptp(spread) == 0 or np.ptp(error) == 0
    rank = 0.0 if flat else float(stats.spearmanr(error[::step], spread[::step]).statistic)
    return {
        "calibration_error": float(np.abs(shares - _LEVELS).mean()),
        "coverage_68": float((scaled <= 1.0).mean()),
        "coverage_95": float((scaled <= 2.0).mean()),
        "rank_correlation": rank,
    }
