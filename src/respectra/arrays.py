"""Labelled arrays of values that are known to be NumPy's.

xarray asks of every array whether it is one of dask, which imports dask to find out: half a second
of every command. What is wrapped here already is what xarray would make of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["labelled_array", "with_values"]


def labelled_array(
    values: npt.NDArray[Any],
    dims: Sequence[str],
    *,
    wavelengths_nm: npt.NDArray[np.floating] | None = None,
    channels: Sequence[str] = (),
    attrs: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> xr.DataArray:
    """An array with its dimensions and coordinates named, without a copy.

    Args:
        values: one dimension for each of ``dims``.
        dims: names of the dimensions.
        wavelengths_nm: the coordinate of the dimension ``wavelength``, nm.
        channels: the coordinate of the dimension ``channel``.
        attrs: facts that go along.
        name: of the array.

    Raises:
        ValueError: there is not one dimension a name, or a coordinate has another length.
    """
    import pandas as pd
    import xarray as xr

    labels: dict[str, tuple[npt.NDArray[Any], dict[str, str]]] = {}
    if wavelengths_nm is not None:
        labels["wavelength"] = np.asarray(wavelengths_nm), {"units": "nm"}
    if channels:
        labels["channel"] = np.asarray(channels), {}
    indexes, variables = {}, {}
    for dim, (of_dim, more) in labels.items():
        # An index of pandas is believed to be one; of an array xarray would ask dask.
        index = xr.indexes.PandasIndex(pd.Index(of_dim), dim, coord_dtype=of_dim.dtype)
        said = xr.Variable((dim,), of_dim, more, fastpath=True)
        indexes[dim], variables[dim] = index, index.create_variables({dim: said})[dim]
    return xr.DataArray(
        xr.Variable(tuple(dims), values, fastpath=True),
        coords=xr.Coordinates(variables, indexes),
        dims=tuple(dims),
        attrs=dict(attrs or {}),
        name=name,
    )


def with_values(array: xr.DataArray, values: npt.NDArray[Any]) -> xr.DataArray:
    """The array with other values of its shape; labels and attributes stay."""
    import xarray as xr

    return array.copy(data=xr.Variable(array.dims, values, fastpath=True))
