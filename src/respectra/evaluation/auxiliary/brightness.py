"""Brightness: the same scene under more or less light, or at another exposure."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from respectra.evaluation.auxiliary.base import Case, Challenge, InputTest


class Brightness(InputTest):
    """The truth is scaled and its image made anew through the track.

    What the camera clips is lost, as it was in the challenge. A floor of relative errors is scaled
    as well, so that a method whose answer grows as the light does scores as it did before.
    """

    source = "NTIRE 2020 report, section 3.3"
    name_form = "brightness-{factor:g}"
    title_form = "Brightness ×{factor:g}"
    factor: float = Field(default=2.0, gt=0)
    """Factor on the light."""

    @property
    def official(self) -> bool:
        """Half and double."""
        return self.factor in (0.5, 2.0)

    def challenge(self, case: Case) -> Challenge:
        """The scaled truth and its image."""
        truth = case.need_truth()
        scaled = truth.copy(data=truth.values * np.float32(self.factor))
        return Challenge(
            image=case.render(scaled), truth=scaled, floor_factor=self.factor, valid=case.valid
        )
