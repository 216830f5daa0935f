"""Standard observers and illuminants, and what an observer or a display makes of a spectrum.

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
from respectra.wavelengths import band_widths, check_wavelengths

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
    table_nm, table = illuminant_table(names[name.lower()])
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


@functools.cache
def _kept_table(name: str) -> tuple[FloatArray, FloatArray]:
    """A table that is in the package."""
    with np.load(_TABLES) as tables:
        return tables[f"{name}_nm"], tables[name]


@functools.cache
def illuminant_table(name: str) -> tuple[FloatArray, FloatArray]:
    """Wavelengths in nm and relative power of an illuminant as published, each of shape (n,)."""
    if name == _KEPT:
        return _kept_table(name)
    import colour

    table = colour.SDS_ILLUMINANTS[name]
    return np.array(table.wavelengths, np.float64), np.array(table.values, np.float64)


#: XYZ to linear sRGB (IEC 61966-2-1), the white of its displays, x = 0.3127 and y = 0.329, and
#: Bradford's cone responses.
_XYZ_TO_SRGB = np.array(
    [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]
)
_DISPLAY_WHITE = np.array([0.3127 / 0.3290, 1.0, (1.0 - 0.3127 - 0.3290) / 0.3290])
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)

#: The range that a display shows: all common illuminants are tabulated in it.
VISIBLE_NM = (380.0, 780.0)


def xyz_weights(
    power: npt.ArrayLike, wavelengths_nm: npt.ArrayLike, *, observer: str = "cie1931"
) -> FloatArray:
    """Weights that turn reflectance under a light into XYZ, white's Y = 1; shape (band, 3).

    Args:
        power: shape (band,), the light in the bands.
        wavelengths_nm: shape (band,), nm.
        observer: ``cie1931`` or ``cie1964``.

    Raises:
        DataError: nothing of the light is visible in these bands.

    Example:
        >>> import numpy as np
        >>> grid = np.arange(400, 701, 10)
        >>> float(xyz_weights(np.ones(31), grid)[:, 1].sum().round(6))  # a perfect white's Y
        1.0
    """
    grid = check_wavelengths(wavelengths_nm)
    light = np.asarray(power, np.float64)
    matching = band_matching(observer, grid)
    brightness = float(light @ matching[:, 1])
    if not brightness > 0:
        raise DataError(
            f"nothing is visible: the bands lie from {grid[0]:g} to {grid[-1]:g} nm, sight from "
            f"{VISIBLE_NM[0]:g} to {VISIBLE_NM[1]:g} nm"
        )
    return matching * light[:, None] / brightness


def band_matching(observer: str, wavelengths_nm: npt.ArrayLike) -> FloatArray:
    """Colour-matching functions times the width of each band in nm, shape (band, 3)."""
    grid = check_wavelengths(wavelengths_nm)
    return colour_matching(observer, grid) * band_widths(grid)[:, None]


def srgb_matrix(
    power: npt.ArrayLike,
    wavelengths_nm: npt.ArrayLike,
    *,
    observer: str = "cie1931",
    present: npt.ArrayLike | None = None,
    adapt: bool = True,
) -> FloatArray:
    """From a spectrum to linear sRGB, shape (band, 3); a perfect white under the light gives 1.

    Args:
        power: shape (band,), the light to show the scene under.
        wavelengths_nm: shape (band,), nm.
        observer: ``cie1931`` or ``cie1964``.
        present: shape (band,), the light that is in the spectra already and is divided out; None
            for reflectance.
        adapt: let the eye adapt to the light (Bradford), so that its white is the display's;
            otherwise the eye stays adapted to D65.

    Raises:
        DataError: nothing of the light is visible in these bands.

    Example:
        >>> import numpy as np
        >>> grid = np.arange(400, 701, 10)
        >>> (np.ones(31) @ srgb_matrix(np.ones(31), grid)).round(2).tolist()
        [1.0, 1.0, 1.0]
    """
    weights = xyz_weights(power, wavelengths_nm, observer=observer)
    white = weights.sum(axis=0)
    if present is not None:
        there = np.asarray(present, np.float64)
        weights = weights / np.maximum(there, 1e-3 * there.max())[:, None]
    adaptation = bradford(white if adapt else _DISPLAY_WHITE, _DISPLAY_WHITE)
    return np.asarray(weights @ (_XYZ_TO_SRGB @ adaptation).T, np.float64)


def bradford(white: FloatArray, target: FloatArray) -> FloatArray:
    """The matrix that adapts XYZ from one white to another (Lam 1985)."""
    gains = np.diag((_BRADFORD @ target) / (_BRADFORD @ white))
    return np.asarray(np.linalg.inv(_BRADFORD) @ gains @ _BRADFORD)
