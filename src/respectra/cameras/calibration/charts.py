"""Colour charts: how their patches lie and what they reflect.

Spectra of the large chart (ColorChecker Digital SG) are published under no licence that lets them
ship; its colours are. Their spectra are then taken to be the smoothest that have these colours
under D50 (the least slope of the inverse hyperbolic tangent: S. A. Burns, Numerical methods for
smoothest reflectance reconstruction, Color Research and Application 45, 2020).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from respectra.cameras.references import read_spectral_table
from respectra.cameras.response_prior import GRID_NM, classic_spectra
from respectra.colour import open_light, resample_light, srgb_matrix, xyz_weights
from respectra.errors import FormatError, reading, unknown_name
from respectra.typing import FloatArray
from respectra.wavelengths import check_wavelengths

#: Rows and columns of patches by the name of a chart.
_LAYOUTS = {"classic24": (4, 6), "passport": (4, 6), "sg140": (10, 14)}
#: Error of a patch as a camera sees it: measured spectra; the smoothest ones of its colour, which
#: for the 24 patches and two cameras under four lights differ from the measured ones by 1 to 5 %.
_MEASURED, _SMOOTHEST = 0.02, 0.04
#: Colours of the charts as they are sold, as colour-science has them (BSD-3-Clause).
_SG_COLOURS = "ColorCheckerSG - After November 2014"
_MOST_STEPS = 60


@dataclass(frozen=True, eq=False)
class Chart:
    """A colour chart.

    Attributes:
        name: of the chart.
        rows, columns: of patches, in reading order.
        spectra: shape (rows x columns, band), reflectance on ``GRID_NM``.
        error: relative, of what a camera sees of a patch by these spectra.

    Example:
        >>> import numpy as np
        >>> Chart("greys", 1, 2, np.full((2, 31), 0.5)).columns
        2
    """

    name: str
    rows: int
    columns: int
    spectra: FloatArray
    error: float = _MEASURED


def open_chart(chart: str | os.PathLike[str]) -> Chart:
    """A chart by name, or the spectra of one from a file.

    Args:
        chart: ``classic24`` or ``passport`` (the average of 30 charts by BabelColor, as
            colour-science has it), ``sg140`` (the smoothest spectra of its published colours), or a
            CSV file: a line for each of 24 or 140 patches in reading order (its name, then its
            reflectance), headed by the wavelengths in nm.

    Raises:
        ConfigError: an unknown chart.
        FormatError: a file that does not hold the spectra of such a chart.

    Example:
        >>> open_chart("classic24").spectra.shape
        (24, 31)
    """
    text = os.fspath(chart)
    if text in ("classic24", "passport"):
        return Chart(text, *_LAYOUTS[text], classic_spectra())
    if text == "sg140":
        import colour

        table = colour.CCS_COLOURCHECKERS[_SG_COLOURS]
        colours = np.array([colour.xyY_to_XYZ(xyy) for xyy in table.data.values()])
        return Chart(text, *_LAYOUTS[text], smoothest_spectra(colours), _SMOOTHEST)
    if Path(text).suffix.lower() != ".csv":
        raise unknown_name("chart", text, [*_LAYOUTS, "FILE.csv"])
    return _read(Path(text))


def smoothest_spectra(colours: FloatArray) -> FloatArray:
    """The smoothest reflectances, shape (n, band), on ``GRID_NM``, of X, Y, Z under D50.

    The colours have shape (n, 3), for the 2° observer; white's Y is 1.
    """
    weights = xyz_weights(resample_light(open_light("D50"), GRID_NM), GRID_NM)
    bands = GRID_NM.size
    steps = np.diff(np.eye(bands), axis=0)
    rough = 2 * steps.T @ steps
    spectra = np.empty((len(colours), bands))
    for row, goal in zip(spectra, colours, strict=True):
        z, forces = np.zeros(bands), np.zeros(3)
        for _ in range(_MOST_STEPS):
            slope = (1 - np.tanh(z) ** 2) / 2
            pull, bent = weights * slope[:, None], weights * (-2 * np.tanh(z) * slope)[:, None]
            off = np.concatenate([rough @ z + pull @ forces, weights.T @ _reflected(z) - goal])
            matrix = np.zeros((bands + 3, bands + 3))
            matrix[:bands, :bands] = rough + np.diag(bent @ forces)
            matrix[:bands, bands:], matrix[bands:, :bands] = pull, pull.T
            move = np.linalg.solve(matrix, -off)
            z, forces = z + move[:bands], forces + move[bands:]
            if np.abs(off).max() < 1e-9:
                break
        row[:] = _reflected(z)
    return spectra


def colours_of(spectra: FloatArray) -> FloatArray:
    """Linear sRGB of surfaces under D65, shape (n, 3)."""
    power = resample_light(open_light("D65"), GRID_NM)
    return np.asarray(spectra @ srgb_matrix(power, GRID_NM))


def _reflected(z: FloatArray) -> FloatArray:
    return np.asarray((np.tanh(z) + 1) / 2)


def _read(path: Path) -> Chart:
    with reading(path, "a chart"):
        found = read_spectral_table(path, "a chart")
        table, grid = found.spectra, check_wavelengths(found.grid_nm)
        rows, columns = _LAYOUTS["sg140" if len(table) == 140 else "classic24"]
        if len(table) != rows * columns:
            raise FormatError(f"holds {len(table)} spectra; 24 or 140 are needed")
        if not (np.isfinite(table).all() and table.min() >= 0 and table.max() <= 2):
            raise FormatError("holds values that are no reflectances, 0 to 1")
        if grid[0] > 420 or grid[-1] < 680:
            raise FormatError(f"covers {grid[0]:g} to {grid[-1]:g} nm; 420 to 680 is the least")
    spectra = np.array([np.interp(GRID_NM, grid, line) for line in table])
    return Chart(path.stem, rows, columns, spectra)
