"""Responses from a user's files: CSV, NPZ or MATLAB."""

from __future__ import annotations

import contextlib
import csv
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras.responses import make_response
from respectra.errors import FormatError, RespectraError

FloatArray = npt.NDArray[np.float64]
Arrays = Mapping[str, npt.NDArray[Any]]

_WAVELENGTH_KEYS = ("wavelengths_nm", "wavelengths", "wavelength_nm", "wavelength", "bands", "nm")
#: Values from CSV columns in this order; the second green plane of a mosaic camera is left out.
_FOUR_COLUMNS = (0, 1, 3)


def open_response(path: str | os.PathLike[str], *, name: str | None = None) -> xr.DataArray:
    """Read a camera's response from a file.

    * CSV (``.csv``, ``.txt``): one row a wavelength: nm, R, G, B, or nm, R, G1, G2, B (G1 is
      taken, as the 2022 challenge does); a header row and lines that begin with ``#`` are allowed.
    * NPZ: an array (band, 3) and one of wavelengths (``wavelengths``, ``bands``, ...).
    * MATLAB (``.mat``, version 5 or 7.3): the same; the challenge's ``filters`` and ``bands``.

    Args:
        path: the file.
        name: what to call the camera; the file's stem by default.

    Returns:
        dims (wavelength, channel), on the file's own wavelengths.

    Raises:
        FormatError: no such file, an unknown suffix, or contents that are not a response.
    """
    file = _existing(path)
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise FormatError(
            f"{file} is not a known kind of response file; use one of {', '.join(_READERS)}"
        )
    with _explained(file):
        grid, table = reader(file)
        return make_response(table, grid, name=name or file.stem, source=file.name)


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
    with _explained(_existing(place)):
        arrays = load(place)
        grid = _wavelengths(arrays)
        many = [v for v in arrays.values() if v.ndim == 3 and v.shape[1:] == (grid.size, 3)]
        if len(many) != 1:
            return (open_response(place),)
        tables = np.asarray(many[0], dtype=np.float64)
        names = [str(name).strip() for name in np.ravel(arrays.get("names", ()))]
        if len(names) != len(tables):
            names = [f"{place.stem}-{number:02d}" for number in range(1, len(tables) + 1)]
        return tuple(
            make_response(table, grid, name=name, source=place.name)
            for name, table in zip(names, tables, strict=True)
        )


def _existing(path: str | os.PathLike[str]) -> Path:
    file = Path(path)
    if not file.is_file():
        raise FormatError(f"no such file: {file}")
    return file


@contextlib.contextmanager
def _explained(file: Path) -> Iterator[None]:
    """Turn whatever reading a file raises into an error that names it."""
    try:
        yield
    except RespectraError as error:
        raise error if str(file) in str(error) else FormatError(f"{file}: {error}") from error
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise FormatError(f"{file} cannot be read as a response: {error}") from error


def _read_csv(file: Path) -> tuple[FloatArray, FloatArray]:
    lines = file.read_text("utf-8-sig").splitlines()
    rows = list(csv.reader(line for line in lines if line.strip() and not line.startswith("#")))
    if rows and not _is_number(rows[0][0]):
        rows = rows[1:]
    if not rows or len({len(row) for row in rows}) != 1 or len(rows[0]) not in (4, 5):
        raise FormatError("needs rows of four numbers: wavelength in nm, R, G, B")
    table = np.array(rows, dtype=np.float64)
    columns = table[:, 1:] if table.shape[1] == 4 else table[:, 1:][:, _FOUR_COLUMNS]
    return table[:, 0], columns


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _load_npz(file: Path) -> Arrays:
    if not zipfile.is_zipfile(file):
        raise FormatError("is not an NPZ archive")
    with np.load(file, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def _load_mat(file: Path) -> Arrays:
    import h5py
    import scipy.io

    if h5py.is_hdf5(file):
        with h5py.File(file, "r") as archive:
            # MATLAB writes its arrays with the axes in reverse order.
            return {k: np.asarray(v).T for k, v in archive.items() if isinstance(v, h5py.Dataset)}
    try:
        arrays = scipy.io.loadmat(file)
    except Exception as error:  # damaged files raise almost anything inside scipy's reader
        raise FormatError(f"is not a readable MATLAB file ({error})") from error
    return {key: np.asarray(v) for key, v in arrays.items() if not key.startswith("__")}


def _pick(arrays: Arrays) -> tuple[FloatArray, FloatArray]:
    """Find the wavelengths by name, and the one array with three columns that fits them."""
    grid = _wavelengths(arrays)
    fitting = [key for key, value in arrays.items() if value.shape == (grid.size, 3)]
    if len(fitting) != 1:
        raise FormatError(
            f"needs exactly one array of shape ({grid.size}, 3); found {fitting or 'none'} "
            f"among { {key: value.shape for key, value in arrays.items()} }"
        )
    return grid, np.asarray(arrays[fitting[0]], dtype=np.float64)


def _wavelengths(arrays: Arrays) -> FloatArray:
    found = [key for key in _WAVELENGTH_KEYS if key in arrays]
    if not found:
        raise FormatError(
            f"has no wavelengths: add an array called 'wavelengths' in nm (found: {list(arrays)})"
        )
    return np.asarray(arrays[found[0]], dtype=np.float64).ravel()


_ARCHIVES: Mapping[str, Callable[[Path], Arrays]] = {".npz": _load_npz, ".mat": _load_mat}
_READERS: Mapping[str, Callable[[Path], tuple[FloatArray, FloatArray]]] = {
    ".csv": _read_csv,
    ".txt": _read_csv,
    ".npz": lambda file: _pick(_load_npz(file)),
    ".mat": lambda file: _pick(_load_mat(file)),
}
