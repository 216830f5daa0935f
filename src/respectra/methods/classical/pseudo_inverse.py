"""The pseudo-inverse: one matrix, the baseline."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field

from respectra.methods.card import Decision
from respectra.methods.classical.base import Array, ClassicalCard
from respectra.methods.classical.polynomial import REGRESSION_DECISIONS
from respectra.methods.classical.regression import Regression, RegressionConfig


class PseudoInverseConfig(RegressionConfig):
    """Options of the pseudo-inverse; none is needed."""

    ridge: float = Field(default=0.0, ge=0)
    """Strength of the penalty; 0 is the pseudo-inverse itself."""


class PseudoInverse(Regression[PseudoInverseConfig]):
    """The best 3 x bands matrix in the sense of least squares."""

    card = ClassicalCard(
        name="pseudo-inverse",
        title="Pseudo-inverse",
        summary="One matrix from RGB to spectrum, fitted by least squares. The baseline that every "
        "other method has to beat; any exposure.",
        reference="Heikkinen et al., J. Opt. Soc. Am. A 24(9), 2007 (regression estimation)",
        year=2007,
        decisions=(
            Decision.published("S pinv(RGB), no constant term", "textbook"),
            REGRESSION_DECISIONS[0],
        ),
    )
    config = PseudoInverseConfig

    def _features(self) -> Callable[[Array], Array]:
        return lambda rgb: rgb

    exposure_equivariant = True  # every term is linear


METHOD = PseudoInverse
