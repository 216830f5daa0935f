"""MATLAB files of every version, as arrays by name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from respectra.errors import FormatError
from respectra.guards.hdf5 import Hdf5Array, Hdf5File, is_hdf5, open_hdf5
from respectra.guards.mat4 import looks_like_mat4, open_mat4
from respectra.guards.mat5 import MatlabArray, open_mat5

SIGNATURE_V5 = b"MATLAB 5.0"
Version = Literal["4", "5", "7.3"]
_MAP = "#refs#"


@dataclass(frozen=True)
class _Hdf5MatlabArray(MatlabArray):
    """A variable of version 7.3, or an array of another program's HDF5 file."""

    _array: Hdf5Array = None  # type: ignore[assignment]

    @property
    def chunks(self) -> tuple[int, ...] | None:
        chunks = self._array.chunks
        return chunks[::-1] if chunks is not None and self.by_columns else chunks

    def read(self, selection: tuple[slice, ...] = ()) -> npt.NDArray[Any]:
        if not self.by_columns:
            return self._array.read(selection)
        return self._array.read(selection[::-1]).transpose()

    def text(self) -> str:
        if self._array.kind == "text":
            return next(iter(self._array.texts), "")
        codes = np.ravel(self.read())
        if codes.dtype.kind not in "iu" or (codes > 0x10FFFF).any() or (codes < 0).any():
            raise FormatError(f"{self.name!r} holds no text")
        return "".join(map(chr, codes.tolist()))


def open_matlab(path: str | os.PathLike[str]) -> tuple[Version, Mapping[str, MatlabArray]]:
    """The version of a MATLAB file and its variables, those in structures and cells included."""
    file = Path(path)
    with file.open("rb") as stream:
        head = stream.read(20)
    if head.startswith(SIGNATURE_V5):
        return "5", open_mat5(file)
    if is_hdf5(file):
        return "7.3", _of_hdf5(open_hdf5(file))
    if looks_like_mat4(head):
        return "4", open_mat4(file)
    raise FormatError(f"{file} is not a MATLAB file")


def _of_hdf5(file: Hdf5File) -> dict[str, MatlabArray]:
    found: dict[str, MatlabArray] = {}
    for name, array in file.arrays.items():
        if name.split("/", 1)[0] == _MAP:
            continue  # the cells of others
        found[name] = _wrap(name, array)
        for number, target in enumerate(array.targets, 1):
            cell = None if target is None else file.arrays.get(target)
            if cell is not None:
                found[f"{name}/{number}"] = _wrap(f"{name}/{number}", cell)
    return found


def _wrap(name: str, array: Hdf5Array) -> MatlabArray:
    matlab_class = array.attrs.get("MATLAB_class")
    marked = isinstance(matlab_class, str)
    kind = array.kind
    if kind == "numbers" and matlab_class == "char":
        kind = "text"
    if array.attrs.get("MATLAB_empty") is not None:
        kind = "empty"
    units = (array.attrs.get(word) for word in ("units", "unit", "Units", "Unit"))
    return _Hdf5MatlabArray(
        name,
        array.shape[::-1] if marked else array.shape,
        kind,
        array.dtype,
        array.stored_bytes if array.kind in ("numbers", "outside") else 0,
        array.compressed,
        by_columns=marked,
        unit=next((text for text in units if isinstance(text, str)), None),
        _array=array,
    )
