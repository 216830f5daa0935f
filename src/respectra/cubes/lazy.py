"""Cubes whose values are read when, and where, they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from respectra.cubes.formats.base import CubeFormat, Stored, guard_reading, reading
from respectra.cubes.model import DIMS
from respectra.errors import FormatError, MissingExtraError

#: What ``chunks=`` takes: as xarray; ``{}`` for those of the file.
Chunks = int | str | Mapping[str, Any] | tuple[Any, ...]
#: Where a file has no chunks of its own, one has about this many bytes.
_CHUNK_BYTES = 32 * 2**20

#: Looks at a file again, for a copy of an array in another process.
Peek = Callable[[], tuple[CubeFormat, Stored]]


class StoredArray(BackendArray):
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

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["_entry"], state["_stored"], state["_whole"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_path"], state["_peek"], state["_order"])  # type: ignore[misc]

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

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._read
        )

    def _read(self, key: tuple[Any, Any, Any]) -> npt.NDArray[np.float32]:
        """Values at an index of integers and slices."""
        if any(isinstance(k, slice) and len(range(*k.indices(n))) == 0 for k, n in self._axes(key)):
            return np.empty(
                [len(range(*k.indices(n))) for k, n in self._axes(key) if isinstance(k, slice)],
                np.float32,
            )
        rows, columns, bands = (_positions(k, n) for k, n in self._axes(key))
        if self._order is not None:
            bands = self._order[bands]
        spans = [slice(int(np.min(p)), int(np.max(p)) + 1) for p in (rows, columns, bands)]
        part = self._window(*spans)
        for axis, (positions, span) in enumerate(zip((rows, columns, bands), spans, strict=True)):
            part = _take(part, positions - span.start, axis)
        taken = tuple(0 if np.ndim(p) == 0 else slice(None) for p in (rows, columns, bands))
        return np.ascontiguousarray(part[taken])

    def _axes(self, key: tuple[Any, Any, Any]) -> list[tuple[Any, int]]:
        return list(zip(key, self.shape, strict=True))

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


def _positions(key: Any, size: int) -> npt.NDArray[np.intp]:
    """Where an integer or a slice points; a scalar for an integer."""
    return np.arange(size)[key] if isinstance(key, slice) else np.asarray(range(size)[int(key)])


def _take(
    part: npt.NDArray[np.float32], positions: npt.NDArray[np.intp], axis: int
) -> npt.NDArray[np.float32]:
    count = part.shape[axis]
    if positions.ndim == 0 or np.array_equal(positions, np.arange(count)):
        return part
    return part.take(positions, axis=axis)


def lazy_cube(
    array: StoredArray,
    wavelengths_nm: npt.NDArray[np.float64],
    attrs: Mapping[str, Any],
    chunks: Chunks | None = None,
) -> xr.DataArray:
    """A cube over an array that is read when it is asked for, and kept once all of it is read.

    Args:
        array: shape (y, x, band), bands in the order of the wavelengths.
        wavelengths_nm: ascending.
        attrs: of the cube.
        chunks: makes it an array of Dask; ``{}`` takes the file's own chunks.

    Raises:
        MissingExtraError: chunks without Dask.
    """
    values: Any = indexing.CopyOnWriteArray(indexing.LazilyIndexedArray(array))  # type: ignore[arg-type]
    if chunks is None:
        values = indexing.MemoryCachedArray(values)  # type: ignore[no-untyped-call]
    cube = xr.DataArray(
        xr.Variable(DIMS, values),
        coords={"wavelength": ("wavelength", wavelengths_nm, {"units": "nm"})},
        attrs=dict(attrs),
        name="cube",
    )
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
