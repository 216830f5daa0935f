"""Ensembles: several answers to one image, averaged, and how far they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr

from respectra.cubes import make_cube
from respectra.errors import ConfigError, unknown_name
from respectra.inference.averages import mean_of, median_of, moments
from respectra.inference.factors import FloatArray
from respectra.inference.reconstructor import Reconstructor
from respectra.methods import Weights

Combine = Literal["mean", "weighted", "median"]


def SelfEnsemble(  # noqa: N802 - it was a class
    weights: Weights, *, symmetries: str = "all", **options: Any
) -> Reconstructor:
    """``Reconstructor(weights, self_ensemble=symmetries)``: the mean over flips and turns.

    Args:
        weights: see :class:`Reconstructor`.
        symmetries: see :mod:`respectra.inference.self_ensemble`.
        options: see :class:`Reconstructor`.

    Example:
        >>> import respectra as rs
        >>> rec = rs.load(self_ensemble="flips")
        >>> cube, deviation = rec.with_uncertainty(rs.make_image([[[0.2, 0.3, 0.1]]]))

    Raises:
        ConfigError: an unknown set of symmetries.
    """
    return Reconstructor(weights, self_ensemble=symmetries, **options)


class ModelEnsemble:
    """Several reconstructors asked about one image.

    Args:
        members: at least one; anything called with an image that gives a cube.
        combine: ``mean``, ``weighted`` (a mean with ``weights``), or ``median`` of each value.
        weights: one a member, for ``weighted``; they are divided by their sum.

    Example:
        >>> import respectra as rs
        >>> members = [rs.load("root-polynomial"), rs.load("wiener")]
        >>> cube = ModelEnsemble(members)(rs.make_image([[[0.2, 0.3, 0.1]]]))

    Raises:
        ConfigError: no members, members of different tracks or wavelengths, an unknown way to
            combine, or weights that do not go with it.
    """

    def __init__(
        self,
        members: Sequence[Reconstructor],
        *,
        combine: Combine = "mean",
        weights: Sequence[float] | None = None,
    ) -> None:
        if combine not in get_args(Combine):
            raise unknown_name("way to combine", combine, get_args(Combine))
        if not members:
            raise ConfigError("an ensemble has at least one member")
        first = members[0].contract
        for member in members[1:]:
            other = member.contract
            if (other.track, other.wavelengths_nm) != (first.track, first.wavelengths_nm):
                raise ConfigError(
                    f"members of an ensemble share their track and wavelengths; {members[0].name} "
                    f"was made for {first.track} with {first.bands} bands, {member.name} for "
                    f"{other.track} with {other.bands}"
                )
        if (weights is not None) != (combine == "weighted"):
            raise ConfigError("weights belong to combine='weighted', and to it alone")
        if weights is not None and (len(weights) != len(members) or min(weights) <= 0):
            raise ConfigError(f"weights are {len(members)} positive numbers; got {list(weights)}")
        self.members, self.combine = tuple(members), combine
        equal = [1.0] * len(members)
        given = np.asarray(equal if weights is None else weights, dtype=np.float64)
        self.weights = tuple((given / given.sum()).tolist())
        self.contract = first

    @property
    def name(self) -> str:
        """Names of the members."""
        return " + ".join(member.name for member in self.members)

    def __call__(self, image: xr.DataArray) -> xr.DataArray:
        """Recover the cube behind an image.

        Raises:
            DataError: it is no image, or a member cannot take it.
        """
        if self.combine == "median":
            return self._label(median_of([member(image).values for member in self.members]))
        return self._label(mean_of(self._answers(image), self.weights))

    @property
    def gives_uncertainty(self) -> bool:
        """Always: members differ."""
        return True

    def with_uncertainty(self, image: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
        """The cube, and the (weighted) standard deviation of the members about their mean."""
        mean, deviation = moments(self._answers(image), self.weights)
        cube = self(image) if self.combine == "median" else self._label(mean)
        return cube, cube.copy(data=deviation)

    def _answers(self, image: xr.DataArray) -> Iterator[FloatArray]:
        return (np.asarray(member(image).values) for member in self.members)

    def _label(self, spectra: FloatArray) -> xr.DataArray:
        return make_cube(
            spectra,
            self.contract.wavelengths_nm,
            quantity=self.contract.quantity,
            source=f"reconstructed by {self.name}",
            method=self.name,
            track=self.contract.track,
            ensemble=self.combine,
        )
