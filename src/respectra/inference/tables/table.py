"""The table: spectra of a method at the nodes of a grid of colours, and how it is looked up."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationInfo, field_validator

from respectra.config import Config
from respectra.errors import ConfigError, DataError, FormatError
from respectra.inference.tables.geometry import Geometry, row_count
from respectra.methods import Contract, Weights, save_weights
from respectra.threads import for_blocks
from respectra.typing import Float32Array

Output = Literal["float32", "float16", "uint16", "uint8"]

#: Pixels that one thread takes at a time: enough to be worth the hand-over.
_PIECE = 1 << 15
#: More nodes than this along an axis no method needs.
MOST_NODES = 513
_LARGEST_HALF = 65504.0


class Deviation(Config):
    """How far a table departs from its method, over some colours.

    Each is ``|table - method| / max(|method|, 1 % of the pixel's brightest band)``, over all bands.

    Example:
        >>> from respectra.inference.tables import Deviation
        >>> Deviation(probes=1000, mean=0.001, p99=0.01, maximum=0.2).p99
        0.01
    """

    probes: int
    mean: float
    p99: float
    """Exceeded by one value in a hundred."""
    maximum: float


class BakingError(Config):
    """The measured departures of a table from its method.

    Example:
        >>> from respectra.inference.tables import BakingError, Deviation
        >>> small = Deviation(probes=1000, mean=0.001, p99=0.01, maximum=0.2)
        >>> BakingError(anywhere=small).surfaces is None
        True
    """

    anywhere: Deviation
    """Colours all over the RGB cube, at levels down to 1/100, half of them deep in cells."""
    surfaces: Deviation | None = None
    """Colours of measured surfaces under measured lights, as the track's camera sees them; None
    where the track is not known."""


class TableFacts(Config):
    """What the header of a file says of a table, besides what it says of any weights."""

    geometry: Geometry
    nodes: int = Field(ge=2, le=MOST_NODES)
    """Along each axis."""
    roots: int = Field(ge=0, le=2)
    """The nodes are evenly spaced after so many square roots."""
    clip_low: float | None = None
    """Lower clip of the method, applied after interpolation."""
    clip_high: float | None = None
    guarantees: tuple[str, ...] = ()
    """Kept by every result; ``consistent`` with 8-bit codes."""
    error: BakingError

    @field_validator("clip_low", "clip_high")
    @classmethod
    def _finite(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{info.field_name} must be finite")
        return value


@dataclass(frozen=True)
class Table:
    """A method as a table.

    ``apply`` gives the cube's values; :meth:`save` writes a file that ``respectra.load`` turns into
    a reconstructor.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> table = rs.bake("pseudo-inverse")
        >>> table.apply(np.full((2, 3, 3), 0.5, np.float32)).shape
        (2, 3, 31)
        >>> table.save("table.lut")
        >>> rs.load("table.lut").name
        'pseudo-inverse'
    """

    method: str
    """Name of the method that was baked."""
    config: Config
    contract: Contract
    """Linear R, G, B in [0, 1] to spectra; scaling and channel order are part of the table."""
    facts: TableFacts
    spectra: Float32Array
    """Shape (rows, bands): what the method gives at the nodes, before its clip."""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def apply(
        self,
        rgb: npt.NDArray[Any],
        *,
        out: npt.NDArray[Any] | None = None,
        dtype: Output = "float32",
        threads: int | None = None,
    ) -> npt.NDArray[Any]:
        """Look spectra up.

        Args:
            rgb: shape (..., 3), R, G, B: linear values in [0, 1], or 8- or 16-bit codes of them.
            out: C-contiguous array of shape (..., bands) to write into; its type counts instead of
                ``dtype``. A buffer that is used again spares the time of getting memory from the
                system, which exceeds that of the computation.
            dtype: of the result. Integer codes hold value / :meth:`code_unit`, rounded.
            threads: as many as there are cores by default.

        Returns:
            Shape (..., bands).

        Raises:
            DataError: the last axis does not hold three channels, a value is outside [0, 1] or
                NaN, ``out`` does not fit, or the type cannot hold the table's values.
        """
        pixels, unit = _pixels(rgb)
        shape = (*np.shape(rgb)[:-1], self.spectra.shape[1])
        if out is None:
            if dtype not in get_args(Output):
                raise ConfigError(f"dtype is one of {', '.join(get_args(Output))}; got {dtype!r}")
            out = np.empty(shape, dtype)
        else:
            _require_buffer(out, shape, get_args(Output))
        facts = self.facts
        low = -np.inf if facts.clip_low is None else facts.clip_low
        high = np.inf if facts.clip_high is None else facts.clip_high
        scale = 1.0
        if out.dtype.kind == "u":
            scale = 1.0 / self.code_unit(str(out.dtype))  # type: ignore[arg-type]
        elif out.dtype == np.float16 and np.abs(self.bounds).max() > _LARGEST_HALF:
            raise DataError(f"float16 holds values up to 65504; this table's reach {self.bounds}")
        _look_up(
            facts,
            self._rows,
            self.spectra.shape[1],
            pixels,
            unit,
            (low, high, scale),
            out.reshape(-1),
            threads,
        )
        return out

    @functools.cached_property
    def bounds(self) -> tuple[float, float]:
        """No value of a result is below the first or above the second."""
        low, high = float(self.spectra.min()), float(self.spectra.max())
        if self.facts.geometry == "rays":  # at level 0 everything is 0
            low, high = min(low, 0.0), max(high, 0.0)
        if self.facts.clip_low is not None:
            low, high = max(low, self.facts.clip_low), max(high, self.facts.clip_low)
        if self.facts.clip_high is not None:
            low, high = min(low, self.facts.clip_high), min(high, self.facts.clip_high)
        return low, high

    def code_unit(self, dtype: Literal["uint8", "uint16"]) -> float:
        """The value of one integer code: the largest code is the table's largest value.

        Raises:
            DataError: the method gives negative values, which unsigned codes cannot hold.
        """
        low, high = self.bounds
        if low < 0:
            raise DataError(
                f"{dtype} holds no negative values, and this table gives {low:g}; "
                "take float16 or float32"
            )
        return max(high, 1e-30) / np.iinfo(dtype).max

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the table to a file, by custom ``NAME.lut``; whole or not at all.

        Raises:
            OutputError: the file exists and ``overwrite`` is false, or cannot be written.
        """
        save_weights(self.to_weights(), path, overwrite=overwrite)

    def to_weights(self) -> Weights:
        """The table in the form that weights files hold."""
        return Weights(
            method=self.method,
            config=self.config,
            contract=self.contract,
            tensors={"spectra": self.spectra},
            provenance=self.provenance,
            baked=self.facts.model_dump(mode="json"),
        )

    @classmethod
    def from_weights(cls, weights: Weights) -> Self:
        """The table that a weights file holds.

        Raises:
            FormatError: it holds none, or a damaged one.
        """
        if weights.baked is None:
            raise FormatError(f"these are weights of {weights.method}, not a table; bake them")
        try:
            facts = TableFacts(**weights.baked)
        except (ConfigError, TypeError) as error:
            raise FormatError(f"the header of the table is damaged: {error}") from None
        spectra = weights.tensors.get("spectra")
        shape = (row_count(facts.geometry, facts.nodes), weights.contract.bands)
        if spectra is None or spectra.shape != shape or spectra.dtype != np.float32:
            got = "nothing" if spectra is None else f"{spectra.dtype} {spectra.shape}"
            raise FormatError(f"the table holds float32 spectra of shape {shape}; got {got}")
        if not np.isfinite(spectra).all():
            raise FormatError("the table holds values that are not finite")
        return cls(
            weights.method, weights.config, weights.contract, facts, spectra, weights.provenance
        )

    def basis(self, rank: int | None = None, *, tolerance: float = 0.01) -> Float32Array:
        """Orthonormal spectra of which all those of the table are nearly sums.

        Args:
            rank: how many; by default the least that keeps to the tolerance.
            tolerance: greatest departure of a node's spectrum, over its brightest band. As
                interpolation takes means of nodes, it holds between them too.

        Returns:
            Shape (k, bands).

        Raises:
            ConfigError: there are fewer bands than the rank, or the rank is below 1.
        """
        bands = self.spectra.shape[1]
        if rank is not None and not 1 <= rank <= bands:
            raise ConfigError(f"a rank of {bands} bands lies from 1 to {bands}; got {rank}")
        peaks = np.abs(self.spectra).max(axis=1, keepdims=True)
        shapes = (self.spectra / np.where(peaks > 0, peaks, 1.0)).astype(np.float64)
        vectors = np.linalg.eigh(shapes.T @ shapes)[1][:, ::-1]
        if rank is None:
            departures = shapes.copy()
            for rank in range(1, bands + 1):
                axis = vectors[:, rank - 1 : rank]
                departures -= (departures @ axis) @ axis.T
                if np.abs(departures).max() <= tolerance:
                    break
        return np.ascontiguousarray(vectors[:, :rank].T, dtype=np.float32)

    def coefficients(
        self,
        rgb: npt.NDArray[Any],
        basis: Float32Array,
        *,
        out: Float32Array | None = None,
        threads: int | None = None,
    ) -> Float32Array:
        """What the spectra of pixels have of a basis of :meth:`basis`, (k, bands), before the clip.

        Everything else is as for :meth:`apply`; the result has the shape (..., k), float32.
        """
        pixels, unit = _pixels(rgb)
        shape = (*np.shape(rgb)[:-1], len(basis))
        if out is None:
            out = np.empty(shape, np.float32)
        else:
            _require_buffer(out, shape, ("float32",))
        rows = padded_rows(self.spectra @ basis.T)
        limits, flat = (-np.inf, np.inf, 1.0), out.reshape(-1)
        _look_up(self.facts, rows, len(basis), pixels, unit, limits, flat, threads)
        return out

    @functools.cached_property
    def _rows(self) -> Float32Array:
        return padded_rows(self.spectra)


def padded_rows(values: npt.NDArray[Any]) -> Float32Array:
    """Rows filled up with zeros to whole vector registers."""
    from respectra.inference.tables.kernels import LANES

    rows = np.zeros((len(values), -(-values.shape[1] // LANES) * LANES), np.float32)
    rows[:, : values.shape[1]] = values
    return rows


def _pixels(rgb: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], float]:
    """Flat pixels and the value of one unit of them."""
    if np.shape(rgb)[-1:] != (3,):
        raise DataError(
            f"pixels have 3 channels R, G, B on the last axis; got shape {np.shape(rgb)}"
        )
    array = np.asarray(rgb)
    if array.dtype in (np.uint8, np.uint16):
        unit = 1.0 / float(np.iinfo(array.dtype).max)
    elif array.dtype.kind == "f":
        array, unit = array.astype(np.float32, copy=False), 1.0
    else:
        raise DataError(f"pixels are values in [0, 1] or 8- or 16-bit codes; got {array.dtype}")
    return np.ascontiguousarray(array).reshape(-1, 3), unit


def _require_buffer(out: npt.NDArray[Any], shape: tuple[int, ...], dtypes: tuple[str, ...]) -> None:
    if out.shape != shape or not out.flags.c_contiguous or str(out.dtype) not in dtypes:
        raise DataError(
            f"out is a C-contiguous array of shape {shape} and type {', '.join(dtypes)}; "
            f"got {out.dtype} {out.shape}"
        )


def _look_up(
    facts: TableFacts,
    rows: Float32Array,
    bands: int,
    pixels: npt.NDArray[Any],
    unit: float,
    limits: tuple[float, float, float],
    out: npt.NDArray[Any],
    threads: int | None,
) -> None:
    """Run the kernel over pieces of the picture at the same time."""
    from respectra.inference.tables import kernels

    kernel = kernels.look_up_cube if facts.geometry == "cube" else kernels.look_up_rays
    low, high, scale = (np.float32(value) for value in limits)
    registers = (0,) * (rows.shape[1] // kernels.LANES)
    flat = out.view(np.int16) if out.dtype == np.float16 else out
    check = pixels.dtype == np.float32

    def run(start: int, stop: int) -> None:
        values = pixels[start:stop].reshape(-1)
        if check and not kernels.usable(values, np.float32(1)):
            raise DataError("a table knows colours from 0 to 1; the picture holds others, or NaN")
        kernel(
            values,
            np.float32(unit),
            rows,
            facts.nodes,
            facts.roots,
            low,
            high,
            scale,
            bands,
            registers,
            flat[start * bands : stop * bands],
        )

    for_blocks(run, len(pixels), _PIECE, threads=threads)
