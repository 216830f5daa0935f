"""Cubes as coefficients and a basis, from methods that produce them that way."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from respectra.cubes import LowRankCube
from respectra.errors import ConfigError
from respectra.inference.backends.base import Factors, bits_of

if TYPE_CHECKING:
    from respectra.inference.reconstructor import Reconstructor


def factorise(
    reconstructor: Reconstructor, *, rank: int | None = None, tolerance: float = 0.01
) -> Factors:
    """What makes coefficients of a picture, and the basis that they are weights of.

    * A table: the leading spectra of its nodes.
    * A network of coefficients and basis (``staffs-cvl``): its own.
    * A method affine in R, G, B (``pca``, ``wiener``, ``pseudo-inverse``): the pixel itself.

    Args:
        reconstructor: without guarantees, which change the spectra of single pixels, and without
            self-ensemble.
        rank: coefficients a pixel of a table; by default the least that keeps to ``tolerance``.
        tolerance: see :meth:`respectra.inference.tables.Table.basis`.

    Returns:
        Factors in the scale of the cube.

    Raises:
        ConfigError: the method gives no weights on a basis, or guarantees or a self-ensemble are
            asked for.
    """
    if reconstructor.needs_whole:
        raise ConfigError(
            "guarantees, references and self-ensembles change single spectra, which a low-rank "
            "cube cannot carry; leave them out, or recover the whole cube"
        )
    factors = reconstructor.backend.factors(rank, tolerance)
    scale = reconstructor.contract.band_scale
    if scale is None:
        return factors
    if factors.clip[1] is not None or factors.clip[0] not in (None, 0.0):
        raise ConfigError(
            f"{reconstructor.name} clips its spectra at {factors.clip}, which a low-rank cube for "
            "a capture cannot carry; leave out --low-rank"
        )
    by_band = np.asarray(scale, np.float32)
    mean = None if factors.mean is None else factors.mean * by_band
    return dataclasses.replace(factors, basis=factors.basis * by_band, mean=mean)


def recover_low_rank(
    reconstructor: Reconstructor,
    image: xr.DataArray,
    *,
    rank: int | None = None,
    tolerance: float = 0.01,
) -> LowRankCube:
    """The cube behind an image, as coefficients and a basis.

    Arguments and errors are those of :func:`factorise` and of the reconstructor.
    """
    factors = factorise(reconstructor, rank=rank, tolerance=tolerance)
    picture = reconstructor.values_of(image)
    coefficients, layout = reconstructor.tiled.assemble(
        np.asarray(picture.values, np.float32), bits_of(picture), output=factors.output
    )
    facts: dict[str, Any] = {**reconstructor.cube_facts(layout)}
    return LowRankCube(
        coefficients,
        factors.basis,
        reconstructor.contract.wavelengths_nm,
        mean=factors.mean,
        clip=factors.clip,
        attrs=facts,
    )
