"""From measured patches to a response, a light, a tone curve and a correction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from respectra.cameras.calibration.charts import colours_of
from respectra.cameras.correction import Correction, fit_process, light_of, root_polynomial
from respectra.cameras.pictures.tone import Tone
from respectra.cameras.response_prior import (
    ResponsePrior,
    fit_channel,
    light_seen,
    response_prior,
)
from respectra.errors import DataError, RespectraError
from respectra.typing import FloatArray

#: Error of a patch: of the chart's spectra, of its lighting; and of dark values, in full scale.
_PATCH_ERROR, _DARK_ERROR = 0.02, 0.002
#: By how much, in log likelihood, a lamp must explain more than daylight or a black body.
_LAMP = 3.0
#: Ways from a camera's values to light, for linear and for developed photographs.
LINEAR_WAYS = ("response", "matrix", "root-polynomial")
DEVELOPED_WAYS = ("tone", "matrix", "root-polynomial", "gaussian-process")
#: Patches are left out one by one, those of larger charts in so many groups.
_FOLDS = 24
#: Lights that are tried when it is not known.
LIGHTS = (
    *(f"planck:{k}" for k in (2400, 2856, 3200, 3800)),
    *(f"daylight:{k}" for k in (4000, 5000, 5500, 6500, 7500, 10000)),
    *("FL2", "FL7", "FL11", "LED-B1", "LED-B3", "LED-B4", "LED-B5"),
)


@dataclass(frozen=True, eq=False)
class Response:
    """A response that was fitted.

    Attributes:
        values: shape (band, 3), on ``GRID_NM``, linear values over spectra of light.
        deviation: of the same shape.
        light: name of the light.
        evidence: logarithm of how likely the values are under this light.
    """

    values: FloatArray
    deviation: FloatArray
    light: str
    evidence: float


def error_of(values: FloatArray, relative: float = _PATCH_ERROR) -> FloatArray:
    """Standard deviation of the means of patches."""
    return np.hypot(relative * values, _DARK_ERROR)


def fit_response(
    spectra: FloatArray,
    values: FloatArray,
    light: str,
    error: float = _PATCH_ERROR,
) -> Response:
    """The likeliest response for patches under a light.

    Their spectra have shape (n, band), their linear values (n, 3), and a relative error.

    Raises:
        DataError: the values do not follow the light.
    """
    known = response_prior()
    seen, deviation = light_seen(spectra, light), error_of(values, error)
    fitted = [fit_channel(seen, values[:, k], deviation[:, k], k, known) for k in range(3)]
    evidence = sum(
        _evidence(seen, values[:, k], deviation[:, k], known, k, fitted[k][0].max())
        for k in range(3)
    )
    table, spread = (np.stack([part[n] for part in fitted], axis=1) for n in (0, 1))
    return Response(table, spread, light, float(evidence))


def _evidence(
    seen: FloatArray,
    values: FloatArray,
    deviation: FloatArray,
    prior: ResponsePrior,
    k: int,
    scale: float,
) -> float:
    spread = scale**2 * seen @ prior.covariance[k] @ seen.T + np.diag(deviation**2)
    off = values - scale * seen @ prior.mean[:, k]
    return float(-0.5 * (off @ np.linalg.solve(spread, off) + np.linalg.slogdet(spread)[1]))


def fit_lights(
    spectra: FloatArray, values: FloatArray, error: float = _PATCH_ERROR
) -> list[Response]:
    """Responses under each light that may have been, the likeliest first."""
    found = []
    for light in LIGHTS:
        try:
            found.append(fit_response(spectra, values, light, error=error))
        except RespectraError:
            continue
    if not found:
        raise DataError("no light explains the patches: is it the right chart?")
    return sorted(found, key=lambda r: -(r.evidence - (0.0 if ":" in r.light else _LAMP)))


def fit_tone(spectra: FloatArray, values: FloatArray) -> Tone:
    """The tone curve and flare that make the patches those of a photograph.

    The white balance of the picture is left free.
    """
    from scipy.optimize import minimize

    truth = np.maximum(colours_of(spectra), 0.003)

    def curve(p: FloatArray) -> Tone | None:
        try:
            return Tone(float(p[0]), float(p[1]), abs(float(p[2])), name="fitted to a chart")
        except RespectraError:
            return None

    def loss(p: FloatArray) -> float:
        tone = curve(p)
        if tone is None:
            return 1e3
        light = np.maximum(tone.undo(values).astype(np.float64), 1e-4)
        ratio = np.log(light / truth)
        ratio = np.clip(ratio - np.median(ratio, axis=0), -3, 3)
        regular = 0.05 * (p[0] - 0.3) ** 2 + 0.5 * (p[1] - 0.08) ** 2 + 20 * p[2] ** 2
        return float(np.abs(ratio).mean() + regular)

    start = np.array([0.3, 0.08, 0.002])
    steps = np.vstack([start, start + np.diag([0.2, 0.05, 0.004])])
    found = minimize(loss, start, method="Nelder-Mead", options={"initial_simplex": steps})
    return curve(found.x) or Tone()


def fit_correction(values: FloatArray, truth: FloatArray, *, roots: bool) -> FloatArray:
    """Shape (3 or 6, 3): the best map from camera values to linear R, G, B, relative, regularised.

    Of the values alone, or of the root-polynomial; both sides have shape (n, 3).
    """
    terms = root_polynomial(values) if roots else values
    weight = 1.0 / (np.abs(truth).mean(axis=1, keepdims=True) + 0.02)
    scale = terms.mean(axis=0)
    rows = terms / scale * weight
    damp = 1e-3 * np.trace(rows.T @ rows) / rows.shape[1]
    matrix = np.linalg.solve(
        rows.T @ rows + damp * np.eye(rows.shape[1]), rows.T @ (truth * weight)
    )
    return np.asarray(matrix / scale[:, None])


def fit_way(way: str, values: FloatArray, truth: FloatArray) -> Correction:
    """The correction of a way that needs no response; see :func:`fit_correction`.

    From linear values, tone undone, to linear sRGB. ``tone`` has mere gains, behind its curve.
    """
    if way == "gaussian-process":
        return fit_process(values, truth)
    if way == "tone":
        matrix = np.diag(np.median(truth / np.maximum(values, 1e-4), axis=0))
    else:
        matrix = fit_correction(values, truth, roots=way == "root-polynomial")
    return tuple(tuple(float(v) for v in row) for row in matrix)


def cross_validate(
    spectra: FloatArray,
    seen: FloatArray,
    wanted: FloatArray,
    light: str | None,
    error: float = _PATCH_ERROR,
) -> dict[str, float]:
    """Each way's mean relative error of the colour of patches that it did not see.

    The patches have spectra (n, band), were ``seen`` as linear values (n, 3), and make linear sRGB
    that is ``wanted`` (n, 3). The light is that on linear photographs; None for developed ones.
    """
    ways = DEVELOPED_WAYS if light is None else LINEAR_WAYS
    errors: dict[str, list[float]] = {way: [] for way in ways}
    fold = np.arange(len(seen)) % _FOLDS
    for number in range(min(_FOLDS, len(seen))):
        kept, mine = fold != number, fold == number
        for way, found in errors.items():
            if way == "response":
                assert light is not None
                fitted = fit_response(spectra[kept], seen[kept], light, error=error)
                rows = light_seen(spectra, light) @ fitted.values
                off = seen[mine] @ fit_correction(rows[kept], wanted[kept], roots=False)
            else:
                off = light_of(seen[mine], fit_way(way, seen[kept], wanted[kept]))
            off = np.abs(off - wanted[mine]).mean(axis=1)
            found.extend(off / (np.abs(wanted[mine]).mean(axis=1) + 0.01))
    return {way: float(np.mean(found)) for way, found in errors.items()}


def choose_way(scores: Mapping[str, float]) -> str:
    """The way that a calibration follows where none is asked for.

    Developed photographs: the Gaussian process. On the 14 photographs that its sizes were chosen
    on it was nearer to the spectra than the way that cross-validation over one chart picks, and
    so it was on 23 others (``docs/photographs.md``). Linear ones: the best by cross-validation.
    """
    if "gaussian-process" in scores:
        return "gaussian-process"
    return min(scores, key=lambda way: scores[way])
