"""A picture as a method sees it, and its spectra piece by piece, with the guarantees kept.

Pictures may lie in memory or on disk; the method's answers here or on a device.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import xarray as xr

from respectra.cameras.pictures import Picture
from respectra.cubes import make_cube
from respectra.inference.backends.base import EXACT_BITS, bits_of
from respectra.inference.guarantees import Report
from respectra.inference.tiling import Layout, Pieces, Reader, Region, gathered
from respectra.typing import Float32Array

if TYPE_CHECKING:
    from torch import Tensor

    from respectra.inference.reconstructor import Reconstructor

__all__ = ["SeenPicture", "keeps_on_device", "kept_pieces", "recover_on_device"]


@dataclass(frozen=True)
class SeenPicture:
    """Linear values of a picture, in the exposure that guarantees ask for."""

    height: int
    width: int
    read: Reader
    """What the method sees of rows and columns."""
    itself: Callable[[Region], xr.DataArray]
    """The picture in a region of what was read last, in its own exposure."""
    bits: int
    """Depth of the codes that the values came from."""
    factor: float
    """What the picture's cube has to be multiplied by; see ``Guarantees.scale``."""
    bounds: tuple[float, float]
    """Smallest and largest value that the method's own camera sees, where the contract asks."""

    @classmethod
    def in_memory(cls, reconstructor: Reconstructor, picture: xr.DataArray) -> Self:
        """A picture of linear values."""
        scaled, factor = reconstructor.guarantees.scale(picture)
        rgb = np.asarray(scaled.values, np.float32)
        bits, bounds = bits_of(scaled), reconstructor.tiled.bounds_of(rgb)
        height, width = rgb.shape[:2]
        return cls(height, width, lambda y, x: rgb[y, x], picture.__getitem__, bits, factor, bounds)

    @classmethod
    def on_disk(cls, reconstructor: Reconstructor, picture: Picture) -> Self:
        """A picture that is read piece by piece."""
        guarantees, contract = reconstructor.guarantees, reconstructor.contract
        top = picture.bounds()[1] if guarantees.scales else 1.0
        factor = top if top > 0 else 1.0
        bounds = (0.0, 1.0)
        if not contract.keeps_exposure:
            share = np.float32(factor)
            bounds = picture.bounds(lambda rgb: contract.own_values(rgb / share))
        last: list[Any] = []

        def read(rows: slice, columns: slice) -> Float32Array:
            image = picture.image(rows, columns)
            last[:] = [rows.start, columns.start, image] if guarantees else []
            return np.asarray(guarantees.scale(image, factor)[0].values, np.float32)

        def itself(region: Region) -> xr.DataArray:
            top, left, image = last
            rows, columns = region
            part: xr.DataArray = image[
                rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
            ]
            return part

        bits = picture.value_bits if factor == 1.0 else EXACT_BITS
        return cls(picture.height, picture.width, read, itself, bits, factor, bounds)


def keeps_on_device(reconstructor: Reconstructor, layout: Layout) -> bool:
    """Whether a method's answers are finished where they are made, and copied here once.

    Those of a self-ensemble are put together here; consistency with a noisy camera looks across
    the borders of pieces, which are put together here too.
    """
    here = reconstructor.self_ensemble != "none" or not reconstructor.backend.on_device
    return not here and (reconstructor.guarantees.by_pixels or layout.whole)


def kept_pieces(
    reconstructor: Reconstructor,
    picture: SeenPicture,
    layout: Layout,
    *,
    kept: frozenset[str],
    tell: Callable[[Report], None] = lambda report: None,
    means: Sequence[Float32Array] | None = None,
    done: frozenset[tuple[int, int]] = frozenset(),
) -> Pieces:
    """Spectra of a picture piece by piece, with the guarantees kept; see ``TiledInference.pieces``.

    Args:
        reconstructor: the method.
        picture: what it sees.
        layout: how the picture is cut.
        kept: what the method keeps by itself; see ``Backend.kept_guarantees``.
        tell: told what keeping the guarantees meant for a piece, before that piece is given;
            not where there was nothing to do.
        means: over the whole picture.
        done: pieces that are not wanted again.
    """
    guarantees, grid = reconstructor.guarantees, reconstructor.contract.wavelengths_nm
    nothing, factor = guarantees.kept_by(kept), picture.factor
    options: dict[str, Any] = {"bounds": picture.bounds, "bits": picture.bits}
    options |= {"means": means, "done": done}
    if keeps_on_device(reconstructor, layout):
        from respectra.inference.on_device.guarantees import enforce

        def keep(region: Region, spectra: Tensor) -> Tensor:
            if nothing:
                return spectra
            spectra, report = enforce(guarantees, spectra, picture.itself(region), factor, grid)
            tell(report)
            return spectra

        yield from reconstructor.tiled.pieces(picture.read, layout, **options, keep=keep)
        return
    with contextlib.closing(reconstructor.pieces(picture.read, layout, **options)) as pieces:
        for region, spectra in pieces:
            if not nothing:
                cube, itself = make_cube(spectra, grid), picture.itself(region)
                cube, report = guarantees.enforce(cube, itself, factor, in_place=True)
                tell(report)
                spectra = cube.values
                del cube
            yield region, spectra
            del spectra


def recover_on_device(
    reconstructor: Reconstructor, picture: xr.DataArray, layout: Layout, kept: frozenset[str]
) -> xr.DataArray:
    """The cube of a picture of linear values in memory, whose pieces are finished on the device."""
    reports: list[Report] = []
    seen = SeenPicture.in_memory(reconstructor, picture)
    pieces = kept_pieces(reconstructor, seen, layout, kept=kept, tell=reports.append)
    spectra = gathered(pieces, layout)
    facts: dict[str, Any] = {**reconstructor.cube_facts(layout)}
    facts |= reconstructor.guarantees.facts(sum(int(r.unreachable.sum()) for r in reports))
    return make_cube(spectra, reconstructor.contract.wavelengths_nm, **facts)
