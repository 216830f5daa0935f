"""What attributes say of the values of NetCDF, HDF5 and Zarr: scales, missing values, limits.

The conventions are those of CF ("Packed data", "Missing data, valid and actual range of data") and
of the NetCDF User's Guide. xarray applies scales and missing values; limits are applied here, and
what cannot be applied is said instead of making every value wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from xarray.core import indexing

from respectra.cubes.model import LazyArray

#: Where ``decoded`` leaves what is wrong with a variable; whoever reads it refuses.
PROBLEM = "respectra_problem"
_SCALES = ("scale_factor", "add_offset")
_MISSING = ("missing_value", "_FillValue")
_LIMITS = ("valid_min", "valid_max", "valid_range")
_APPLIED = (*_SCALES, *_MISSING, *_LIMITS)


def decoded(variables: Mapping[str, xr.Variable]) -> xr.Dataset:
    """A dataset of variables as stored: missing values, limits and scales applied, nothing read."""
    values, _, _ = xr.conventions.decode_cf_variables(
        {name: _prepared(variable) for name, variable in variables.items()},
        {},
        decode_times=False,
        decode_coords=False,
    )
    coordinates = [name for name, value in values.items() if value.dims == (name,)]
    return xr.Dataset(
        {name: value for name, value in values.items() if name not in coordinates},
        coords=xr.Coordinates({name: values[name] for name in coordinates}, indexes={}),
    )


def _prepared(variable: xr.Variable) -> xr.Variable:
    """A variable as stored, with attributes that can be applied, and values within its limits."""
    if variable.dtype.kind not in "fiu":
        return variable
    attrs = {name: _number(name, value) for name, value in variable.attrs.items()}
    attrs = {name: value for name, value in attrs.items() if value is not None}
    data: Any = variable._data
    if problem := _problem(attrs):
        attrs = {name: value for name, value in attrs.items() if name not in _APPLIED}
        attrs[PROBLEM] = problem
    elif (limits := _limits(attrs, variable.dtype)) is not None:
        data = _within(data, *limits)
    attrs = {name: value for name, value in attrs.items() if name not in _LIMITS}
    return xr.Variable(variable.dims, data, attrs, variable.encoding)


def _number(name: str, value: Any) -> Any:
    """An attribute, one number where many writers have an array of one, or a text."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(())[()]
    if name in _APPLIED and isinstance(value, str):
        try:
            return float(value)
        except ValueError:  # other text says nothing
            return None
    return value


def _problem(attrs: Mapping[str, Any]) -> str:
    """Why its scale cannot be applied; empty if it can."""
    for name in _SCALES:
        value = attrs.get(name)
        if value is None:
            continue
        if not isinstance(value, int | float | np.number | np.ndarray | list):
            return f"has a {name} that is no number: {str(value)[:40]}"
        if np.size(value) != 1:
            return f"has {np.size(value)} values of {name}, which is one number"
        if not np.isfinite(value) or (name == "scale_factor" and value == 0):
            return f"has the {name} {value:g}, with which no value is left"
    return ""


def _limits(attrs: Mapping[str, Any], dtype: np.dtype[Any]) -> tuple[float, float] | None:
    """The least and the largest value as stored that means something; None without limits."""
    low, high = attrs.get("valid_min"), attrs.get("valid_max")
    both = np.ravel(attrs.get("valid_range", ()))
    if both.size == 2:
        low, high = both
    kinds = {np.asarray(limit).dtype.kind for limit in (low, high) if limit is not None}
    if not kinds or not kinds <= set("fiu") or "_Unsigned" in attrs:
        return None
    least = -np.inf if low is None else float(low)
    most = np.inf if high is None else float(high)
    if dtype.kind in "iu" and "f" in kinds:  # limits of a wider type are those of unpacked values
        scale, offset = float(attrs.get("scale_factor", 1)), float(attrs.get("add_offset", 0))
        ends = (least - offset) / scale, (most - offset) / scale
        least, most = min(ends), max(ends)
    return (least, most) if least <= most else None


def _within(data: Any, low: float, high: float) -> indexing.LazilyIndexedArray:
    """An array whose values outside limits are missing."""
    small = data.dtype.itemsize <= (4 if data.dtype.kind == "f" else 2)
    dtype = np.dtype(np.float32 if small else np.float64)

    def read(key: tuple[Any, ...]) -> npt.NDArray[Any]:
        found = data[indexing.BasicIndexer(key)]
        found = np.asarray(found.get_duck_array() if hasattr(found, "get_duck_array") else found)
        values = found.astype(dtype)
        values[(found < low) | (found > high)] = np.nan
        return values

    return indexing.LazilyIndexedArray(LazyArray(data.shape, dtype, read))
