"""Pieces of a picture with the guarantees kept, wherever the method's answers lie."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from respectra.cubes import make_cube
from respectra.inference.backends.base import bits_of
from respectra.inference.guarantees import Report
from respectra.inference.tiling import Layout, Pieces, Reader, Region, gathered

if TYPE_CHECKING:
    from torch import Tensor

    from respectra.inference.reconstructor import Reconstructor

__all__ = ["keeps_on_device", "kept_pieces", "recover_on_device"]


def keeps_on_device(reconstructor: Reconstructor, layout: Layout) -> bool:
    """Whether a method's answers are finished where they are made, and copied here once.

    Those of a self-ensemble are put together here; consistency with a noisy camera looks across
    the borders of pieces, which are put together here too.
    """
    here = reconstructor.self_ensemble != "none" or not reconstructor.backend.on_device
    return not here and (reconstructor.guarantees.by_pixels or layout.whole)


def kept_pieces(
    reconstructor: Reconstructor,
    read: Reader,
    layout: Layout,
    *,
    seen: Callable[[Region], xr.DataArray],
    factor: float,
    kept: frozenset[str],
    tell: Callable[[Report], None] | None = None,
    **options: Any,
) -> Pieces:
    """Spectra of a picture piece by piece, with the guarantees kept.

    Args:
        reconstructor: the method.
        read: gives what the method sees of rows and columns.
        layout: how the picture is cut.
        seen: gives the picture itself in a region that was read last.
        factor: see ``Guarantees.scale``.
        kept: what the method keeps by itself; see ``Backend.kept_guarantees``.
        tell: told what keeping the guarantees meant for a piece, before that piece is given;
            not where there was nothing to do.
        options: see ``TiledInference.pieces``.

    Yields:
        Rows and columns, and spectra (y, x, band).
    """
    guarantees, grid = reconstructor.guarantees, reconstructor.contract.wavelengths_nm
    nothing = guarantees.kept_by(kept)
    if keeps_on_device(reconstructor, layout):
        from respectra.inference.on_device.guarantees import enforce

        def keep(region: Region, spectra: Tensor) -> Tensor:
            if nothing:
                return spectra
            spectra, report = enforce(guarantees, spectra, seen(region), factor, grid)
            if tell is not None:
                tell(report)
            return spectra

        yield from reconstructor.tiled.pieces(read, layout, **options, keep=keep)
        return
    with contextlib.closing(reconstructor.pieces(read, layout, **options)) as pieces:
        for region, spectra in pieces:
            if not nothing:
                cube = make_cube(spectra, grid)
                cube, report = guarantees.enforce(cube, seen(region), factor, in_place=True)
                if tell is not None:
                    tell(report)
                spectra = cube.values
                del cube
            yield region, spectra
            del spectra


def recover_on_device(
    reconstructor: Reconstructor,
    picture: xr.DataArray,
    scaled: xr.DataArray,
    factor: float,
    layout: Layout,
    kept: frozenset[str],
) -> xr.DataArray:
    """The cube of a picture in memory, whose pieces are finished on the device.

    Args:
        reconstructor: the method.
        picture: linear values.
        scaled: what ``Guarantees.scale`` made of it, and what the method sees.
        factor: as it gave.
        layout: how the picture is cut.
        kept: as for :func:`kept_pieces`.
    """
    rgb = np.asarray(scaled.values, np.float32)
    reports: list[Report] = []
    pieces = kept_pieces(
        reconstructor,
        lambda rows, columns: rgb[rows, columns],
        layout,
        seen=lambda region: picture[region],
        factor=factor,
        kept=kept,
        tell=reports.append,
        bounds=reconstructor.tiled.bounds_of(rgb),
        bits=bits_of(scaled),
    )
    spectra = gathered(pieces, layout)
    facts: dict[str, Any] = {**reconstructor.cube_facts(layout)}
    facts |= reconstructor.guarantees.facts(sum(int(r.unreachable.sum()) for r in reports))
    return make_cube(spectra, reconstructor.contract.wavelengths_nm, **facts)
