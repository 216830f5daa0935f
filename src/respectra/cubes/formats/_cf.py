"""What attributes say of the values of NetCDF, HDF5 and Zarr: scales, missing values, limits.

The conventions are those of CF ("Packed data", "Missing data, valid and actual range of data") and
of the NetCDF User's Guide. xarray applies scales and missing values; limits are applied here, and
what cannot be applied is said instead of making every value wrong.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

#: Where ``decoded`` leaves what is wrong with a variable; whoever reads it refuses.
PROBLEM = "respectra_problem"
_SCALES = ("scale_factor", "add_offset")
_MISSING = ("missing_value", "_FillValue")
_LIMITS = ("valid_min", "valid_max", "valid_range")


class _Within(BackendArray):
    """An array whose values outside limits are missing."""

    def __init__(self, data: Any, low: float, high: float) -> None:
        self._data, self._low, self._high = data, low, high
        small = data.dtype.itemsize <= (4 if data.dtype.kind == "f" else 2)
        self.shape, self.dtype = data.shape, np.dtype(np.float32 if small else np.float64)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> Any:
        found = self._data[indexing.BasicIndexer(key)]
        found = np.asarray(found.get_duck_array() if hasattr(found, "get_duck_array") else found)
        outside = (found < self._low) | (found > self._high)
        values = found.astype(self.dtype)
        values[outside] = np.nan
        return values


def prepared(variable: xr.Variable) -> xr.Variable:
    """A variable as stored, with attributes that can be applied, and values within its limits."""
    if variable.dtype.kind not in "fiu":
        return variable
    attrs = {
        name: value.reshape(())[()] if isinstance(value, np.ndarray) and value.size == 1 else value
        for name, value in variable.attrs.items()
    }
    for name in (*_SCALES, *_MISSING, *_LIMITS):
        text = attrs.get(name)
        if isinstance(text, str):  # a number as text; other text says nothing
            del attrs[name]
            number = _number(text)
            if number is not None:
                attrs[name] = number
    problem = _problem(attrs)
    if problem:
        attrs = {k: v for k, v in attrs.items() if k not in (*_SCALES, *_MISSING, *_LIMITS)}
        return xr.Variable(
            variable.dims, variable._data, {**attrs, PROBLEM: problem}, variable.encoding
        )
    limits = _limits(attrs, variable.dtype)
    attrs = {name: value for name, value in attrs.items() if name not in _LIMITS}
    data: Any = variable._data
    if limits is not None:
        data = indexing.LazilyIndexedArray(_Within(data, *limits))
    return xr.Variable(variable.dims, data, attrs, variable.encoding)


def _number(text: str) -> float | None:
    with contextlib.suppress(ValueError):
        return float(text)
    return None


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
