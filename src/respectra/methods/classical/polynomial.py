"""Polynomial regression; order 1 is the pseudo-inverse."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations_with_replacement

import numpy as np
from pydantic import Field

from respectra.methods.card import Card, Decision, Origin, Tiling
from respectra.methods.classical.base import PER_PIXEL, Array
from respectra.methods.classical.regression import Regression, RegressionConfig

_LIN = "Lin and Finlayson, Sensors 20(21) 6399, 2020; Sensors 21(16) 5586, 2021"
Exponents = tuple[int, int, int]

REGRESSION_DECISIONS = (
    Decision(
        what="relative-error least squares: weights 1 / spectrum**2 in each band",
        origin=Origin.PUBLISHED,
        source="Lin and Finlayson, Color and Imaging Conference 28, 2020",
    ),
    Decision(
        what="the strength of the penalty may be chosen for each band",
        origin=Origin.PUBLISHED,
        source="Lin and Finlayson, Sensors 21(16) 5586, 2021",
    ),
    Decision(
        what="5-fold cross-validation over strengths 1e-14 to 1, on features scaled to unit norm; "
        "floor 0.001 in the weights of the relative loss",
        origin=Origin.READING,
    ),
)


class PseudoInverseConfig(RegressionConfig):
    """Options of the pseudo-inverse; none is needed."""

    ridge: float = Field(default=0.0, ge=0)
    """Strength of the penalty; 0 is the pseudo-inverse itself."""


class PolynomialConfig(RegressionConfig):
    """Options of polynomial regression."""

    order: int = Field(default=4, ge=1, le=6)
    """Highest degree; 1 to 6 give 3, 9, 19, 34, 55, 83 terms."""
    constant: bool = False
    """Whether a constant term is added."""


class PseudoInverse(Regression):
    """The best 3 x bands matrix in the sense of least squares."""

    card = Card(
        name="pseudo-inverse",
        title="Pseudo-inverse",
        kind="classical",
        summary="One matrix from RGB to spectrum, fitted by least squares. The baseline that every "
        "other method has to beat; any exposure.",
        reference="Heikkinen et al., J. Opt. Soc. Am. A 24(9), 2007 (regression estimation)",
        year=2007,
        decisions=(
            Decision(
                what="S pinv(RGB), no constant term", origin=Origin.PUBLISHED, source="textbook"
            ),
            REGRESSION_DECISIONS[0],
        ),
        tiling=Tiling.EXACT,
        tiling_reason=PER_PIXEL,
        exports_onnx=False,
    )
    config = PseudoInverseConfig

    def _features(self) -> Callable[[Array], Array]:
        return lambda rgb: rgb

    @property
    def exposure_equivariant(self) -> bool:
        """True: every term is linear."""
        return True


class Polynomial(Regression):
    """Regression on all monomials of R, G, B up to a degree."""

    card = Card(
        name="polynomial",
        title="Polynomial regression",
        kind="classical",
        summary="Linear regression on all products of R, G, B up to an order. Accurate at the "
        "exposures it was fitted on, not beyond: double the light and the answer is another.",
        reference=_LIN,
        year=2015,
        decisions=(
            Decision(
                what="all monomials of degree 1 to the order, no constant term",
                origin=Origin.PUBLISHED,
                source=_LIN,
            ),
            *REGRESSION_DECISIONS,
            Decision(what="order 4 unless told otherwise", origin=Origin.READING),
        ),
        tiling=Tiling.EXACT,
        tiling_reason=PER_PIXEL,
        exports_onnx=False,
    )
    config = PolynomialConfig

    def _features(self) -> Callable[[Array], Array]:
        options = self.options
        assert isinstance(options, PolynomialConfig)
        terms = monomials(options.order)
        constant = options.constant

        def features(rgb: Array) -> Array:
            out = np.empty((len(terms) + constant, len(rgb)))
            place = {exponents: row for row, exponents in enumerate(terms)}
            channels = np.ascontiguousarray(rgb.T)
            for row, exponents in enumerate(terms):
                channel = next(c for c in range(3) if exponents[c])
                rest = list(exponents)
                rest[channel] -= 1
                known = place.get((rest[0], rest[1], rest[2]))
                if known is None:
                    out[row] = channels[channel]
                else:
                    np.multiply(out[known], channels[channel], out=out[row])
            if constant:
                out[-1] = 1.0
            return out.T

        return features


def monomials(order: int) -> list[Exponents]:
    """Exponents of R, G, B of all products of degree 1 to ``order``, by ascending degree."""
    return [
        (chosen.count(0), chosen.count(1), chosen.count(2))
        for degree in range(1, order + 1)
        for chosen in combinations_with_replacement(range(3), degree)
    ]


METHODS = (PseudoInverse, Polynomial)
