"""Measured lights from files: CSV and other text, NPZ, ``.sp`` (CGATS) and ``.spdx`` (TM-27)."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from respectra.errors import FormatError, no_file, reading
from respectra.guards.npy import read_npz
from respectra.guards.tables import read_table
from respectra.guards.text import read_text
from respectra.typing import FloatArray
from respectra.wavelengths import axis_of_archive, to_nanometres, unit_in_heading

Reader = Callable[[Path], tuple[FloatArray, FloatArray]]

_POWER_KEYS = ("power", "light", "spd", "illuminant", "values", "spectrum")
#: A file of a light holds some thousands of numbers; one beyond this is something else.
_MOST_BYTES = 8 * 2**20
#: Words and units of a heading that counts photons: photon flux, quanta, µmol m-2 s-1, PPFD.
_PHOTONS = re.compile(
    r"photons?(?!\s*energ)|quanta|quantum|einstein|\by?p?pfd\b"
    r"|(?<![a-z])(?:[mnuμ]|micro|milli|nano)?mol(?:es?)?(?![a-z])"
)


def open_light_file(path: str | os.PathLike[str]) -> tuple[FloatArray, FloatArray]:
    """Wavelengths in nm, ascending, and relative power from a file, each of shape (n,).

    * text (``.csv``, ``.txt``, ``.tsv``, ``.dat``, ``.spd``): one line a wavelength, with the power
      in the second column, as :func:`respectra.guards.tables.read_table` takes them: tabs,
      semicolons, commas or blanks between, decimal commas, comments. A header may state the unit:
      ``wavelength (um), power``.
    * NPZ: an array of wavelengths (``wavelengths``, ``wavelength_nm``, ...) and one of its shape;
      ``wavelength_units`` may state the unit.
    * ``.sp``: a spectrum in CGATS, as ArgyllCMS writes it.
    * ``.spdx``: IES TM-27.

    Where the heading, the array's name or TM-27's quantity says that photons were counted (photon
    flux, quanta, µmol m-2 s-1 nm-1, PPFD), they become power: a photon's energy is hc over its
    wavelength.

    Raises:
        FormatError: no such file, an unknown suffix, or contents that are not one spectrum.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("lamp.csv").write_text("wavelength,power\\n400,1\\n550,2\\n700,3\\n")
        >>> wavelengths_nm, power = open_light_file("lamp.csv")
        >>> power.tolist()
        [1.0, 2.0, 3.0]
    """
    file = Path(path)
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise FormatError(
            f"{file} is not a known kind of light file; use one of {', '.join(_READERS)}"
        )
    if not file.is_file():
        raise no_file(file)
    if file.stat().st_size > _MOST_BYTES:
        raise FormatError(f"{file} is too large to be a light ({file.stat().st_size} bytes)")
    with reading(file, "a light"):
        grid, power = reader(file)
    order = np.argsort(grid)
    grid, power = grid[order], power[order]
    if grid.size < 2 or not (np.diff(grid) > 0).all():
        raise FormatError(f"{file} states a wavelength twice, or fewer than two of them")
    return grid, power


def _read_text(file: Path) -> tuple[FloatArray, FloatArray]:
    lines = (line.strip() for line in read_text(file, _MOST_BYTES).splitlines())
    rows = [line for line in lines if line]
    if rows and rows[0].upper().startswith(("SPECT", "CGATS", "IES")):
        return _parse_cgats(rows)
    table = read_table(file)
    width = table.values.shape[1]
    if width != 2:
        raise FormatError(
            f"holds {width} columns; one light needs two, the wavelength and the relative power"
        )
    unit = unit_in_heading(table.names[0]) if table.names else None
    nm = to_nanometres(table.values[:, 0], unit, where=str(file))
    # A heading of more words than columns names none of them, but may say what was counted.
    above = next((n for n, row in enumerate(rows) if row[0] in "+-.0123456789"), 0)
    heading = table.names[1] if table.names else rows[above - 1] if above else ""
    return nm, _power(table.values[:, 1], nm, heading)


def _power(values: FloatArray, nm: FloatArray, heading: str) -> FloatArray:
    """Relative power of what a heading says that was measured: photons carry hc / wavelength."""
    counted = _PHOTONS.search(unicodedata.normalize("NFKC", heading).lower())
    return values / nm if counted else values


def _parse_cgats(rows: list[str]) -> tuple[FloatArray, FloatArray]:
    facts: dict[str, str] = {}
    for row in rows:
        key, _, value = row.partition(" ")
        facts.setdefault(key.upper(), value.strip().strip('"'))
    names = _block(rows, "BEGIN_DATA_FORMAT", "END_DATA_FORMAT")
    values = _block(rows, "BEGIN_DATA", "END_DATA")
    columns = [(i, re.fullmatch(r"(?:SPEC_|NM)(\d+(?:\.\d+)?)", n)) for i, n in enumerate(names)]
    spectral = [(i, float(match[1])) for i, match in columns if match]
    if not spectral or len(values) != len(names):
        raise FormatError("is not one spectrum in CGATS (fields SPEC_380, SPEC_390, ..., one set)")
    power = np.array([float(values[i]) for i, _ in spectral])
    # The names round to whole nanometres; the header states the grid exactly.
    if {"SPECTRAL_BANDS", "SPECTRAL_START_NM", "SPECTRAL_END_NM"} <= facts.keys():
        start, end = float(facts["SPECTRAL_START_NM"]), float(facts["SPECTRAL_END_NM"])
        if int(facts["SPECTRAL_BANDS"]) == power.size:
            return np.linspace(start, end, power.size), power
    return np.array([nm for _, nm in spectral]), power


def _block(rows: list[str], begin: str, end: str) -> list[str]:
    if begin not in rows or end not in rows:
        raise FormatError(f"has no {begin} ... {end}")
    return " ".join(rows[rows.index(begin) + 1 : rows.index(end)]).split()


def _read_spdx(file: Path) -> tuple[FloatArray, FloatArray]:
    text = read_text(file, _MOST_BYTES)
    if "<!ENTITY" in text or "<!DOCTYPE" in text:
        raise FormatError("declares entities, which no file of a light needs")
    found: dict[str, list[ElementTree.Element]] = {}
    for element in ElementTree.fromstring(text).iter():
        found.setdefault(element.tag.rpartition("}")[2], []).append(element)
    lines = found.get("SpectralData", [])
    nm = to_nanometres([float(e.attrib["wavelength"]) for e in lines], "nm", where=str(file))
    quantity = " ".join(e.text or "" for e in found.get("SpectralQuantity", []))
    return nm, _power(np.array([float(e.text or "nan") for e in lines]), nm, quantity)


def _read_npz(file: Path) -> tuple[FloatArray, FloatArray]:
    arrays = read_npz(file, most_bytes=_MOST_BYTES)
    axis, grid = axis_of_archive(arrays)
    others = {k: v for k, v in arrays.items() if k != axis and v.squeeze().ndim == 1}
    fitting = [key for key, values in others.items() if values.size == grid.size]
    chosen = [key for key in _POWER_KEYS if key in fitting] or fitting
    if len(chosen) != 1:
        raise FormatError(
            f"needs exactly one array of {grid.size} values beside the wavelengths; found "
            f"{fitting or 'none'}"
        )
    power = np.asarray(arrays[chosen[0]], np.float64).ravel()
    return grid, _power(power, grid, chosen[0].replace("_", " "))


_READERS: dict[str, Reader] = {
    ".csv": _read_text,
    ".txt": _read_text,
    ".tsv": _read_text,
    ".dat": _read_text,
    ".spd": _read_text,
    ".sp": _read_text,
    ".spdx": _read_spdx,
    ".npz": _read_npz,
}
