"""Cubes as coefficients and a basis, from methods that produce them that way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes import LowRankCube
from respectra.errors import ConfigError
from respectra.inference.predictors import Output, Predictor, TablePredictor, TorchPredictor
from respectra.methods.network import LowRankNetwork

if TYPE_CHECKING:
    from respectra.inference.reconstructor import Reconstructor

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Factors:
    """A method as coefficients of each pixel and the spectra that they weigh."""

    output: Output | Predictor
    """What gives the coefficients: a method of the network, or a function of pixels as the contract
    prepares them, (y, x, 3) -> (y, x, component)."""
    basis: FloatArray
    """Shape (component, band)."""
    mean: FloatArray | None
    """Shape (band,): what is added to the weighted sum."""
    clip: tuple[float | None, float | None]
    """Of the sum."""

    def expand(self, coefficients: FloatArray) -> FloatArray:
        """Spectra (..., band) of coefficients (..., component)."""
        spectra = coefficients.astype(np.float32, copy=False) @ self.basis
        if self.mean is not None:
            spectra += self.mean
        return spectra if self.clip == (None, None) else np.clip(spectra, *self.clip)


def factorise(
    reconstructor: Reconstructor, *, rank: int | None = None, tolerance: float = 0.01
) -> Factors:
    """What makes coefficients of a picture, and the basis that they are weights of.

    Args and errors: see :func:`_factorise`, whose factors these are, in the scale of the cube.
    """
    factors = _factorise(reconstructor, rank=rank, tolerance=tolerance)
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
    return Factors(factors.output, factors.basis * by_band, mean, factors.clip)


def _factorise(
    reconstructor: Reconstructor, *, rank: int | None = None, tolerance: float = 0.01
) -> Factors:
    """Factors in the scale of the method.

    * A table: the leading spectra of its nodes.
    * A network of coefficients and basis (``staffs-cvl``): its own.
    * A method affine in R, G, B (``pca``, ``wiener``, ``pseudo-inverse``): the pixel itself.

    Args:
        reconstructor: without guarantees, which change the spectra of single pixels, and without
            self-ensemble.
        rank: coefficients a pixel of a table; by default the least that keeps to ``tolerance``.
        tolerance: see :meth:`respectra.inference.tables.Table.basis`.

    Raises:
        ConfigError: the method gives no weights on a basis, or guarantees or a self-ensemble are
            asked for.
    """
    if reconstructor.needs_whole:
        raise ConfigError(
            "guarantees, references and self-ensembles change single spectra, which a low-rank "
            "cube cannot carry; leave them out, or recover the whole cube"
        )
    contract = reconstructor.contract
    clip = (contract.clip_low, contract.clip_high)
    predictor = reconstructor.predictor
    if isinstance(predictor, TablePredictor):
        table = predictor.table
        basis = table.basis(rank, tolerance=tolerance)
        clip = (table.facts.clip_low, table.facts.clip_high)
        return Factors(lambda pixels: table.coefficients(pixels, basis), basis, None, clip)
    if isinstance(predictor, TorchPredictor) and isinstance(predictor.network, LowRankNetwork):
        basis = predictor.network.basis.detach().float().cpu().numpy()
        return Factors("coefficients", basis, None, clip)
    basis, mean = _affine(predictor, reconstructor.name)
    return Factors(lambda pixels: np.ascontiguousarray(pixels), basis, mean, clip)


def recover_low_rank(
    reconstructor: Reconstructor,
    image: xr.DataArray,
    *,
    rank: int | None = None,
    tolerance: float = 0.01,
) -> LowRankCube:
    """The cube behind an image, as coefficients and a basis; see :func:`factorise`.

    Args:
        reconstructor: see :func:`factorise`.
        image: as for the reconstructor.
        rank: see :func:`factorise`.
        tolerance: see :func:`factorise`.

    Raises:
        ConfigError: as :func:`factorise`.
        DataError: as the reconstructor.
    """
    factors = factorise(reconstructor, rank=rank, tolerance=tolerance)
    contract = reconstructor.contract
    coefficients, layout = reconstructor.coefficients(image, output=factors.output)
    facts: dict[str, Any] = {**reconstructor.cube_facts(layout)}
    return LowRankCube(
        coefficients,
        factors.basis,
        contract.wavelengths_nm,
        mean=factors.mean,
        clip=factors.clip,
        attrs=facts,
    )


def _affine(predictor: Predictor, name: str) -> tuple[FloatArray, FloatArray]:
    """Matrix (3, bands) and offset of a method that has no more to it.

    Raises:
        ConfigError: it has more to it.
    """
    if not isinstance(predictor, TorchPredictor):
        probes = np.random.default_rng(0).random((1, 60, 3), dtype=np.float32)
        corners = np.concatenate([np.zeros((1, 3)), np.eye(3)]).astype(np.float32)
        found = predictor(corners[None])[0]
        offset, matrix = found[0], found[1:] - found[0]
        expected = predictor(probes)[0]
        if np.allclose(probes[0] @ matrix + offset, expected, atol=1e-5 * np.abs(expected).max()):
            return matrix, offset
    raise ConfigError(
        f"{name} gives spectra, not weights on a basis; bake it into a table "
        "(respectra bake), which gives both"
    )
