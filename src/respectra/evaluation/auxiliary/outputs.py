"""Tests that look at the answer: physical consistency, weighted accuracy, metamers, uncertainty."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras import Track
from respectra.colour import colour_matching
from respectra.errors import DataError
from respectra.evaluation import metrics
from respectra.evaluation.auxiliary.base import SHORT, Case, OutputTest, Recover, Scores, score
from respectra.typing import FloatArray

#: A camera whose matrix gives the observer's within this (relative) sees colours as people do.
_COLORIMETRIC = 1e-6
#: What a metamer does to the part of a spectrum that the camera does not see: leave it out,
#: double it, or replace it by one drawn at random.
Change = Literal["without", "double", "random"]
#: Share of the way to the first value of zero that a change goes at most.
_REACH = 0.9
#: Central intervals whose coverage is compared with what it should be.
_LEVELS = np.linspace(0.05, 0.95, 19)
_SAMPLE = 200_000


class PhysicalConsistency(OutputTest):
    """The answer is sent through the camera once more.

    ``back_projection_mrae`` is the official score: camera signals of the answer against those of
    the truth, unquantised. The others need no truth. They measure how far the signal lies outside
    of the bounds that each code of the image stands for, so that a truth scores zero in a track
    that is exact: relative to the middle of the bounds, and as a colour difference for cameras
    that see colours as people do, as the clean track's does; and where the track is exact they
    count the pixels whose codes are others once the answer is rendered. The exposed track sets the
    level of each image anew, which leaves nothing to compare with: there only the official score
    remains.
    """

    needs_truth = False
    source = "NTIRE 2020 report, section 3.4"
    name_form = "physical"
    title_form = "Physical"
    columns: ClassVar[Mapping[str, str]] = {
        "back_projection_mrae": "Physical MRAE",
        "image_mrae": "MRAE to the image",
        "image_error_p95": "relative error to the image, 95 %",
        "codes_reproduced": "codes reproduced",
        "image_delta_e_2000": "ΔE to the image",
        "image_delta_e_2000_p95": "ΔE to the image, 95 %",
        "mismatching_pixels": "pixels that differ",
        "pixels": "pixels",
    }

    def score(self, case: Case, estimate: xr.DataArray, recover: Recover) -> Scores:
        """All scores that the case allows."""
        scores: dict[str, float] = {}
        if case.truth is not None:
            names = ("back_projection_mrae",)
            scores |= score(case.truth, estimate, case, names, valid=case.valid)
        if not case.track.keeps_exposure:
            return scores
        errors, reproduced = image_errors(estimate, case.image, case.track)
        kept = slice(None) if case.valid is None else case.valid
        scores["image_mrae"] = float(errors[kept].mean())
        scores["image_error_p95"] = float(np.quantile(errors[kept], 0.95))
        scores["codes_reproduced"] = float(reproduced[kept].mean())
        differences = image_delta_e(estimate, case.image, case.track)
        if differences is not None:
            scores["image_delta_e_2000"] = float(differences[kept].mean())
            scores["image_delta_e_2000_p95"] = float(np.quantile(differences[kept], 0.95))
        differing = mismatching_pixels(estimate, case.image, case.track)
        if differing is not None:
            scores["mismatching_pixels"] = float(np.count_nonzero(differing[kept]))
            scores["pixels"] = float(differing[kept].size)
        return scores


def image_errors(
    estimate: xr.DataArray, image: xr.DataArray, track: Track
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """How far the camera's signal of an answer lies outside of what the image's codes allow.

    Returns:
        Distance from the bounds of each code, relative to their middle, and whether the signal
        lies within them; both of shape (y, x, 3).
    """
    signal, allowed = _signal_and_allowed(estimate, image, track)
    return np.abs(signal - allowed) / track.invert_codes(image), signal == allowed


def image_delta_e(estimate: xr.DataArray, image: xr.DataArray, track: Track) -> FloatArray | None:
    """CIEDE2000 of each pixel between an answer and the nearest colour that the image allows.

    Returns:
        Shape (y, x); None for a camera whose values do not determine a colour.
    """
    to_xyz = _to_relative_xyz(track, tuple(estimate["wavelength"].values.tolist()))
    if to_xyz is None:
        return None
    signal, allowed = _signal_and_allowed(estimate, image, track)
    differences: FloatArray = metrics.ciede2000(
        metrics.relative_xyz_to_lab(signal @ to_xyz), metrics.relative_xyz_to_lab(allowed @ to_xyz)
    )
    return differences


def mismatching_pixels(
    estimate: xr.DataArray, image: xr.DataArray, track: Track
) -> npt.NDArray[np.bool_] | None:
    """Pixels whose code in any channel is another one once the answer is rendered.

    Returns:
        Shape (y, x); None for tracks with noise or compression, and for images without 8-bit
        codes.
    """
    if not track.exact or image.attrs.get("bits") != 8:
        return None
    options = type(track.options)(**{**track.options.model_dump(), "negative": "clip"})
    seen = dataclasses.replace(track, options=options).render_codes(estimate)
    differing: npt.NDArray[np.bool_] = (seen != np.rint(image.values * 255.0)).any(axis=2)
    return differing


def _signal_and_allowed(
    estimate: xr.DataArray, image: xr.DataArray, track: Track
) -> tuple[FloatArray, FloatArray]:
    """The signal of an answer, and the nearest one within the bounds of the image's codes.

    A black pixel has no lower bound: cameras clip what lies below. The upper bound of a code
    counts as inside, for the two differ by rounding only.
    """
    signal: FloatArray = track.project(estimate).values
    low, high = track.code_bounds(image)
    low = np.where(low == 0.0, -np.inf, low)
    # Signals are sums of single-precision products: they carry that rounding.
    slack = np.finfo(np.float32).eps
    allowed = np.clip(signal, low * (1 - slack), high * (1 + slack))
    return signal, allowed


def _to_relative_xyz(track: Track, wavelengths_nm: tuple[float, ...]) -> FloatArray | None:
    """Matrix (3, 3) from camera values to X/Xn, Y/Yn, Z/Zn of an equal-energy white."""
    grid = np.asarray(wavelengths_nm)
    camera = track.response_matrix(grid)
    observer = _observer(wavelengths_nm)
    matrix, *_ = np.linalg.lstsq(camera, observer, rcond=None)
    if np.abs(camera @ matrix - observer).max() > _COLORIMETRIC * observer.max():
        return None
    return np.asarray(matrix, dtype=np.float64)


@functools.lru_cache(maxsize=8)
def _observer(wavelengths_nm: tuple[float, ...]) -> FloatArray:
    grid = np.asarray(wavelengths_nm)
    step = np.gradient(grid) if grid.size > 1 else np.ones(1)
    weights = colour_matching("cie1964", grid) * step[:, None]
    return np.asarray(weights / weights.sum(axis=0), dtype=np.float64)


class WeightedAccuracy(OutputTest):
    """MRAE of each of a thousand clusters of the truth's spectra, mean over clusters.

    Clusters are found once for a truth and kept in the cache folder of the case.
    """

    source = "NTIRE 2020 report, section 3.5"
    name_form = "weighted"
    title_form = "Weighted"
    columns: ClassVar[Mapping[str, str]] = {"weighted_mrae": "Weighted MRAE"}

    def score(self, case: Case, estimate: xr.DataArray, recover: Recover) -> Scores:
        """The weighted score."""
        names = tuple(self.columns)
        truth, labels = case.need_truth(), case.labels()
        return score(truth, estimate, case, names, valid=case.valid, labels=labels)


class Metamers(OutputTest):
    """The truth is replaced by another spectrum of the same RGB.

    The camera sees no difference, so every method gives the same answer: the score says how much
    of its accuracy is owed to knowing the scenes it was tested on. Each spectrum is changed in the
    null space of the response, at most nine tenths of the way to its first zero; so it stays
    positive and its RGB exactly the same, where limiting its values afterwards would change it.

    Source: Fu et al., Limitations of data-driven spectral reconstruction, IEEE TCI 2025, for the
    split into a fundamental part and a metameric black; the limit is ours.
    """

    source = "Fu et al., IEEE Trans. Computational Imaging 2025"
    name_form = "metamer-{change}"
    title_form = "Metamer, {change}"
    columns: ClassVar[Mapping[str, str]] = {
        "mrae": "MRAE",
        "rmse": "RMSE",
        "truth_mrae": "MRAE of the truth",
    }
    change: Change = "without"
    """What becomes of the part that the camera does not see."""

    def score(self, case: Case, estimate: xr.DataArray, recover: Recover) -> Scores:
        """Scores against the metamer, and the MRAE of the truth itself: how far the two differ."""
        other, distance = case.once(self.name, lambda: self._other(case))
        scores = score(other, estimate, case, SHORT, valid=case.valid)
        return {**scores, "truth_mrae": distance}

    def _other(self, case: Case) -> tuple[xr.DataArray, float]:
        truth = case.need_truth()
        other = metamer(truth, case.response(truth), self.change, rng=case.random(self.name))
        return other, score(other, truth, case, ("mrae",), valid=case.valid)["mrae"]


def metamer(
    cube: xr.DataArray,
    response_matrix: npt.ArrayLike,
    change: Change = "without",
    *,
    rng: np.random.Generator | None = None,
) -> xr.DataArray:
    """Another cube that the camera sees as the same.

    Args:
        cube: dims (y, x, wavelength), values >= 0.
        response_matrix: shape (band, 3); rgb = spectrum @ response_matrix.
        change: what becomes of the part of each spectrum that the camera does not see.
        rng: for ``random``: one smooth direction for the whole scene, so that edges stay edges.

    Returns:
        Values >= 0 in double precision; rgb as before, to rounding.

    Raises:
        DataError: negative values, or a matrix that does not fit.
    """
    matrix = np.asarray(response_matrix, dtype=np.float64)
    spectra = cube.values.reshape(-1, cube.sizes["wavelength"]).astype(np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != spectra.shape[1]:
        raise DataError(f"a response of {spectra.shape[1]} bands is needed; got {matrix.shape}")
    if spectra.min() < 0:
        raise DataError(f"metamers need values >= 0; got {spectra.min():g}: clip the cube first")
    basis, _ = np.linalg.qr(matrix)
    if change == "random":
        rng = np.random.default_rng(0) if rng is None else rng
        wanted = spectra * _smooth(spectra.shape[1], rng)
    else:
        wanted = spectra if change == "double" else -spectra
    direction = wanted - (wanted @ basis) @ basis.T
    moved = spectra + _reach(spectra, direction, change)[:, None] * direction
    return cube.copy(data=moved.clip(min=0.0).reshape(cube.shape))


def _reach(spectra: FloatArray, direction: FloatArray, change: Change) -> FloatArray:
    """How far each spectrum goes: towards its first zero, or as far as the change asks."""
    with np.errstate(divide="ignore", invalid="ignore"):
        to_zero = np.where(direction < 0, spectra / -direction, np.inf).min(axis=1)
    reach: FloatArray = np.where(np.isfinite(to_zero), _REACH * to_zero, 0.0)
    return reach if change == "random" else np.minimum(reach, 1.0)


def _smooth(bands: int, rng: np.random.Generator) -> FloatArray:
    """A smooth random curve over the bands: a few cosines of falling amplitude."""
    place = np.linspace(0.0, np.pi, bands)
    orders = np.arange(2, 9)
    curve: FloatArray = (rng.standard_normal(orders.size) / orders) @ np.cos(
        orders[:, None] * place + rng.uniform(0, 2 * np.pi, orders.size)[:, None]
    )
    return curve


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
