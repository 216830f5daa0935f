"""An auxiliary test: the scene in a mirror."""

from __future__ import annotations

import xarray as xr

from respectra.evaluation.auxiliary import Case, Challenge, InputTest


class Mirrored(InputTest):
    """The image is turned left to right; a good method does not care."""

    source = "Respectra, examples/plugin"

    @property
    def name(self) -> str:
        """As on the command line."""
        return "mirrored"

    @property
    def title(self) -> str:
        """As in tables."""
        return "Mirrored"

    def challenge(self, case: Case) -> Challenge:
        """The mirrored image; the answer is turned back."""
        truth = case.need_truth()
        return Challenge(image=_turned(case.image), truth=truth, restore=_turned, valid=case.valid)


def _turned(array: xr.DataArray) -> xr.DataArray:
    """Left to right."""
    return array.copy(data=array.values[:, ::-1])


MIRRORED = Mirrored()
