"""Cubes whose values are read when, and where, they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from xarray.core import indexing

from respectra.cubes.formats.base import CubeFormat, Stored, guard_reading, reading
from respectra.cubes.model import DIMS, LazyArray, cube_on
from respectra.errors import FormatError, MissingExtraError

#: What ``chunks=`` takes: as xarray; ``{}`` for those of the file.
Chunks = int | str | Mapping[str, Any] | tuple[Any, ...]
#: Where a file has no chunks of its own, one has about this many bytes.
_CHUNK_BYTES = 32 * 2**20

#: Looks at a file again, for a copy of an array in another process.
Peek = Callable[[], tuple[CubeFormat, Stored]]


class StoredArray(LazyArray):
    """The values of a cube file, float32, for xarray to index.

    Args:
        path: of the file.
        peek: looks at it, as (format, what it says); must be picklable.
        order: positions of the bands in the file; None for as they are stored.
    """

    def __init__(self, path: Path, peek: Peek, order: npt.NDArray[np.intp] | None = None) -> None:
        self._path, self._peek, self._order = path, peek, order
        self._entry, self._stored = peek()
        self._whole: npt.NDArray[np.float32] | None = None
        self.shape = self._stored.shape
        self.dtype = np.dtype(np.float32)

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredArray, (self._path, self._peek, self._order)

    @property
    def stored(self) -> Stored:
        """What the file says."""
        return self._stored

    def reordered(self, order: npt.NDArray[np.intp]) -> StoredArray:
        """The same values with the bands in another order."""
        return StoredArray(self._path, self._peek, order)

    @property
    def chunks(self) -> tuple[int, int, int]:
        """Rows, columns and bands that are best read together."""
        rows, columns, bands = self.shape
        if self._stored.chunks is not None:
            return tuple(  # type: ignore[return-value]
                min(c, n) for c, n in zip(self._stored.chunks, self.shape, strict=True)
            )
        if self._stored.window is None:
            return rows, columns, bands
        return max(1, min(rows, _CHUNK_BYTES // (4 * columns * bands))), columns, bands

    def _read(self, key: tuple[Any, Any, Any]) -> npt.NDArray[np.float32]:
        """Values at an index of integers and slices."""
        places = [np.arange(n)[part] for part, n in zip(key, self.shape, strict=True)]
        rows, columns, bands = (np.atleast_1d(place) for place in places)
        if rows.size and columns.size and bands.size:
            values = self._at(rows, columns, bands if self._order is None else self._order[bands])
        else:
            values = np.empty((rows.size, columns.size, bands.size), np.float32)
        taken = tuple(0 if np.ndim(place) == 0 else slice(None) for place in places)
        return np.ascontiguousarray(values[taken])

    def _at(
        self, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp], bands: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.float32]:
        """Values at every combination of rows, columns and bands."""
        groups = self._groups(rows, _span(columns), _span(bands))
        parts = []
        for group in groups:
            part = self._window(_span(group), _span(columns), _span(bands))
            for axis, positions in enumerate((group, columns, bands)):
                places = positions - positions.min()
                if not np.array_equal(places, np.arange(part.shape[axis])):
                    part = part.take(places, axis)
            parts.append(part)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _groups(
        self, rows: npt.NDArray[np.intp], columns: slice, bands: slice
    ) -> list[npt.NDArray[np.intp]]:
        """Rows to be read together: those that lie far apart are read apart."""
        if self._stored.window is None or np.ptp(rows) + 1 <= 2 * rows.size:
            return [rows]
        row_bytes = 4 * (columns.stop - columns.start) * (bands.stop - bands.start)
        together = self.chunks[0] if self._stored.chunks else 1
        height = max(together, _CHUNK_BYTES // row_bytes // together * together)
        return np.split(rows, np.flatnonzero(np.diff(rows // height)) + 1)

    def _window(self, rows: slice, columns: slice, bands: slice) -> npt.NDArray[np.float32]:
        stored, spans = self._stored, (rows, columns, bands)
        shape = tuple(span.stop - span.start for span in spans)
        if self._whole is not None:
            return self._whole[spans]
        with reading(self._path, self._entry.title):
            guard_reading(stored, self._path, shape)
            if stored.window is not None and shape != stored.shape:
                values = stored.window(rows, columns, bands)
            else:
                values = stored.load()
        expected = shape if stored.window is not None else stored.shape
        if values.shape != expected:
            raise FormatError(f"{self._path} promises shape {expected} and holds {values.shape}")
        values = values.astype(np.float32, copy=False)
        if not values.flags.writeable:  # of a file, which may change, or of bytes
            values = values.copy()
        if stored.window is None and shape != stored.shape:
            self._whole = values  # read once, whatever else is asked for
            return values[spans]
        return values


def _span(positions: npt.NDArray[np.intp]) -> slice:
    return slice(int(positions.min()), int(positions.max()) + 1)


def lazy_cube(
    array: StoredArray,
    wavelengths_nm: npt.NDArray[np.float64],
    attrs: Mapping[str, Any],
    chunks: Chunks | None = None,
) -> xr.DataArray:
    """A cube over an array that is read when it is asked for, and kept once all of it is read.

    Chunks make it an array of Dask; ``{}`` takes the file's own.

    Raises:
        MissingExtraError: chunks without Dask.
    """
    values: Any = indexing.CopyOnWriteArray(indexing.LazilyIndexedArray(array))  # type: ignore[arg-type]
    if chunks is None:
        values = indexing.MemoryCachedArray(values)  # type: ignore[no-untyped-call]
    cube = cube_on(values, wavelengths_nm, attrs)
    own = dict(zip(DIMS, array.chunks, strict=True))
    cube.encoding["preferred_chunks"] = own
    if chunks is None:
        return cube
    try:
        import dask.base
    except ImportError:
        raise MissingExtraError("dask", "cluster", "opening a cube in chunks") from None
    where = array._path
    token = dask.base.tokenize(str(where.absolute()), where.stat().st_mtime_ns, array._order)
    wanted = own if isinstance(chunks, Mapping) and not chunks else chunks
    return cube.chunk(wanted, name_prefix="respectra-", token=token)
