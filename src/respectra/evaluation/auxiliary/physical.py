"""Physical consistency: does the answer look, to the camera, like the image it was made from?"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras import Track
from respectra.colour import colour_matching
from respectra.evaluation import metrics
from respectra.evaluation.auxiliary.base import (
    Case,
    OutputTest,
    Recover,
    Scores,
    changed_track,
    score,
)
from respectra.typing import FloatArray

#: A camera whose matrix gives the observer's within this (relative) sees colours as people do.
_COLORIMETRIC = 1e-6


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

    @property
    def official(self) -> bool:
        """Yes."""
        return True

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
    seen = changed_track(track, negative="clip").render_codes(estimate)
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
