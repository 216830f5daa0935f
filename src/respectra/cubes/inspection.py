"""What a cube file holds, without reading its values."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from respectra.cubes.io import peek_cube


def inspect(path: str | os.PathLike[str], *, key: str | None = None) -> dict[str, Any]:
    """Facts about a cube file, as plain data for JSON.

    Returns:
        ``path``, ``format``, ``shape`` (y, x, band), ``stored_type``, ``stored_bytes``,
        ``memory_bytes`` (as float32), ``wavelengths_nm`` (in the order of the file; None when it
        does not say), ``attributes``, and ``details`` that depend on the format.

    Raises:
        FormatError: missing, empty, damaged, or not what its suffix says.
        DataError: the values are not real numbers, or the cube does not fit into memory.
    """
    path = Path(path)
    entry, stored = peek_cube(path, key)
    rows, columns, bands = stored.shape
    return {
        "path": str(path),
        "format": entry.name,
        "shape": [rows, columns, bands],
        "stored_type": str(stored.dtype),
        "stored_bytes": stored.stored_bytes,
        "memory_bytes": rows * columns * bands * 4,
        "wavelengths_nm": None
        if stored.wavelengths_nm is None
        else np.asarray(stored.wavelengths_nm, np.float64).tolist(),
        "attributes": dict(stored.attrs),
        "details": dict(stored.details),
    }


def describe_wavelengths(wavelengths_nm: npt.ArrayLike | None) -> str:
    """A grid in few words: ``400 to 700 nm in steps of 10``."""
    if wavelengths_nm is None:
        return "unknown wavelengths"
    grid = np.asarray(wavelengths_nm, np.float64)
    if grid.size == 1:
        return f"{grid[0]:g} nm"
    steps = np.diff(grid)
    regular = np.allclose(steps, steps[0], rtol=1e-6)
    spacing = f"in steps of {abs(steps[0]):g}" if regular else "in uneven steps"
    return f"{grid[0]:g} to {grid[-1]:g} nm {spacing}"
