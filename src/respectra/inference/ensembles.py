"""Ensembles: several answers to one image, averaged, and how far they differ."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NoReturn, Self, get_args

import numpy as np
import xarray as xr

from respectra.cameras import Capture, InputKind
from respectra.cubes import Quantity, make_cube
from respectra.errors import ConfigError, unknown_name
from respectra.inference.averages import mean_of, median_of, moments
from respectra.inference.binding import what_for
from respectra.inference.cache import fingerprint
from respectra.inference.guarantees import Guarantees
from respectra.inference.reconstructor import CubeFacts, Reconstructor
from respectra.inference.tiling import Layout, round_up
from respectra.methods import Tiling, Weights
from respectra.typing import Float32Array

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
    """Several reconstructors asked about one image, a file, a folder or a clip.

    Args:
        members: at least one, of one track and one set of wavelengths, and for the same capture if
            they are for one.
        combine: ``mean``, ``weighted`` (a mean with ``weights``), or ``median`` of each value.
        weights: one a member, for ``weighted``; they are divided by their sum.

    Example:
        >>> import respectra as rs
        >>> members = [rs.load("root-polynomial"), rs.load("wiener")]
        >>> cube = ModelEnsemble(members)(rs.make_image([[[0.2, 0.3, 0.1]]]))

    Raises:
        ConfigError: no members, members of different tracks, wavelengths, captures or quantities,
            an unknown way to combine, or weights that do not go with it.
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
            if (other.capture, other.quantity) != (first.capture, first.quantity):
                raise ConfigError(
                    "members of an ensemble are for one capture, or all for none yet, and give one "
                    f"quantity; {members[0].name} gives {first.quantity} for {what_for(first)}, "
                    f"{member.name} {other.quantity} for {what_for(other)}"
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
        self.guarantees = Guarantees((), first)
        """None of its own; its members keep theirs."""

    @property
    def name(self) -> str:
        """Names of the members."""
        return " + ".join(member.name for member in self.members)

    def __call__(self, image: xr.DataArray) -> xr.DataArray:
        """Recover the cube behind an image.

        Raises:
            DataError: it is no image, or a member cannot take it.
        """
        cubes = (member(image) for member in self.members)
        first = next(cubes)
        spectra = self.combined(cube.values for cube in itertools.chain([first], cubes))
        return self._label(spectra, first)

    @property
    def gives_uncertainty(self) -> bool:
        """Always: members differ."""
        return True

    def with_uncertainty(self, image: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
        """The cube, and the (weighted) standard deviation of the members about their mean."""
        cubes = (member(image) for member in self.members)
        first = next(cubes)
        answers = (np.asarray(cube.values) for cube in itertools.chain([first], cubes))
        mean, deviation = moments(answers, self.weights)
        cube = self(image) if self.combine == "median" else self._label(mean, first)
        return cube, cube.copy(data=deviation)

    def low_rank(self, image: xr.DataArray, **options: Any) -> NoReturn:
        """Refused: members share no basis.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"the members {self.name} share no basis; leave out low rank")

    def combined(self, answers: Iterable[Float32Array]) -> Float32Array:
        """The mean or median of the members' answers, in their order."""
        if self.combine == "median":
            return median_of([np.asarray(answer) for answer in answers])
        return mean_of(map(np.asarray, answers), self.weights)

    def mapped(self, change: Callable[[Reconstructor], Reconstructor]) -> Self:
        """The same ensemble of members that were changed, such as told of a capture."""
        other = copy.copy(self)
        other.members = tuple(map(change, self.members))
        other.contract = other.members[0].contract
        return other

    def with_capture(self, capture: Capture, *, quantity: Quantity | None = None) -> Self:
        """The same ensemble for the pictures of a capture; see the members' own."""
        return self.mapped(lambda member: member.with_capture(capture, quantity=quantity))

    def for_kind(self, kind: str) -> Self:
        """The same ensemble for pictures of a kind; see the members' own."""
        return self.mapped(lambda member: member.for_kind(kind))

    def values_of(self, image: xr.DataArray, kind: InputKind) -> xr.DataArray:
        """The image as it is: each member takes its own values from it.

        An ensemble that :meth:`for_kind` gave knows the kind.
        """
        return image

    # What files, folders and clips ask of a reconstructor.

    needs_whole = True

    @property
    def max_memory(self) -> str | int:
        """That of the first member that has a limit."""
        return next((m.max_memory for m in self.members if m.max_memory != "auto"), "auto")

    @property
    def answer_bytes(self) -> int:
        """Memory for each pixel of a piece: every member's answer, and what each takes."""
        each = 2 * 4 * self.contract.bands
        return sum(each + member.answer_bytes for member in self.members)

    def whole_image_reason(self, height: int, width: int) -> str | None:
        """Why a picture of this size has to be in memory as a whole; None where it need not."""
        for member in self.members:
            if member.card.tiling not in (Tiling.EXACT, Tiling.STATISTICS):
                return f"tiles of {member.name} cannot be those of other methods"
            if reason := member.whole_image_reason(height, width):
                return reason
        return None

    def layout(
        self, height: int, width: int, *, held: float = 0.0, per_pixel: float = 0.0
    ) -> Layout:
        """How a picture is cut for all members: as the one that takes the most memory has it."""
        layouts = [
            member.layout(height, width, held=held, per_pixel=per_pixel) for member in self.members
        ]
        if all(layout.whole for layout in layouts):
            return Layout(height, width, Tiling.EXACT, (height, width))
        reach = max(member.backend.halo or 0 for member in self.members)
        align = math.lcm(*(member.card.size_multiple for member in self.members))
        align = math.lcm(align, 4) if reach else align
        least = min(min(layout.sides) for layout in layouts if not layout.whole)
        side = max(least // align, 1) * align
        return Layout(height, width, Tiling.EXACT, (side, side), halo=round_up(reach, align))

    def layout_of(self, member: Reconstructor, layout: Layout) -> Layout:
        """The ensemble's layout for a member, which may need means over the picture first."""
        return dataclasses.replace(layout, policy=member.card.tiling)

    def signature(self) -> str:
        """A short name; an ensemble that answers otherwise has another."""
        parts = [
            (m.signature(), sorted(m.guarantees.names), m.guarantees.correction_key)
            for m in self.members
        ]
        return fingerprint(parts, self.combine, self.weights)

    def cube_facts(self, layout: Layout | None = None) -> CubeFacts:
        """What is written down with a cube."""
        facts = self.members[0].cube_facts(layout)
        source = f"reconstructed by {self.name}"
        facts = {**facts, "source": source, "method": self.name, "ensemble": self.combine}
        return {**facts, **self._learned}

    @property
    def _learned(self) -> CubeFacts:
        """What references taught of the members."""
        corrections = [(m.name, m.guarantees.correction) for m in self.members]
        said = [f"{name}: {found.summary}" for name, found in corrections if found is not None]
        return {"references": "; ".join(said)} if said else {}

    def _label(self, spectra: Float32Array, first: xr.DataArray) -> xr.DataArray:
        known = ("quantity", "capture", "camera", "light", "assumed", "contract_mismatch")
        facts: dict[str, Any] = {
            **{name: first.attrs[name] for name in known if name in first.attrs},
            "source": f"reconstructed by {self.name}",
            "method": self.name,
            "track": self.contract.track,
            "ensemble": self.combine,
            **self._learned,
        }
        return make_cube(spectra, self.contract.wavelengths_nm, **facts)


#: What recovers pictures, files, folders and clips.
Recovers = Reconstructor | ModelEnsemble
