"""Root-polynomial regression: the accuracy of polynomials at any exposure."""

from __future__ import annotations

from collections.abc import Callable
from math import gcd
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from respectra.errors import DataError
from respectra.methods.card import Decision
from respectra.methods.classical.base import Array, ClassicalCard
from respectra.methods.classical.polynomial import REGRESSION_DECISIONS, Exponents, monomials
from respectra.methods.classical.regression import Regression, RegressionConfig

_FINLAYSON = "Finlayson, Mackiewicz and Hurlbert, IEEE Trans. Image Processing 24(5), 2015"


class RootPolynomialConfig(RegressionConfig):
    """Options of root-polynomial regression."""

    order: int = Field(default=6, ge=1, le=6)
    """Highest root; 1 to 6 give 3, 6, 13, 22, 40, 55 terms."""
    ridge: Annotated[float, Field(ge=0)] | Literal["cross-validated"] = 1e-6
    """As in every regression. Roots magnify the rounding of dark codes, which noise-free training
    pairs do not show to cross-validation; this strength survives 8-bit pictures."""


class RootPolynomial(Regression[RootPolynomialConfig]):
    """Regression on roots of monomials, each of which grows as the exposure does."""

    card = ClassicalCard(
        name="root-polynomial",
        title="Root-polynomial regression",
        summary="Linear regression on terms such as sqrt(R G) and cbrt(R G B). k times the light "
        "gives exactly k times the spectrum, so it suits pictures of any exposure.",
        reference=f"{_FINLAYSON}; for spectra: Lin and Finlayson, Sensors 20(21) 6399, 2020",
        year=2015,
        decisions=(
            Decision.published(
                "monomials of degree 1 to the order, each under the root of its degree; "
                "those that are powers of another are left out",
                _FINLAYSON,
            ),
            Decision.reading(
                "a fixed penalty of 1e-6 by default, so that dark 8-bit codes do no harm"
            ),
            *REGRESSION_DECISIONS,
        ),
    )
    config = RootPolynomialConfig

    def _features(self) -> Callable[[Array], Array]:
        options = self.options
        terms = root_monomials(options.order)

        def features(rgb: Array) -> Array:
            if rgb.size and rgb.min() < 0:
                raise DataError(
                    f"roots need values >= 0; got {rgb.min():g}: subtract less from the image"
                )
            powers = _root_powers(np.ascontiguousarray(rgb.T), options.order)
            out = np.empty((len(terms), len(rgb)))
            for row, exponents in enumerate(terms):
                degree = sum(exponents)
                first, *others = (
                    powers[degree, e][channel] for channel, e in enumerate(exponents) if e
                )
                out[row] = first
                for factor in others:
                    out[row] *= factor
            return out.T

        return features

    exposure_equivariant = True  # every term grows as the light does


def root_monomials(order: int) -> list[Exponents]:
    """Exponents of the distinct root-monomials: those without a common divisor."""
    return [e for e in monomials(order) if gcd(*e) == 1]


def _root_powers(channels: Array, order: int) -> dict[tuple[int, int], Array]:
    """(degree, e) -> channels (3, n) to the power e / degree; square and cube roots are fast."""
    roots = {1: channels}
    for degree in range(2, order + 1):
        if degree % 2 == 0:
            roots[degree] = np.sqrt(roots[degree // 2])
        else:
            roots[degree] = np.cbrt(channels) if degree == 3 else channels ** (1.0 / degree)
    powers: dict[tuple[int, int], Array] = {}
    for degree, root in roots.items():
        powers[degree, 1] = root
        for e in range(2, degree):
            powers[degree, e] = powers[degree, e - 1] * root
    return powers


METHOD = RootPolynomial
