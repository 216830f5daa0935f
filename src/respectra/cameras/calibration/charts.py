"""Colour charts: how their patches lie and what they reflect."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from respectra.cameras.response_prior import GRID_NM
from respectra.errors import ConfigError, FormatError, unknown_name
from respectra.typing import FloatArray
from respectra.wavelengths import check_wavelengths

#: Rows and columns of patches by the name of a chart.
_LAYOUTS = {"classic24": (4, 6), "passport": (4, 6), "sg140": (10, 14)}


@dataclass(frozen=True, eq=False)
class Chart:
    """A colour chart.

    Attributes:
        name: of the chart.
        rows, columns: of patches, in reading order.
        spectra: shape (rows x columns, band), reflectance from 400 to 700 nm in steps of 10.

    Example:
        >>> import numpy as np
        >>> Chart("greys", 1, 2, np.full((2, 31), 0.5)).columns
        2
    """

    name: str
    rows: int
    columns: int
    spectra: FloatArray


def open_chart(chart: str | os.PathLike[str], layout: str = "classic24") -> Chart:
    """A chart by name, or the spectra of one from a file.

    Args:
        chart: ``classic24`` or ``passport`` (the average of 30 charts by BabelColor, as
            colour-science has it), or a CSV file: a line for each patch in reading order (its name,
            then its reflectance), headed by the wavelengths in nm.
        layout: how the patches of a file lie: ``classic24``, ``passport`` or ``sg140``.

    Raises:
        ConfigError: an unknown chart, or ``sg140`` without a file: its spectra come with the chart.
        FormatError: a file that does not hold the spectra of such a chart.

    Example:
        >>> open_chart("classic24").spectra.shape
        (24, 31)
    """
    text = os.fspath(chart)
    if text in ("classic24", "passport"):
        import colour

        table = colour.SDS_COLOURCHECKERS["BabelColor Average"]
        spectra = [np.interp(GRID_NM, sd.wavelengths, sd.values) for sd in table.values()]
        return Chart(text, *_LAYOUTS[text], np.array(spectra))
    if text == "sg140":
        raise ConfigError(
            "the spectra of an SG chart come with it, and none are published under a licence that "
            "lets them ship; colours alone give no response. Give chart='FILE.csv' (--chart): a "
            "header patch,400,410,...,700 in nm and a line for each of the 140 patches in reading "
            "order, its name and its reflectances from 0 to 1"
        )
    if Path(text).suffix.lower() != ".csv":
        raise unknown_name("chart", text, [*_LAYOUTS, "FILE.csv"])
    return _read(Path(text), layout)


def _read(path: Path, layout: str) -> Chart:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = [line for line in csv.reader(file) if line]
        grid = check_wavelengths(np.array([float(v) for v in lines[0][1:]]))
        table = np.array([[float(v) for v in line[1:]] for line in lines[1:]])
    except OSError as error:
        raise FormatError(f"the chart {path} cannot be read: {error.strerror}") from None
    except (ValueError, IndexError, UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"the chart {path} is not a table of spectra: {error}") from None
    count = {24: "classic24", 140: "sg140"}.get(len(table), layout)
    rows, columns = _LAYOUTS[count]
    if table.shape != (rows * columns, grid.size):
        raise FormatError(f"the chart {path} holds {len(table)} spectra; 24 or 140 are needed")
    if not (np.isfinite(table).all() and table.min() >= 0 and table.max() <= 2):
        raise FormatError(f"the chart {path} holds values that are no reflectances, 0 to 1")
    if grid[0] > 420 or grid[-1] < 680:
        raise FormatError(f"the chart {path} covers {grid[0]:g} to {grid[-1]:g} nm; 420 to 680 is "
                          "the least")  # fmt: skip
    spectra = np.array([np.interp(GRID_NM, grid, line) for line in table])
    return Chart(path.stem, rows, columns, spectra)
