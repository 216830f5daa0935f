"""The Gaussian process of a method's errors over colour, which references are samples of.

The error, log(true / recovered) in each band, is a smooth function of a pixel's chromaticity and
log-brightness. Its lengths are chosen by leaving out each reference in turn; where that says that
the correction does not help, there is none.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from respectra.cameras import Track, make_image
from respectra.cameras.capture_camera import CaptureCamera
from respectra.inference.reference_tables import axes, corners, features
from respectra.typing import FloatArray

#: Lengths that are tried, of chromaticity (0 to 1) and of log2 of brightness; relative variance of
#: what is the same for all colours; and of what no colour explains.
_CHROMA = (0.06, 0.12, 0.25, 0.5)
_BRIGHTNESS = (1.0, 3.0, 9.0)
_CONSTANT = (0.0, 1.0)
_NUGGET = (0.01, 0.1, 0.4, 1.5)
_SHARES = (0.5, 1.0)
#: With fewer references than this, half of the posterior is the most that is applied.
_ENOUGH = 8
#: A correction has to lower the error of left-out references by this share to be made.
_WORTH = 0.03
#: References by which lengths are chosen; more are thinned.
_CHOOSING = 200
#: Relative errors are taken over values not below this share of a spectrum's mean.
FLOOR = 0.05
#: An error below this counts as this.
_LEAST = 1e-4


@dataclass(frozen=True)
class Lengths:
    """Hyper-parameters of the process."""

    chroma: float
    brightness: float
    constant: float
    nugget: float
    share: float
    """Of the posterior mean that is applied; 0: nothing is."""


def choose_lengths(
    points: FloatArray, ratios: FloatArray, errors: ReferenceErrors, noise: FloatArray
) -> tuple[Lengths, float, float]:
    """Lengths with the least error of references that were left out, one at a time.

    Args:
        points: shape (n, 3), features of the references.
        ratios: shape (n, band), log(true / recovered).
        errors: of the references after corrections.
        noise: shape (n,), of the references; see :func:`noise_of`.

    Returns:
        the lengths, with share 0 where no correction is better; the mean relative error without a
        correction, and with it.
    """
    none = Lengths(_CHROMA[0], _BRIGHTNESS[0], 0.0, 1.0, 0.0)
    some = thin(points, _CHOOSING)
    points, ratios, errors, noise = points[some], ratios[some], errors.of(some), noise[some]
    before = errors(np.zeros_like(ratios))
    unchanged = float(before.mean())
    if len(points) < 3:  # too few to leave one out
        return none, unchanged, unchanged
    best, least, after = none, 0.0, before
    for chroma, brightness, constant in itertools.product(_CHROMA, _BRIGHTNESS, _CONSTANT):
        kernel = _kernel(points, points, chroma, brightness, constant)
        nodes, weights = corners(points, axes(points, chroma))
        across = _kernel(nodes.reshape(-1, 3), points, chroma, brightness, constant)
        for nugget in _NUGGET:
            around = _left_out(kernel, across, ratios, nugget + noise)
            for share in _SHARES if len(points) >= _ENOUGH else _SHARES[:1]:
                factors = np.einsum("nc,ncb->nb", weights, np.exp(share * around))
                found = errors(np.log(factors))
                gain = float(np.log(found / before).mean())
                if gain < least:
                    best = Lengths(chroma, brightness, constant, nugget, share)
                    least, after = gain, found
    gains = np.log(before / after)
    doubt = gains.std(ddof=1) / np.sqrt(len(gains))
    if least > np.log(1.0 - _WORTH) or gains.mean() < 0.5 * doubt:
        return none, unchanged, unchanged
    return best, unchanged, float(after.mean())


class ReferenceErrors:
    """Mean relative errors of references after a correction and the return to their R, G, B."""

    def __init__(
        self,
        values: FloatArray,
        recovered: FloatArray,
        truth: FloatArray,
        response: FloatArray | None,
        camera: Track | CaptureCamera | None,
        codes: Mapping[Any, Any] | None,
    ) -> None:
        self._recovered, self._truth, self._response = recovered, truth, response
        self._floor = np.maximum(truth, FLOOR * truth.mean(axis=1, keepdims=True))
        self._low = self._high = np.ascontiguousarray(values, np.float64)
        if camera is not None and camera.exact and codes is not None:
            picture = make_image(np.clip(values, 0.0, 1.0)[:, None], bits=32)
            known = {k: codes[k] for k in ("bits", "code_bits", "code_curve") if k in codes}
            low, high = camera.code_bounds(picture.assign_attrs(known))
            self._low, self._high = (np.ascontiguousarray(b[:, 0]) for b in (low, high))

    def of(self, some: npt.NDArray[np.int64]) -> ReferenceErrors:
        """The errors of some of the references."""
        other = copy.copy(self)
        for name in ("_recovered", "_truth", "_floor", "_low", "_high"):
            setattr(other, name, np.ascontiguousarray(getattr(self, name)[some]))
        return other

    def __call__(self, logs: FloatArray) -> FloatArray:
        """Shape (n,), of corrections in logarithms (n, band)."""
        from respectra.inference.nearest_spectra import move_into

        spectra = np.ascontiguousarray(self._recovered * np.exp(logs), np.float32)
        if self._response is not None and logs.any():
            move_into(spectra, self._response, self._low, self._high)
        off = np.abs(spectra - self._truth) / self._floor
        return np.asarray(np.maximum(off.mean(axis=1), _LEAST))


def _kernel(
    left: FloatArray, right: FloatArray, chroma: float, brightness: float, constant: float
) -> FloatArray:
    """Covariance of the process between features (n, 3) and (m, 3)."""
    gap = (left[:, None] - right[None]) / np.array([chroma, chroma, brightness])
    return np.asarray(np.exp(-0.5 * (gap**2).sum(axis=2)) + constant)


def noise_of(ratios: FloatArray, uncertainty: FloatArray) -> FloatArray:
    """Variance (n,) of references over that of the process, from what is stated of them.

    ``ratios`` are log(true / recovered), ``uncertainty`` is relative, both of shape (n, band).
    """
    size = max(float(np.mean(ratios**2)), 1e-8)
    return np.asarray(np.mean(uncertainty**2, axis=1) / size)


def _bounded(logs: FloatArray, ratios: FloatArray) -> FloatArray:
    """No further than the references go: between references that differ, a process overshoots."""
    return np.clip(logs, np.minimum(ratios.min(axis=0), 0.0), np.maximum(ratios.max(axis=0), 0.0))


def _left_out(
    kernel: FloatArray, across: FloatArray, ratios: FloatArray, noise: FloatArray
) -> FloatArray:
    """Posterior mean (n, 8, band) at the nodes around each sample, from all the others.

    ``kernel`` is between samples, (n, n); ``across`` between the nodes of each sample and samples,
    (8 n, n); ``ratios`` are (n, band), ``noise`` is (n,).
    """
    count = len(ratios)
    inverse = np.linalg.inv(kernel + np.diag(noise))
    weights = inverse @ ratios
    own = weights / np.diag(inverse)[:, None]
    at_own = np.einsum("icn,ni->ic", across.reshape(count, -1, count), inverse)
    logs = (across @ weights).reshape(count, -1, ratios.shape[1])
    return _bounded(logs - at_own[:, :, None] * own[:, None], ratios)


def posterior(
    values: FloatArray,
    ratios: FloatArray,
    white: FloatArray,
    lengths: Lengths,
    noise: FloatArray | float = 0.0,
) -> Callable[[FloatArray], tuple[FloatArray, FloatArray]]:
    """The process given references: from features to logarithms of factors and shares of doubt.

    Args:
        values: shape (n, 3), of the references.
        ratios: shape (n, band), their logarithms.
        white: shape (3,), R, G, B of a perfect white.
        lengths: of the process.
        noise: of the references, shape (n,); see :func:`noise_of`.

    Returns:
        a function of features (m, 3), giving (m, band) and (m,).
    """
    points = features(values, white)
    kernel = _kernel(points, points, lengths.chroma, lengths.brightness, lengths.constant)
    inverse = np.linalg.inv(kernel + (lengths.nugget + noise) * np.eye(len(points)))
    weights = inverse @ ratios
    prior = 1.0 + lengths.constant

    def logs_and_spread(nodes: FloatArray) -> tuple[FloatArray, FloatArray]:
        across = _kernel(nodes, points, lengths.chroma, lengths.brightness, lengths.constant)
        variance = prior - np.einsum("ij,ij->i", across @ inverse, across)
        ratio = (np.maximum(variance, 0.0) + lengths.nugget) / (prior + lengths.nugget)
        spread = np.sqrt(ratio) if lengths.share > 0 else np.ones(len(nodes))
        return lengths.share * _bounded(across @ weights, ratios), spread

    return logs_and_spread


def thin(points: FloatArray, most: int) -> npt.NDArray[np.int64]:
    """Samples far from one another, in their order: each next is the farthest from those before."""
    if len(points) <= most:
        return np.arange(len(points))
    scaled = points / np.array([0.25, 0.25, 3.0])
    chosen, distance = [0], np.full(len(points), np.inf)
    while len(chosen) < most:
        gap = ((scaled - scaled[chosen[-1]]) ** 2).sum(axis=1)
        distance = np.minimum(distance, gap)
        chosen.append(int(distance.argmax()))
    return np.sort(np.array(chosen))
