"""At which wavelengths the bands of a file are, however it says that."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from respectra.errors import FormatError
from respectra.wavelengths import (
    is_unit,
    nanometres_per,
    states_nothing,
    to_nanometres,
    unit_of_array,
)

#: Names under which files keep their wavelengths.
WAVELENGTH_NAMES = (
    "wavelengths_nm", "wavelengths", "wavelength", "bands", "band", "wl", "lambda",
    "wavelength_nm", "wl_nm", "lambda_nm", "wavelengths_um", "wavelength_um", "wl_um", "lambda_um",
)  # fmt: skip
_SPELLED = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s*\(?\s*([A-Za-zµμÅ]+)")
#: Units that are letters of other words as well.
_LETTERS = ("a", "m")


class Grid(TypedDict, total=False):
    """What ``Stored`` takes of wavelengths."""

    wavelengths_nm: npt.NDArray[np.float64]
    wavelength_problem: str


def stated_grid(values: object, unit: object, bands: int, path: Path) -> Grid:
    """The wavelengths that a file states, in nm, or why they cannot be used.

    Args:
        values: as the file has them; None where it has none.
        unit: as the file states it; anything that is no text where it does not.
        bands: of the cube.
        path: the file, for messages.
    """
    grid = plausible_wavelengths(values, bands)
    if grid is None:
        return {}
    try:
        nm = to_nanometres(grid, unit if isinstance(unit, str) else None, where=str(path))
    except FormatError as error:
        return {"wavelength_problem": str(error)}
    return {"wavelengths_nm": nm}


def grid_beside(
    arrays: Mapping[str, npt.NDArray[Any]],
    texts: Mapping[str, str],
    bands: int,
    path: Path,
    units: Mapping[str, str] | None = None,
) -> Grid:
    """The wavelengths that lie as an array beside a cube.

    Args:
        arrays: by name in lower case.
        texts: short texts by name, which may state the unit.
        bands: of the cube.
        path: the file, for messages.
        units: what the arrays say of themselves, which goes before.
    """
    for name in WAVELENGTH_NAMES:
        values = arrays.get(name)
        if values is None or values.dtype.kind not in "fiuU":
            continue
        if plausible_wavelengths(values, bands) is not None:
            unit = (units or {}).get(name) or unit_of_array(name, texts)
            return stated_grid(values, unit, bands, path)
    return {}


def spelled_grid(names: Sequence[str], path: Path) -> Grid:
    """The wavelengths of names such as ``Band 3 (560.5 nm)`` or ``0.56 micrometers``.

    Args:
        names: of the bands; all of them must say it, in one unit.
        path: the file, for messages.
    """
    found = []
    for name in names:
        match = next((m for m in _SPELLED.finditer(str(name)) if is_unit(m[2])), None)
        if match is None or match[2].lower() in _LETTERS:
            return {}
        found.append((float(match[1]), match[2]))
    units = {unit for _, unit in found}
    if len(units) != 1:
        return {}
    return stated_grid([value for value, _ in found], units.pop(), len(found), path)


def plausible_wavelengths(values: object, bands: int) -> npt.NDArray[np.float64] | None:
    """A vector of one number a band; None for anything else, and for the band numbers 1, 2, ..."""
    if values is None:
        return None
    try:
        grid = np.asarray(values, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        return None
    if grid.size != bands or any(np.array_equal(grid, np.arange(bands) + k) for k in (0, 1)):
        return None
    return grid


def widths_nm(texts: Sequence[str], unit: str | None) -> list[float] | None:
    """Widths of bands in nm; None for what are none. Without a unit, small ones are micrometres."""
    widths, factor = numbers_in(texts), nanometres_per(unit)
    if widths and factor is None and states_nothing(unit):
        factor = 1.0 if max(widths) >= 0.5 else 1e3
    return [round(width * factor, 9) for width in widths] if widths and factor else None


def numbers_in(texts: Sequence[str]) -> list[float] | None:
    """Finite numbers; None where one is none."""
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None
