"""Cubes that are written piece by piece, for those that do not fit into memory."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from respectra.cubes.formats import FORMATS
from respectra.cubes.formats.base import CubeType, CubeWriter, Region, writing
from respectra.cubes.io import PathLike
from respectra.errors import ConfigError, DataError
from respectra.files import Move, atomic_paths, move_into_place

__all__ = [
    "CubeType",
    "CubeWriter",
    "GrowingCube",
    "OpenWriter",
    "Region",
    "open_writer",
    "writer_for",
]


def writer_for(path: PathLike, format: str | None = None) -> type[CubeWriter] | None:  # noqa: A002
    """What writes a cube at this path piece by piece; None where its format cannot be."""
    with contextlib.suppress(ConfigError):
        writer = FORMATS.for_writing(Path(path), format).writer
        if writer is not None:
            writer.load_library()  # before anyone measures what this process holds
        return writer
    return None


class GrowingCube:
    """A cube that grows in a folder over several runs, and is then moved into its place.

    Args:
        folder: where it grows; the caller makes and removes it, and holds the lock of the target.
        target: where it will be; a format that has a writer.
        shape, wavelengths_nm, dtype, pieces: as for :class:`CubeWriter`.

    Raises:
        ConfigError: the format is written as a whole.
    """

    def __init__(
        self,
        folder: Path,
        target: Path,
        shape: tuple[int, int, int],
        wavelengths_nm: npt.ArrayLike,
        dtype: CubeType,
        pieces: tuple[int, int],
    ) -> None:
        writer = writer_for(target)
        if writer is None:
            raise _as_a_whole(FORMATS.for_writing(target).title)
        self.folder, self.target = folder, target
        files = FORMATS.for_writing(target).files(target)
        self.moves: list[Move] = [(folder / f"cube{file.suffix}", file) for file in files]
        """What lies in the folder and where it belongs; what makes the cube visible is first."""
        sources = [source for source, _ in self.moves]
        self.writer = writer(sources, shape, wavelengths_nm, dtype=dtype, pieces=pieces)

    def finish(self, attrs: Mapping[str, Any], *, overwrite: bool) -> None:
        """Complete the cube and move it into its place.

        A run that is killed in between can do it again.
        """
        self.writer.finish(attrs)
        move_into_place(self.moves, overwrite=overwrite)


def _as_a_whole(title: str) -> ConfigError:
    can = ", ".join(sorted(entry.name for entry in FORMATS if entry.writer is not None))
    return ConfigError(f"a {title} is written as a whole; piece by piece go {can}")


class OpenWriter:
    """A cube that is being written; see :func:`open_writer`."""

    def __init__(
        self, path: Path, writer: CubeWriter, attrs: Mapping[str, Any], stack: contextlib.ExitStack
    ) -> None:
        self._path, self._writer, self._attrs, self._stack = path, writer, attrs, stack

    def write(self, rows: slice, values: npt.NDArray[Any], columns: slice | None = None) -> None:
        """Write some rows, or a rectangle, with values of shape (y, x, band).

        Raises:
            DataError: the values have another shape, or lie outside.
            OutputError: they cannot be written.
        """
        height, width, bands = self._writer.shape
        spans = (range(height)[rows], range(width)[columns or slice(None)])
        shape = (len(spans[0]), len(spans[1]), bands)
        if values.shape != shape or 0 in shape:
            raise DataError(f"this piece has shape {shape}; got values of {values.shape}")
        region = tuple(slice(span.start, span.stop) for span in spans)
        with writing(self._path):
            self._writer.write(region, values)  # type: ignore[arg-type]

    def commit(self, attrs: Mapping[str, Any] | None = None) -> None:
        """Put the complete cube into its place, with its attributes where they are known only now.

        Raises:
            OutputError: it cannot be written.
        """
        with self._stack, writing(self._path):
            self._writer.finish(self._attrs if attrs is None else attrs)
            self._attrs = {}

    def abort(self) -> None:
        """Delete what is written; the path is as it was."""
        with contextlib.suppress(_AbortError), self._stack:
            raise _AbortError

    def __enter__(self) -> OpenWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        self.abort() if kind is not None else self.commit()


class _AbortError(Exception):
    """Makes the places that are written to give up."""


def open_writer(
    path: PathLike,
    shape: tuple[int, int, int],
    wavelengths_nm: npt.ArrayLike,
    attrs: Mapping[str, Any] | None = None,
    *,
    dtype: CubeType = "float32",
    pieces: tuple[int, int] | None = None,
    overwrite: bool = False,
    format: str | None = None,  # noqa: A002 - as save_cube
) -> OpenWriter:
    """Begin a cube that is written piece by piece; the file has the bytes of ``save_cube``'s.

    Used with ``with``, it is complete at the end of the block and not there if the block raises.

    Args:
        path: its suffix names the format: Zarr and ENVI can be written so.
        shape: (y, x, band).
        wavelengths_nm: shape (band,), ascending, nm.
        attrs: of the cube.
        dtype: of the stored values; ENVI has float32 alone.
        pieces: rows and columns of the pieces, where these are written by several processes;
            the chunks of a Zarr store then divide them.
        overwrite: replace what is there.
        format: by name, where the suffix is not enough.

    Raises:
        ConfigError: a format that is written as a whole.
        DataError: not ascending wavelengths, or another number of them than bands.
        OutputError: the path exists, or cannot be written.

    Example:
        >>> with open_writer("big.zarr", (20000, 20000, 31), range(400, 701, 10)) as out:
        ...     for y in range(0, 20000, 200):  # doctest: +SKIP
        ...         out.write(slice(y, y + 200), recover(y))
    """
    path = Path(path)
    entry = FORMATS.for_writing(path, format)
    if entry.writer is None:
        raise _as_a_whole(entry.title)
    with contextlib.ExitStack() as stack:
        paths = stack.enter_context(atomic_paths(entry.files(path), overwrite=overwrite))
        writer = entry.writer(paths, shape, wavelengths_nm, dtype=dtype, pieces=pieces)
        if len(shape) != 3 or min(shape) < 1 or shape[2] != writer.wavelengths_nm.size:
            raise DataError(
                f"a cube of shape {shape} has {writer.wavelengths_nm.size} wavelengths; "
                "it has one a band, and at least one pixel"
            )
        with writing(path):
            writer.create()
        return OpenWriter(path, writer, attrs or {}, stack.pop_all())
