"""Linear regression on features of RGB: ordinary or relative errors, ridge, cross-validation.

Pairs are folded into small triangular matrices block by block (a QR factorisation that grows), so
that memory does not depend on the number of pairs and the condition number is never squared.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeVar

import numpy as np
from pydantic import Field

from respectra.config import Config
from respectra.methods.classical.base import Array, ClassicalMethod

R = TypeVar("R", bound="RegressionConfig")
_BLOCK = 8192
_FOLDS = 5
#: Strengths of the penalty that cross-validation tries.
RIDGE_GRID = 10.0 ** np.arange(-14.0, 0.5, 0.5)


class RegressionConfig(Config):
    """Options of every regression."""

    loss: Literal["least-squares", "relative"] = "least-squares"
    """``relative`` weighs each band of each pair by 1 / spectrum**2 (Lin and Finlayson 2020)."""
    relative_floor: float = Field(default=1e-3, gt=0)
    """Values below this count as this in the weights of ``relative``."""
    ridge: Annotated[float, Field(ge=0)] | Literal["cross-validated"] = "cross-validated"
    """Strength of the penalty on the coefficients, for features scaled to unit norm over the
    pairs, weights included: the same number means the same for any number of pairs and units."""
    ridge_per_band: bool = False
    """Choose the strength for each band by itself (Lin and Finlayson 2021)."""


class Regression(ClassicalMethod[R]):
    """A method whose spectrum is a linear function of features of the RGB value.

    Subclasses give ``_features``; the learned ``matrix`` has shape (features, bands).
    """

    config: ClassVar[type[RegressionConfig]] = RegressionConfig
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {"relative": {"loss": "relative"}}

    @abstractmethod
    def _features(self) -> Callable[[Array], Array]:
        """The function that takes pixels (n, 3) to features (n, p); float64."""

    def _fit(
        self, rgb: Array, spectra: Array, response: Array | None, rng: np.random.Generator
    ) -> None:
        options = self.options
        self._learn_features(rgb, rng)
        matrix, ridge = fit_regression(self._features(), rgb, spectra, options, rng)
        self.tensors |= {"matrix": matrix, "ridge": ridge}

    def _learn_features(self, rgb: Array, rng: np.random.Generator) -> None:
        """Put into ``self.tensors`` what the features themselves learn; nothing by default."""

    def _predictor(self) -> Callable[[Array], Array]:
        features, matrix = self._features(), self.tensors["matrix"]
        return lambda rgb: features(rgb) @ matrix


def fit_regression(
    features: Callable[[Array], Array],
    rgb: Array,
    spectra: Array,
    options: RegressionConfig,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """Coefficients (p, bands) and the ridge strength of each band.

    Args:
        features: pixels (n, 3) to features (n, p).
        rgb: shape (n, 3), float64.
        spectra: shape (n, bands), float64.
        options: loss and penalty.
        rng: source of the folds' randomness.
    """
    n, bands = spectra.shape
    chosen = options.ridge == "cross-validated" and n >= 2 * _FOLDS
    folds = _FOLDS if chosen else 1
    order = rng.permutation(n) if chosen else np.arange(n)
    floor = options.relative_floor if options.loss == "relative" else None
    parts = [_triangles(features, rgb, spectra, order[k::folds], floor) for k in range(folds)]
    p = features(np.zeros((1, 3))).shape[1]
    # Ordinary loss: one system with all bands as targets. Relative loss: one system a band.
    systems = [_scaled(triangles, p) for triangles in zip(*parts, strict=True)]
    if chosen:
        errors = np.concatenate([_validate(system.folds) for system in systems], axis=1)
        if not options.ridge_per_band:
            errors = np.repeat(errors.sum(axis=1, keepdims=True), bands, axis=1)
        ridge = RIDGE_GRID[errors.argmin(axis=0)]
    else:
        ridge = np.full(bands, 0.0 if isinstance(options.ridge, str) else options.ridge)
    strengths = [ridge] if len(systems) == 1 else [ridge[k : k + 1] for k in range(bands)]
    solved = [
        _Solver.of(system.folds).solve(strength) / system.scale[:, None]
        for system, strength in zip(systems, strengths, strict=True)
    ]
    return np.concatenate(solved, axis=1), ridge


#: Features (r, p) and targets (r, t) of least squares, r small: parts of a triangular factor.
_Fold = tuple[Array, Array]


@dataclass(frozen=True)
class _System:
    """Least squares for some bands, in folds, with features scaled to unit norm."""

    folds: list[_Fold]
    scale: Array


@dataclass(frozen=True)
class _Solver:
    """A singular value decomposition that solves for any strength of the penalty."""

    sigma: Array
    rotated: Array
    vt: Array

    @classmethod
    def of(cls, folds: Sequence[_Fold]) -> _Solver:
        u, sigma, vt = np.linalg.svd(np.vstack([f for f, _ in folds]), full_matrices=False)
        return cls(sigma, u.T @ np.vstack([t for _, t in folds]), vt)

    def solve(self, ridge: Array) -> Array:
        """Coefficients (p, t) for the strengths (t,); the least norm where the rank falls short."""
        sigma = self.sigma[:, None]
        seen = sigma > sigma[0] * len(sigma) * np.finfo(np.float64).eps
        gain = np.where(seen, sigma / np.where(seen, sigma**2 + ridge, 1.0), 0.0)
        coefficients: Array = self.vt.T @ (gain * self.rotated)
        return coefficients


def _scaled(triangles: Sequence[Array], p: int) -> _System:
    scale = np.sqrt(sum((r[:, :p] ** 2).sum(axis=0) for r in triangles))
    scale[scale == 0] = 1.0
    return _System([(r[:, :p] / scale, r[:, p:]) for r in triangles], scale)


def _validate(folds: list[_Fold]) -> Array:
    """Squared errors (strengths, t) on each fold of what the others give, summed."""
    errors = np.zeros((len(RIDGE_GRID), folds[0][1].shape[1]))
    for held_out, (features, targets) in enumerate(folds):
        solver = _Solver.of([fold for k, fold in enumerate(folds) if k != held_out])
        for row, ridge in enumerate(RIDGE_GRID):
            errors[row] += ((features @ solver.solve(ridge) - targets) ** 2).sum(axis=0)
    return errors


def _triangles(
    features: Callable[[Array], Array],
    rgb: Array,
    spectra: Array,
    rows: Array,
    floor: float | None,
) -> list[Array]:
    """Triangular factors of [features | targets] over some rows, weighted for each band if asked.

    A factor has the same inner products between its columns as the rows themselves, which is all
    that least squares depends on.
    """
    triangles: list[Array] = []
    for start in range(0, len(rows), _BLOCK):
        chunk = rows[start : start + _BLOCK]
        phi, s = features(rgb[chunk]), spectra[chunk]
        if floor is None:
            blocks = [np.hstack([phi, s])]
        else:
            w = 1.0 / np.maximum(s, floor)
            blocks = [
                np.hstack([phi, s[:, k : k + 1]]) * w[:, k : k + 1] for k in range(s.shape[1])
            ]
        if triangles:
            blocks = [np.vstack(pair) for pair in zip(triangles, blocks, strict=True)]
        triangles = [np.asarray(np.linalg.qr(block, mode="r")) for block in blocks]
    return triangles
