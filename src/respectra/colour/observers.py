"""Standard observers and illuminants, sampled at any wavelengths.

The tables are colour-science's, which reproduces those of CIE 015. Its import is slow, so what
every photograph needs is in the package (``scripts/write_cie_tables.py``): the observers, D65, and
the names of all lights. The import happens with the first other light.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt

from respectra.errors import DataError, unknown_name
from respectra.typing import FloatArray
from respectra.wavelengths import check_wavelengths

#: ``cie1931`` (2 degrees) and ``cie1964`` (10 degrees).
OBSERVERS = ("cie1931", "cie1964")
_TABLES = Path(__file__).parent / "data" / "cie.npz"
#: The illuminant whose table is in the package.
_KEPT = "D65"


def colour_matching(observer: str, wavelengths_nm: npt.ArrayLike) -> FloatArray:
    """Colour-matching functions x̄, ȳ, z̄ of a standard observer.

    Interpolated linearly in the 1 nm table (360 to 830 nm), so exact at whole nanometres; zero
    outside it, where nobody sees anything.

    Args:
        observer: ``cie1931`` (2°) or ``cie1964`` (10°).
        wavelengths_nm: shape (band,), nm, ascending.

    Returns:
        float64, shape (band, 3).

    Raises:
        ConfigError: unknown observer.
        DataError: the wavelengths are not ascending positive numbers.

    Example:
        >>> colour_matching("cie1931", [450, 550, 650]).shape
        (3, 3)
    """
    if observer not in OBSERVERS:
        raise unknown_name("observer", observer, OBSERVERS)
    grid = check_wavelengths(wavelengths_nm)
    table_nm, table = _kept_table(observer)
    columns = [np.interp(grid, table_nm, column, left=0.0, right=0.0) for column in table.T]
    return np.stack(columns, axis=1)


def illuminant(name: str, wavelengths_nm: npt.ArrayLike) -> FloatArray:
    """Relative spectral power of an illuminant, as published (100 at 560 nm for A, D and E).

    Interpolated linearly, which is what CIE 015 prescribes for D65.

    Args:
        name: one of ``respectra.list_illuminants()``; upper or lower case.
        wavelengths_nm: shape (band,), nm, ascending.

    Returns:
        float64, shape (band,).

    Raises:
        ConfigError: unknown illuminant.
        DataError: a wavelength lies outside the published table.

    Example:
        >>> illuminant("D65", [560]).tolist()
        [100.0]
    """
    grid = check_wavelengths(wavelengths_nm)
    if name.lower() == "e":
        return np.full(grid.size, 100.0)
    names = {known.lower(): known for known in tabulated_illuminants()}
    if name.lower() not in names:
        raise unknown_name("illuminant", name, names)
    table_nm, table = _illuminant_table(names[name.lower()])
    if grid[0] < table_nm[0] or grid[-1] > table_nm[-1]:
        raise DataError(
            f"illuminant {name} is known from {table_nm[0]:g} to {table_nm[-1]:g} nm, "
            f"not from {grid[0]:g} to {grid[-1]:g} nm; leave out the bands outside"
        )
    return np.interp(grid, table_nm, table)


@functools.cache
def tabulated_illuminants() -> tuple[str, ...]:
    """Names of the tables: the CIE's A, B, C, D, E, FL, HP, LED, ID series and ISO 7589's."""
    with np.load(_TABLES) as tables:
        return tuple(str(name) for name in tables["illuminants"])


def illuminant_table(name: str) -> tuple[FloatArray, FloatArray]:
    """Wavelengths in nm and relative power of an illuminant as published, each of shape (n,)."""
    return _illuminant_table(name)


@functools.cache
def _kept_table(name: str) -> tuple[FloatArray, FloatArray]:
    """A table that is in the package."""
    with np.load(_TABLES) as tables:
        return tables[f"{name}_nm"], tables[name]


@functools.cache
def _illuminant_table(name: str) -> tuple[FloatArray, FloatArray]:
    if name == _KEPT:
        return _kept_table(name)
    import colour

    table = colour.SDS_ILLUMINANTS[name]
    return np.array(table.wavelengths, np.float64), np.array(table.values, np.float64)
