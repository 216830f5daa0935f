"""How a format writes: whole, or piece by piece in any order, with the same bytes in the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes.model import check_wavelengths, wavelengths_of

#: Type of stored values.
CubeType = Literal["float32", "float16"]
#: Rows and columns of a piece, as slices with a start and a stop.
Region = tuple[slice, slice]
#: A cube that is not in memory is written so many bytes at a time.
_BLOCK_BYTES = 2**26


class CubeWriter(ABC):
    """Writes a cube to the files that its format names.

    ``create`` begins, ``write`` puts pieces in any order, ``finish`` makes the files complete. A
    writer of the same arguments may go on where a killed process stopped: it writes the pieces
    that are missing, without ``create``. Moving the files into their place is the caller's
    (see :func:`respectra.cubes.open_writer`).

    Args:
        paths: where to write, as the format's ``files`` names them; suffixes matter.
        shape: (y, x, band).
        wavelengths_nm: one a band, ascending, nm.
        dtype: of the stored values.
        pieces: rows and columns of the pieces, where several processes write, or one may be
            killed: what the file keeps together then never belongs to two of them.
    """

    #: Whether the files take the room of all the values from the beginning.
    needs_full_room = False

    def __init__(
        self,
        paths: Sequence[Path],
        shape: tuple[int, int, int],
        wavelengths_nm: npt.ArrayLike,
        *,
        dtype: CubeType = "float32",
        pieces: tuple[int, int] | None = None,
    ) -> None:
        self.paths = tuple(paths)
        self.shape = shape
        self.wavelengths_nm = check_wavelengths(wavelengths_nm)
        self.dtype = np.dtype(dtype)
        self.pieces = pieces

    @classmethod
    def load_library(cls) -> None:
        """Import what writing needs."""
        return

    @abstractmethod
    def create(self) -> None:
        """Begin an empty cube.

        Raises:
            ConfigError: the format has no such type of values.
        """

    @abstractmethod
    def write(self, region: Region, spectra: npt.NDArray[Any]) -> None:
        """Write one piece, shape (y, x, band)."""

    @abstractmethod
    def finish(self, attrs: Mapping[Any, Any]) -> None:
        """Make the files complete, with the attributes of the cube."""

    @property
    def height(self) -> int:
        """Rows that are best written at a time."""
        return max(1, _BLOCK_BYTES // (4 * self.shape[1] * self.shape[2]))

    @classmethod
    def write_cube(cls, cube: xr.DataArray, *paths: Path) -> None:
        """Write a cube as a whole; one that is not in memory is read as it is written."""
        rows, columns, bands = cube.shape
        writer = cls(paths, (rows, columns, bands), wavelengths_of(cube))
        writer.create()
        for region, values in _blocks(cube, writer.height):
            writer.write(region, values)
        writer.finish(cube.attrs)


def _blocks(cube: xr.DataArray, height: int) -> Iterator[tuple[Region, npt.NDArray[Any]]]:
    for y in range(0, cube.shape[0], height):
        stop = min(cube.shape[0], y + height)
        values = np.asarray(cube[y:stop].values, np.float32)
        yield (slice(y, stop), slice(0, cube.shape[1])), values
