"""Ensembles: several answers to one image, averaged, and how far they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import xarray as xr

from respectra.cameras import Capture
from respectra.cubes import Quantity, make_cube
from respectra.datasets.patches import SYMMETRIES, turn, turn_back
from respectra.errors import ConfigError, unknown_name
from respectra.inference.engines import Engine
from respectra.inference.predictors import FloatArray, Output, Predictor
from respectra.inference.reconstructor import Reconstructor, bits_of
from respectra.inference.tiling import Layout
from respectra.methods import Tiling, Weights

if TYPE_CHECKING:
    from respectra.inference.references import Correction

Combine = Literal["mean", "weighted", "median"]
#: Rows of which a median is taken at a time.
_ROWS = 64


class SelfEnsemble(Reconstructor):
    """One method asked several times, about the image flipped and turned.

    Each answer is turned back, and their mean is the cube; guarantees are kept by the mean. It
    takes as many times longer as there are symmetries, and works in memory alone.

    Args:
        weights: see :class:`Reconstructor`.
        symmetries: ``none``, ``horizontal`` (as it is and left to right), ``vertical`` (and upside
            down), ``flips`` (four: both axes), or ``all`` eight, with transposition.
        tile: see :class:`Reconstructor`.
        max_memory: see :class:`Reconstructor`.
        device: see :class:`Reconstructor`.
        guarantees: see :class:`Reconstructor`.
        capture: see :class:`Reconstructor`.
        quantity: see :class:`Reconstructor`.
        correction: see :class:`Reconstructor`.

    Example:
        >>> import respectra as rs
        >>> rec = rs.load(self_ensemble="flips")
        >>> cube, deviation = rec.with_uncertainty(rs.make_image([[[0.2, 0.3, 0.1]]]))

    Raises:
        ConfigError: an unknown set of symmetries.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        symmetries: str = "all",
        tile: int | Literal["auto"] | None = "auto",
        max_memory: str | int = "auto",
        device: str = "auto",
        engine: Engine = "auto",
        guarantees: Sequence[str] = (),
        capture: Capture | None = None,
        quantity: Quantity | None = None,
        correction: Correction | None = None,
    ) -> None:
        self.symmetries = check_symmetries(symmetries)
        super().__init__(
            weights,
            tile=tile,
            max_memory=max_memory,
            device=device,
            engine=engine,
            guarantees=guarantees,
            capture=capture,
            quantity=quantity,
            correction=correction,
        )

    def _options(self) -> dict[str, Any]:
        return {**super()._options(), "symmetries": self.symmetries}

    @property
    def needs_whole(self) -> bool:
        """It is more than the spectra of pieces."""
        return True

    def whole_image_reason(self, height: int, width: int) -> str | None:
        """Why a picture of this size has to be in memory as a whole; None where it need not.

        Turned tiles give what the turned picture gives where tiles are exact by their halo alone,
        and where squares that the network takes as one lie alike from either end.
        """
        multiple = self.card.size_multiple
        if self.card.tiling is not Tiling.EXACT:
            return f"turned tiles of {self.name} do not give what the turned picture gives"
        if height % multiple or width % multiple:
            return (
                f"{self.name} takes {multiple} x {multiple} pixels together, and they lie "
                f"otherwise in a turned picture of {height} x {width}"
            )
        return super().whole_image_reason(height, width)

    @property
    def answer_bytes(self) -> int:
        """That of guarantees, the mean, and one answer turned back."""
        return super().answer_bytes + 3 * 4 * self.contract.bands

    def for_pieces(self, layout: Layout, bits: int) -> Predictor:
        """Means of the answers to each tile turned, halo included."""
        predict, symmetries = self._engine(layout, bits), SYMMETRIES[self.symmetries]

        def answer(pixels: FloatArray) -> FloatArray:
            turned = (np.ascontiguousarray(turn(pixels, symmetry)) for symmetry in symmetries)
            answers = (self.contract.finish(predict(pixels)) for pixels in turned)
            return mean_of(map(turn_back, answers, symmetries))

        return answer

    @property
    def gives_uncertainty(self) -> bool:
        """Always: answers have a spread."""
        return True

    def with_uncertainty(self, image: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
        """The cube, and the standard deviation of the answers, an array of the same shape.

        Where symmetric answers agree the method may still be wrong: this is a lower bound of its
        error, and 0 everywhere for methods that look at single pixels.
        """
        chosen = self.for_picture(image)
        if chosen is not self:
            return chosen.with_uncertainty(image)
        picture = self.picture_of(image)
        scaled, factor = self.guarantees.scale(picture)
        rgb = np.asarray(scaled.values, dtype=np.float32)
        layout = self._layout_in_memory(rgb)
        mean, deviation = moments(self._answers(rgb, layout, bits_of(scaled)))
        cube = self._label(mean, layout)
        if self.guarantees:
            cube = self.guarantees.enforce(cube, picture, factor)[0]
            deviation *= np.float32(factor)
        return cube, cube.copy(data=deviation)

    def signature(self) -> str:
        """That of the method, with the symmetries."""
        return f"{super().signature()}-{self.symmetries}"

    def _layout_in_memory(self, rgb: FloatArray) -> Layout:
        height, width = rgb.shape[:2]
        cubes = 3  # the sum, the answer at hand, and its parts
        return self.layout(height, width, held=cubes * 4 * height * width * self.contract.bands)

    def _assemble(
        self,
        rgb: FloatArray,
        layout: Layout,
        bits: int,
        *,
        output: Output | Predictor | None = None,
    ) -> FloatArray:
        if output is not None:
            raise ConfigError("a self-ensemble answers with spectra alone, not with a basis")
        return mean_of(self._answers(rgb, layout, bits))

    def _answers(self, rgb: FloatArray, layout: Layout, bits: int) -> Iterator[FloatArray]:
        for symmetry in SYMMETRIES[self.symmetries]:
            turned = np.ascontiguousarray(turn(rgb, symmetry))
            fits = turned.shape == rgb.shape
            piece = layout if fits else self._layout_in_memory(turned)
            yield turn_back(super()._assemble(turned, piece, bits), symmetry)


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
            return self._label(_median([member(image).values for member in self.members]))
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


def check_symmetries(name: str) -> str:
    """The name of a set of symmetries.

    Raises:
        ConfigError: there is no such set.
    """
    if name not in SYMMETRIES:
        raise unknown_name("self-ensemble", name, SYMMETRIES)
    return name


def mean_of(answers: Iterator[FloatArray], weights: Sequence[float] | None = None) -> FloatArray:
    """Mean of arrays of one shape, which are held one at a time.

    Args:
        answers: at least one.
        weights: one an answer, positive; equal without them.
    """
    mean, total = np.zeros(0, np.float32), 0.0
    for number, answer in enumerate(answers):
        weight = 1.0 if weights is None else weights[number]
        total += weight
        if number == 0:
            mean = np.array(answer, dtype=np.float32, order="C")
        else:
            step = answer - mean
            step *= np.float32(weight / total)
            mean += step
    return mean


def moments(
    answers: Iterator[FloatArray], weights: Sequence[float] | None = None
) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of arrays of one shape, held one at a time (Welford; West, 1979).

    Args:
        answers: at least one; the deviation of a single one is 0.
        weights: one an answer, positive; equal without them.
    """
    mean = spread = np.zeros(0, np.float32)
    total = 0.0
    for number, answer in enumerate(answers):
        weight = 1.0 if weights is None else weights[number]
        total += weight
        if number == 0:
            mean = np.array(answer, dtype=np.float32, order="C")
            spread = np.zeros_like(mean)
        else:
            step = answer - mean
            mean += np.float32(weight / total) * step
            spread += np.float32(weight) * step * (answer - mean)
    np.maximum(spread, 0.0, out=spread)
    return mean, np.sqrt(spread / np.float32(total))


def _median(answers: Sequence[FloatArray]) -> FloatArray:
    """Median of each value, some rows at a time."""
    out = np.empty_like(answers[0], order="C")
    for top in range(0, len(out), _ROWS):
        rows = slice(top, top + _ROWS)
        out[rows] = np.median(np.stack([answer[rows] for answer in answers]), axis=0)
    return out
