"""What a cube file holds, without reading its values."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from respectra.cubes.formats import CubeFormat, Stored
from respectra.cubes.formats.base import encode_attrs
from respectra.cubes.io import cube_copy, peek_cube
from respectra.cubes.model import describe_wavelengths
from respectra.urls import Place, Url, parse_place

__all__ = ["describe_wavelengths", "inspect"]


def inspect(
    path: str | os.PathLike[str] | Url, *, key: str | None = None, axes: str | None = None
) -> dict[str, Any]:
    """Facts about a cube file, as plain data for JSON; of any size, for no value is read.

    Args:
        path: the file or folder, or its URL; of a Zarr store elsewhere, what describes it is
            fetched, any other file whole.
        key: name of the variable, where a file holds several.
        axes: as for ``open_cube``.

    Returns:
        ``path``, ``format``, ``shape`` (y, x, band), ``stored_type``, ``stored_bytes``,
        ``memory_bytes`` (as float32), ``wavelengths_nm`` (in the order of the file; None when it
        does not say), ``attributes``, and ``details`` that depend on the format; among them
        ``wavelength_problem`` where those that the file states cannot be used. A number that JSON
        does not know is None.

    Raises:
        FormatError: missing, empty, damaged, or not what its suffix says.
        DataError: the values are not real numbers.

    Example:
        >>> import respectra as rs
        >>> rs.save_cube(rs.make_cube([[[0.2, 0.4]]], [450, 550]), "small.nc")
        >>> facts = rs.cubes.inspect("small.nc")
        >>> facts["format"], facts["shape"], facts["wavelengths_nm"]
        ('netcdf', [1, 1, 2], [450.0, 550.0])
    """
    place = parse_place(path)
    entry, stored = _peek(place, key, axes)
    grid = stored.wavelengths_nm
    problem = {"wavelength_problem": stored.wavelength_problem} if stored.wavelength_problem else {}
    facts = {
        "path": str(place),
        "format": entry.name,
        "shape": stored.shape,
        "stored_type": str(stored.dtype),
        "stored_bytes": stored.stored_bytes,
        "memory_bytes": math.prod(stored.shape) * 4,
        "wavelengths_nm": grid if grid is None else np.asarray(grid, np.float64),
        "attributes": dict(stored.attrs),
        "details": {**stored.details, **problem},
    }
    # JSON knows neither NaN nor infinity.
    plain: dict[str, Any] = json.loads(encode_attrs(facts), parse_constant=lambda _: None)
    return plain


def _peek(place: Place, key: str | None, axes: str | None) -> tuple[CubeFormat, Stored]:
    if isinstance(place, Path):
        return peek_cube(place, key, axes)
    if place.suffix.lower() == ".zarr":
        from respectra.cubes.remote import peek_url

        return peek_url(str(place), key, axes)
    with cube_copy(place) as copy:
        return peek_cube(copy, key, axes)
