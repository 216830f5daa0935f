"""Responses from a user's files: tables of text, NPZ or MATLAB."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras.responses import make_response, require_response
from respectra.errors import FormatError, no_file, reading
from respectra.files import atomic_path
from respectra.guards.matlab import open_matlab
from respectra.guards.npy import read_npz
from respectra.guards.tables import TextTable, read_table
from respectra.typing import FloatArray
from respectra.wavelengths import (
    AXIS_NAMES,
    UNIT_NAMES,
    axis_of_archive,
    to_nanometres,
    unit_in_heading,
)

Arrays = Mapping[str, npt.NDArray[Any]]

#: No response has more samples; more is not read.
_MOST_VALUES = 10_000_000
#: Values from CSV columns in this order; the second green plane of a mosaic camera is left out.
_FOUR_COLUMNS = (0, 1, 3)


def open_response(path: str | os.PathLike[str], *, name: str | None = None) -> xr.DataArray:
    """Read a camera's response from a file.

    * Tables (``.csv``, ``.tsv``, ``.txt``, ``.dat``): one row a wavelength: nm, R, G, B, or nm,
      R, G1, G2, B (G1 is taken, as the 2022 challenge does). A header row decides instead where it
      names the columns (``nm,B,G,R``); lines that begin with ``#`` are left out. Columns lie
      between commas, semicolons, tabs or spaces; a decimal comma is understood.
    * NPZ: an array (band, 3) and one of wavelengths (``wavelengths``, ``bands``, ...).
    * MATLAB (``.mat``, version 5 or 7.3): the same; the challenge's ``filters`` and ``bands``.

    Args:
        path: the file.
        name: what to call the camera; the file's stem by default.

    Returns:
        dims (wavelength, channel), on the file's own wavelengths.

    Raises:
        FormatError: no such file, an unknown suffix, or contents that are not a response.

    Example:
        >>> from pathlib import Path
        >>> rows = "wavelength,R,G,B\\n400,0,0.1,0.9\\n550,0.1,0.9,0.1\\n700,0.9,0.1,0\\n"
        >>> _ = Path("mine.csv").write_text(rows)
        >>> open_response("mine.csv").shape
        (3, 3)
    """
    file = _existing(path)
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise FormatError(
            f"{file} is not a known kind of response file; use one of {', '.join(_READERS)}"
        )
    with reading(file, "a response"):
        grid, table = _ascending(*reader(file))
        return make_response(table, grid, name=name or file.stem, source=file.name)


def save_response(
    response: xr.DataArray, path: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Write a camera's response to a table that :func:`open_response` reads back without a loss.

    Args:
        response: dims (wavelength, channel), channel R, G, B.
        path: ``.csv``, ``.tsv`` or ``.txt``.
        overwrite: replace what is there.

    Raises:
        DataError: not a response.
        FormatError: another suffix.
        OutputError: the file exists and ``overwrite`` is false, or cannot be written.

    Example:
        >>> import respectra as rs
        >>> rs.save_response(rs.cameras.get_response("cie-1964-ntire2020"), "camera.csv")
        >>> rs.open_response("camera.csv").shape
        (31, 3)
    """
    file = Path(path)
    separator = {".csv": ",", ".tsv": "\t", ".txt": " "}.get(file.suffix.lower())
    if separator is None:
        raise FormatError(f"{file} is no table of a response; name it .csv, .tsv or .txt")
    table = require_response(response)
    notes = [str(table.attrs.get(key, "")) for key in ("name", "source")]
    lines = [f"# {': '.join(' '.join(note.split()) for note in notes if note)}"]
    lines.append(separator.join(("nm", *(str(c) for c in table["channel"].values))))
    for nm, row in zip(table["wavelength"].values.tolist(), table.values.tolist(), strict=True):
        lines.append(separator.join(repr(value) for value in (nm, *row)))
    with atomic_path(file, overwrite=overwrite) as temporary:
        temporary.write_text("\n".join(lines) + "\n", "utf-8")


def open_responses(path: str | os.PathLike[str]) -> tuple[xr.DataArray, ...]:
    """Read the responses of several cameras.

    Args:
        path: a folder of response files, in the order of their names; one such file; or an NPZ or
            MATLAB archive with one array (camera, band, 3), one of wavelengths and, if there is
            one, the array ``names``.

    Returns:
        One response or more; see :func:`open_response`.

    Raises:
        FormatError: nothing there, or contents that are no responses.

    Example:
        >>> from pathlib import Path
        >>> rows = "wavelength,R,G,B\\n400,0,0.1,0.9\\n550,0.1,0.9,0.1\\n700,0.9,0.1,0\\n"
        >>> _ = Path("mine.csv").write_text(rows)
        >>> [response.attrs["name"] for response in open_responses("mine.csv")]
        ['mine']
    """
    place = Path(path)
    if place.is_dir():
        files = [f for f in sorted(place.iterdir()) if f.suffix.lower() in _READERS]
        if not files:
            raise FormatError(f"{place} holds no response file; known: {', '.join(_READERS)}")
        return tuple(response for file in files for response in open_responses(file))
    load = _ARCHIVES.get(place.suffix.lower())
    if load is None:
        return (open_response(place),)
    with reading(_existing(place), "a response"):
        arrays = load(place)
        _, grid = axis_of_archive(arrays)
        order = np.argsort(grid)
        many = [v for v in arrays.values() if v.ndim == 3 and v.shape[1:] == (grid.size, 3)]
        if len(many) != 1:
            return (open_response(place),)
        tables = np.asarray(many[0], dtype=np.float64)
        names = [str(name).strip() for name in np.ravel(arrays.get("names", ()))]
        if len(names) != len(tables):
            names = [f"{place.stem}-{number:02d}" for number in range(1, len(tables) + 1)]
        return tuple(
            make_response(table[order], grid[order], name=name, source=place.name)
            for name, table in zip(names, tables, strict=True)
        )


