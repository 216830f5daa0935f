"""Guarantees as part of a table.

Interpolation takes means of nodes, whose weights are not negative and sum to one. What is linear,
or an upper or lower bound of single values, therefore holds between nodes when it holds at them:

* ``consistent``: the spectra of the nodes are moved to where the camera sees the colour of their
  node, a little further than the lower bound of its code. The camera is linear, so it then sees
  every colour so, and an 8-bit image comes back bit for bit.
* ``non-negative``: a clip at 0.

The two together do not hold between nodes: the corners of the RGB cube are colours that no spectrum
without negative values has, and what is interpolated from them has not the colour of its pixel.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from respectra.errors import ConfigError
from respectra.inference.backends.base import TABLE_BITS
from respectra.inference.guarantees import METRIC_FLOOR, Guarantee, camera_of, check_guarantees
from respectra.inference.tables.geometry import Geometry
from respectra.methods import Contract

_WHY_NOT: dict[str, str] = {
    "consistent-exact": "it depends on how many bits the codes have; 'consistent' can, for 8 bits",
    "exposure-invariant": "it depends on the brightest pixel of the image; methods that grow with "
    "the light keep it without being asked",
    "smooth": "spectra between smooth ones can be rougher than they are",
}


def require_bakeable(names: Iterable[str], contract: Contract) -> frozenset[Guarantee]:
    """The guarantees of these names, which a table can keep.

    Raises:
        ConfigError: an unknown name; one that does not follow from single colours, or does not
            hold between nodes; or the camera is not known, or not exact.
    """
    asked = check_guarantees(names)
    for name in sorted(asked):
        if name in _WHY_NOT:
            raise ConfigError(
                f"{name!r} cannot be part of a table: {_WHY_NOT[name]}; bake without it and give "
                "it when reconstructing"
            )
    if {"consistent", "non-negative"} <= asked:
        raise ConfigError(
            "'consistent' and 'non-negative' cannot both be part of a table: some of its nodes are "
            "colours that no spectrum without negative values has; bake one of them, or give both "
            "when reconstructing"
        )
    if "consistent" in asked and not camera_of(contract).exact:
        raise ConfigError(
            f"consistency with the track {contract.track!r} is one of neighbourhoods, because "
            "of its noise, so it cannot be part of a table; give it when reconstructing"
        )
    return asked


def move_to_colours(
    spectra: npt.NDArray[np.float32],
    rgb: npt.NDArray[np.floating],
    contract: Contract,
    geometry: Geometry,
) -> None:
    """Move spectra, in place and by the least relative change, to where the camera sees colours.

    Args:
        spectra: shape (n, bands).
        rgb: shape (n, 3), linear values in [0, 1] as images hold them.
        contract: of the weights; its camera is exact.
        geometry: of the table that the spectra are for. With rays everything is in proportion to
            the light, so what is added to a colour has to be, too; part of it is in proportion to
            the largest channel, so that no other channel is rounded to less than nothing.
    """
    from respectra.inference.nearest_spectra import move_into

    track = camera_of(contract)
    beyond = (0.5 if track.rounding == "truncate" else 0.25) / (2**TABLE_BITS - 1)
    seen = np.asarray(rgb, np.float64)
    if geometry == "rays":
        seen = seen + 0.5 * beyond * (seen + seen.max(axis=1, keepdims=True))
    else:
        seen = seen + beyond
    move_into(
        spectra,
        track.response_matrix(contract.wavelengths_nm),
        seen,
        seen,
        non_negative=False,
        metric_floor=METRIC_FLOOR,
    )
