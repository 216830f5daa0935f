"""Pictures as arrays in .npy files, read row by row."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from respectra.cameras.pictures.source import Codes, PictureSource, Said, check_cost
from respectra.errors import FormatError, no_file


class NumpySource(PictureSource):
    """An array of shape (y, x, 3) in a .npy file: 8 or 16 bits, or floating point in [0, 1]."""

    def __init__(self, path: Path, *, max_pixels: int) -> None:
        self._path = path
        array = self._map()
        if array.ndim != 3 or array.shape[2] not in (3, 4) or array.size == 0:
            raise FormatError(
                f"{path} holds an array of shape {array.shape}; a picture is (y, x, 3)"
            )
        if array.dtype not in (np.uint8, np.uint16) and array.dtype.kind != "f":
            raise FormatError(f"{path} holds {array.dtype}; use 8 or 16 bits or floating point")
        self.height, self.width = array.shape[:2]
        samples, itemsize = array.shape[2], array.dtype.itemsize
        check_cost(
            path,
            self.height,
            self.width,
            value_bytes=0,  # a map of the file takes no memory
            stored_bytes=path.stat().st_size,
            max_pixels=max_pixels,
        )
        self.row_bytes = samples * self.width * itemsize
        floating = array.dtype.kind == "f"
        full = 1.0 if floating else float(np.iinfo(array.dtype).max)
        alpha = "straight" if samples == 4 else None
        self.said = Said("rgb", full, 32 if floating else 8 * itemsize, alpha)  # type: ignore[arg-type]

    def read(self, rows: slice) -> Codes:
        """Codes of some rows, (rows, width, samples)."""
        # A new map each time: pages that were read count as memory until their map is closed.
        return np.array(self._map()[rows])

    def _map(self) -> Codes:
        try:
            return np.asanyarray(np.load(self._path, mmap_mode="r", allow_pickle=False))
        except FileNotFoundError:
            raise no_file(self._path) from None
        except (OSError, ValueError, SyntaxError, EOFError, RecursionError, MemoryError) as error:
            raise FormatError(f"{self._path} is not a NumPy array file ({error})") from None
