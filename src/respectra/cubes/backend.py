"""Cubes through xarray: ``xr.open_dataarray("scene.mat", engine="respectra")``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy.typing as npt
import xarray as xr
from xarray.backends import BackendEntrypoint

from respectra.cubes.io import open_cube
from respectra.cubes.model import Quantity
from respectra.errors import FormatError


class RespectraBackend(BackendEntrypoint):
    """Every format of ``respectra.open_cube``, as a dataset with the variable ``cube``."""

    description = "Hyperspectral cubes: MATLAB, ENVI, NumPy, TIFF, folders of PNGs (Respectra)"

    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        wavelengths_nm: npt.ArrayLike | None = None,
        quantity: Quantity | None = None,
        key: str | None = None,
        axes: str | None = None,
    ) -> xr.Dataset:
        """Open one cube; the options are those of ``respectra.open_cube``.

        Raises:
            FormatError, DataError: as ``respectra.open_cube``.
        """
        if not isinstance(filename_or_obj, str | os.PathLike):
            raise FormatError(f"a cube is opened from a path; got {type(filename_or_obj).__name__}")
        cube = open_cube(
            filename_or_obj, wavelengths_nm=wavelengths_nm, quantity=quantity, key=key, axes=axes
        )
        dropped = (
            [drop_variables] if isinstance(drop_variables, str) else list(drop_variables or ())
        )
        return cube.to_dataset(name="cube").drop_vars(dropped, errors="ignore")

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Claim only what xarray's own engines do not open: MATLAB and ENVI headers."""
        return isinstance(filename_or_obj, str | os.PathLike) and Path(
            filename_or_obj
        ).suffix.lower() in (".mat", ".hdr", ".bip", ".bil", ".bsq")
