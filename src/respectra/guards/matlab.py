"""MATLAB files of every version, as arrays by name; see :mod:`mat5` and :mod:`hdf5`."""

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
from respectra.guards.mat5 import Mat5Array, looks_like_mat4, open_mat4, open_mat5

SIGNATURE_V5 = b"MATLAB 5.0"
Version = Literal["4", "5", "7.3"]
_MAP = "#refs#"


@dataclass(frozen=True)
class MatlabArray:
    """A variable of a MATLAB file of any version.

    Attributes:
        name: of fields and cells with slashes between.
        shape: as MATLAB shows it; of an HDF5 array that MATLAB did not mark, as HDF5 does.
        kind: ``numbers``, ``text``, or what else it is.
        dtype: of numbers.
        by_columns: whether the file says that MATLAB's order of axes is meant: always, unless
            another program wrote the HDF5 file.
        stored_bytes: what the file gives for the values.
        compressed: whether they may take less room there than in memory.
        inflation: by how much each value grows besides.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    dtype: np.dtype[Any]
    by_columns: bool
    stored_bytes: int
    compressed: bool
    inflation: float
    _array: Hdf5Array | Mat5Array

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """What is kept together along each axis; None where any part can be read."""
        if not isinstance(self._array, Hdf5Array):
            return self.shape
        chunks = self._array.chunks
        return chunks[::-1] if chunks is not None and self.by_columns else chunks

    @property
    def unit(self) -> str | None:
        """What an attribute of an HDF5 array says of its unit; MATLAB itself writes none."""
        if not isinstance(self._array, Hdf5Array):
            return None
        said = (self._array.attrs.get(name) for name in ("units", "unit", "Units", "Unit"))
        return next((text for text in said if isinstance(text, str)), None)

    def read(self, selection: tuple[slice, ...] = ()) -> npt.NDArray[Any]:
        """The values of an array of numbers, or a part of them, in the shape it has.

        Args:
            selection: slices without a step, one an axis; everything by default.

        Raises:
            FormatError: it holds none, or the file does not hold what it promises.
        """
        if not isinstance(self._array, Hdf5Array):
            return self._array.read()[selection]
        turned = self.by_columns
        values = self._array.read(selection[::-1] if turned else selection)
        return values.transpose() if turned else values

    def text(self) -> str:
        """The first row of a text; empty where there is none.

        Raises:
            FormatError: it is none.
        """
        if isinstance(self._array, Mat5Array):
            return next(iter(self._array.text()), "")
        if self._array.kind == "text":
            return next(iter(self._array.texts), "")
        codes = np.ravel(self.read())
        if codes.dtype.kind not in "iu" or (codes > 0x10FFFF).any() or (codes < 0).any():
            raise FormatError(f"{self.name!r} holds no text")
        return "".join(map(chr, codes.tolist()))


def open_matlab(path: str | os.PathLike[str]) -> tuple[Version, Mapping[str, MatlabArray]]:
    """The version of a MATLAB file and its variables, those in structures and cells included.

    Raises:
        FormatError: no MATLAB file, or a damaged one.
    """
    file = Path(path)
    with file.open("rb") as stream:
        head = stream.read(20)
    if head.startswith(SIGNATURE_V5):
        return "5", _of_version_5(open_mat5(file))
    if is_hdf5(file):
        return "7.3", _of_hdf5(open_hdf5(file))
    if looks_like_mat4(head):
        return "4", _of_version_5(open_mat4(file))
    raise FormatError(f"{file} is not a MATLAB file")


def _of_version_5(arrays: Mapping[str, Mat5Array]) -> dict[str, MatlabArray]:
    return {
        name: MatlabArray(
            name, array.shape, array.kind, array.dtype, True, array.stored_bytes,
            array.compressed, array.inflation, array,
        )
        for name, array in arrays.items()
    }  # fmt: skip


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
    stored = array.stored_bytes if array.kind in ("numbers", "outside") else 0
    shape = array.shape[::-1] if marked else array.shape
    return MatlabArray(name, shape, kind, array.dtype, marked, stored, array.compressed, 1.0, array)
