"""Scores of a truth and an estimate on dask's chunks, as reductions of one graph."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes import require_cube
from respectra.errors import ConfigError, DataError
from respectra.evaluation.metrics.registry import MetricSettings, ScenePair, get_metric

#: Metrics that are means over pixels.
_MEANS = ("mrae", "sam", "back_projection_mrae", "delta_e_2000")
#: Metrics that follow from the mean of the squared error.
_SQUARES = ("rmse", "psnr")


def score_lazily(
    truth: xr.DataArray,
    estimate: xr.DataArray,
    settings: MetricSettings | None = None,
    names: Sequence[str] = ("mrae", "rmse"),
) -> xr.DataArray:
    """As ``score``, for cubes on dask's chunks: nothing is computed until it is asked for.

    Args:
        truth: dims (y, x, wavelength), on chunks.
        estimate: of the same shape and bands; it is cut as the truth is.
        settings: floor, response, wavelengths and so on.
        names: of mrae, rmse, psnr, sam, back_projection_mrae and delta_e_2000; quantiles and what
            looks at neighbours need the cubes in memory.

    Returns:
        dims (metric,), float64, on dask.

    Raises:
        DataError: they are no cubes of one shape, or not on chunks.
        ConfigError: a metric that is not the sum of its pixels' shares, or lacks something; zeros
            left out of MRAE, which is then no mean over all pixels.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> truth = rs.make_cube(np.full((4, 4, 2), 0.5), [450, 550]).chunk(y=2, x=2)
        >>> score_lazily(truth, 1.5 * truth, names=["mrae"]).compute().values.tolist()
        [0.5]
    """
    import dask.array as da

    chosen = settings or MetricSettings()
    known = (*_MEANS, *_SQUARES)
    for name in names:
        if name not in known:
            raise ConfigError(f"{name!r} is not computed by chunks; choose of {', '.join(known)}")
    if chosen.on_zero == "exclude":
        raise ConfigError("zeros that are left out need the cubes in memory; give a floor instead")
    one, other = require_cube(truth), require_cube(estimate)
    if one.shape != other.shape or not np.allclose(one["wavelength"], other["wavelength"]):
        raise DataError(f"the cubes differ in shape or bands: {one.shape} and {other.shape}")
    if one.chunks is None:
        raise DataError("the truth is not on chunks; cut it: cube.chunk(y=256, x=256)")
    chosen = _with_wavelengths(chosen, one)
    _require_all(chosen, names, one)
    first = one.data.rechunk({2: -1})
    second = da.asarray(other.data).rechunk(first.chunks)
    sums = da.map_blocks(
        _sums,
        first,
        second,
        dtype=np.float64,
        chunks=((1,) * first.numblocks[0], (1,) * first.numblocks[1], (len(names),)),
        meta=np.empty((0, 0, 0), np.float64),
        settings=chosen,
        names=tuple(names),
        pixels=math.prod(one.shape[:2]),
    )
    scores = sums.sum(axis=(0, 1)).map_blocks(
        _finished, dtype=np.float64, settings=chosen, names=tuple(names)
    )
    return xr.DataArray(scores, dims=("metric",), coords={"metric": list(names)}, name="scores")


def _with_wavelengths(settings: MetricSettings, cube: xr.DataArray) -> MetricSettings:
    """Settings that know of the bands and the light, which the arrays of chunks do not carry."""
    rendering = settings.rendering
    if rendering.wavelengths_nm is None:
        grid = tuple(float(nm) for nm in cube["wavelength"].values)
        rendering = dataclasses.replace(rendering, wavelengths_nm=grid)
    if rendering.illuminant is None:
        light = "D65" if cube.attrs.get("quantity") == "reflectance" else "E"
        rendering = dataclasses.replace(rendering, illuminant=light)
    return dataclasses.replace(settings, rendering=rendering)


def _require_all(settings: MetricSettings, names: Sequence[str], cube: xr.DataArray) -> None:
    corner = cube[:1, :1].copy(data=np.ones((1, 1, cube.shape[2]), np.float32))
    scene = ScenePair(corner, corner, settings)
    for name in names:
        lacks = get_metric(name).missing(scene)
        if lacks:
            raise ConfigError(f"metric {name!r} needs {lacks}; give it in the settings")


def _sums(
    truth: npt.NDArray[Any],
    estimate: npt.NDArray[Any],
    settings: MetricSettings,
    names: tuple[str, ...],
    pixels: int,
) -> npt.NDArray[np.float64]:
    """Each metric's share of a part, shape (1, 1, metric)."""
    scene = ScenePair(truth, estimate, settings)
    share = truth.shape[0] * truth.shape[1] / pixels
    found = []
    for name in names:
        square = name in _SQUARES
        value = get_metric("rmse" if square else name).compute(scene)
        found.append(share * (value**2 if square else value))
    return np.asarray(found, np.float64).reshape(1, 1, -1)


def _finished(
    shares: npt.NDArray[np.float64], settings: MetricSettings, names: tuple[str, ...]
) -> npt.NDArray[np.float64]:
    found = shares.copy()
    for place, name in enumerate(names):
        if name == "rmse":
            found[place] = math.sqrt(shares[place])
        elif name == "psnr":
            peak = settings.data_range**2
            error = float(shares[place])
            found[place] = 10 * math.log10(peak / error) if error > 0 else math.inf
    return found
