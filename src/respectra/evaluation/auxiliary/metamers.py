"""Metamers: what if the scene were another one that the camera cannot tell from it?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.errors import DataError
from respectra.evaluation.auxiliary.base import SHORT, Case, OutputTest, Recover, Scores, score
from respectra.typing import FloatArray

#: What a metamer does to the part of a spectrum that the camera does not see: leave it out,
#: double it, or replace it by one drawn at random.
Change = Literal["without", "double", "random"]
#: Share of the way to the first value of zero that a change goes at most.
_REACH = 0.9


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
