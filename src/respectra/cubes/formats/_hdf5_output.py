"""Writing HDF5 to a disk that may be full.

The HDF5 library cannot close a file whose last values could not be written, and crashes the
process when Python ends. It is therefore given a file that never fails: what goes wrong is
remembered, and raised once the library has let go.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class _PatientFile(io.FileIO):
    """A file whose writes succeed; the first one that did not is remembered."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self.failure: OSError | None = None
        self._size = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_END:  # the end as the library knows it
            offset, whence = self._size + offset, io.SEEK_SET
        return super().seek(offset, whence)

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        count = super().readinto(view) or 0
        if self.failure is not None and count < len(view):  # where nothing could be written
            view[count:] = bytes(len(view) - count)
            count = len(view)
        return count

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        start, done = self.tell(), 0
        with self._remembering():
            while self.failure is None and done < len(view):
                done += super().write(view[done:]) or 0
        self.seek(start + len(view))
        self._size = max(self._size, start + len(view))
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        self._size = self.tell() if size is None else size
        with self._remembering():
            if self.failure is None:
                super().truncate(self._size)
        return self._size

    @contextlib.contextmanager
    def _remembering(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failure = error


@contextlib.contextmanager
def hdf5_output(path: Path) -> Iterator[Any]:
    """A new file for an HDF5 library to write, which is to be closed by that within the block.

    Raises:
        OSError: something could not be written; the block has ended nevertheless.
    """
    with _PatientFile(path) as file:
        try:
            yield file
        except Exception:
            if file.failure is None:
                raise
    if file.failure is not None:
        raise file.failure
