"""Polynomial regression."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations_with_replacement

import numpy as np
from pydantic import Field

from respectra.methods.card import Decision
from respectra.methods.classical.base import Array, ClassicalCard
from respectra.methods.classical.regression import Regression, RegressionConfig

_LIN = "Lin and Finlayson, Sensors 20(21) 6399, 2020; Sensors 21(16) 5586, 2021"
Exponents = tuple[int, int, int]

REGRESSION_DECISIONS = (
    Decision.published(
        "relative-error least squares: weights 1 / spectrum**2 in each band",
        "Lin and Finlayson, Color and Imaging Conference 28, 2020",
    ),
    Decision.published(
        "the strength of the penalty may be chosen for each band",
        "Lin and Finlayson, Sensors 21(16) 5586, 2021",
    ),
    Decision.reading(
        "5-fold cross-validation over strengths 1e-14 to 1, on features scaled to unit norm; "
        "floor 0.001 in the weights of the relative loss"
    ),
)


class PolynomialConfig(RegressionConfig):
    """Options of polynomial regression."""

    order: int = Field(default=4, ge=1, le=6)
    """Highest degree; 1 to 6 give 3, 9, 19, 34, 55, 83 terms."""
    constant: bool = False
    """Whether a constant term is added."""


class Polynomial(Regression[PolynomialConfig]):
    """Regression on all monomials of R, G, B up to a degree."""

    card = ClassicalCard(
        name="polynomial",
        title="Polynomial regression",
        summary="Linear regression on all products of R, G, B up to an order. Accurate at the "
        "exposures it was fitted on, not beyond: double the light and the answer is another.",
        reference=_LIN,
        year=2015,
        decisions=(
            Decision.published("all monomials of degree 1 to the order, no constant term", _LIN),
            *REGRESSION_DECISIONS,
            Decision.reading("order 4 unless told otherwise"),
        ),
    )
    config = PolynomialConfig

    def _features(self) -> Callable[[Array], Array]:
        options = self.options
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


METHOD = Polynomial