def _ascending(grid: FloatArray, table: FloatArray) -> tuple[FloatArray, FloatArray]:
    order = np.argsort(grid, kind="stable")
    return grid[order], table[order]


def _existing(path: str | os.PathLike[str]) -> Path:
    file = Path(path)
    if not file.is_file():
        raise no_file(file)
    return file


def _read_csv(file: Path) -> tuple[FloatArray, FloatArray]:
    return _columns(read_table(file), file)


def _columns(table: TextTable, file: Path) -> tuple[FloatArray, FloatArray]:
    """The wavelengths and R, G, B of a table: by its header where it has one, else by place."""
    names = [name.strip().lower() for name in table.names]
    width = table.values.shape[1]
    known = {role: _column_of(role, names) for role in ("nm", "r", "g", "b")}
    told = {role: place for role, place in known.items() if place is not None}
    if all(role in told for role in "rgb"):
        grid = told.get("nm", 0)
        places = [told[role] for role in "rgb"]
        if len({grid, *places}) != 4:
            raise FormatError(f"has no column of wavelengths beside R, G, B: {table.names}")
    elif width in (4, 5) and not any(role in told for role in "rgb"):
        grid = told.get("nm", 0)
        others = [place for place in range(width) if place != grid]
        places = others if width == 4 else [others[place] for place in _FOUR_COLUMNS]
    else:
        raise FormatError(
            "needs rows of four numbers: wavelength, R, G, B; or a header that names the columns "
            f"(nm, R, G, B); got {width} columns {table.names or 'without names'}"
        )
    unit = unit_in_heading(table.names[grid]) if table.names else None
    nm = to_nanometres(table.values[:, grid], unit, where=str(file))
    return nm, table.values[:, places]


_HEADINGS = {
    "nm": ("nm", "wavelength", "wavelengths", "wl", "lambda", "wave", "band", "bands", "λ"),
    "r": ("r", "red", "rot", "rouge"),
    "g": ("g", "g1", "gr", "green", "grün", "vert"),
    "b": ("b", "blue", "blau", "bleu"),
}
_WORDS = re.compile(r"[^\W_]+")


def _column_of(role: str, names: list[str]) -> int | None:
    """The column whose heading says that it is one of R, G, B or the wavelengths."""
    whole = [place for place, name in enumerate(names) if name in _HEADINGS[role]]
    if whole:
        return whole[0]
    words = [place for place, n in enumerate(names) if set(_WORDS.findall(n)) & {*_HEADINGS[role]}]
    return words[0] if len(words) == 1 or (words and role == "nm") else None


def _load_mat(file: Path) -> Arrays:
    _, found = open_matlab(file)
    arrays: dict[str, npt.NDArray[Any]] = {}
    units: dict[str, str] = {}
    for name, array in found.items():
        bare = name.rpartition("/")[2]
        if array.kind in ("numbers", "outside") and 0 < array.size <= _MOST_VALUES:
            values = array.read()
            # MATLAB writes its arrays with the axes in reverse order; so do those who copy it.
            arrays.setdefault(bare, values if array.by_columns else values.T)
            if array.unit is not None:
                units.setdefault(bare, array.unit)
        elif array.kind == "text" and 0 < array.size <= _MOST_VALUES:
            arrays.setdefault(bare, np.array([array.text()]))
    axis = next((key for key in AXIS_NAMES if key in arrays), "")
    if axis in units:
        arrays.setdefault(UNIT_NAMES[0], np.array([units[axis]]))
    return arrays


def _pick(arrays: Arrays) -> tuple[FloatArray, FloatArray]:
    """Find the wavelengths by name, and the one array with three columns that fits them."""
    _, grid = axis_of_archive(arrays)
    fitting = [key for key, value in arrays.items() if value.shape == (grid.size, 3)]
    if len(fitting) != 1:
        raise FormatError(
            f"needs exactly one array of shape ({grid.size}, 3); found {fitting or 'none'} "
            f"among { {key: value.shape for key, value in arrays.items()} }"
        )
    return grid, np.asarray(arrays[fitting[0]], dtype=np.float64)


_ARCHIVES: Mapping[str, Callable[[Path], Arrays]] = {".npz": read_npz, ".mat": _load_mat}
_READERS: Mapping[str, Callable[[Path], tuple[FloatArray, FloatArray]]] = {
    ".csv": _read_csv,
    ".txt": _read_csv,
    ".tsv": _read_csv,
    ".dat": _read_csv,
    ".npz": lambda file: _pick(read_npz(file)),
    ".mat": lambda file: _pick(_load_mat(file)),
}
