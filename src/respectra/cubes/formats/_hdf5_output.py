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


class _PatientFile(io.RawIOBase):
    """A file whose writes succeed; the first one that did not is remembered."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.failure: OSError | None = None
        self._file = path.open("w+b", buffering=0)
        self._size = 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_END:  # the end as the library knows it
            offset, whence = self._size + offset, io.SEEK_SET
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        count = self._file.readinto(view) or 0
        if self.failure is not None and count < len(view):  # where nothing could be written
            view[count:] = bytes(len(view) - count)
            count = len(view)
        return count

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        start = self._file.tell()
        done = 0
        try:
            while self.failure is None and done < len(view):
                done += self._file.write(view[done:]) or 0
        except OSError as error:
            self.failure = error
        self._file.seek(start + len(view))
        self._size = max(self._size, start + len(view))
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        length = self.tell() if size is None else size
        try:
            if self.failure is None:
                self._file.truncate(length)
        except OSError as error:
            self.failure = error
        self._size = length
        return length

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._file.close()


@contextlib.contextmanager
def hdf5_output(path: Path) -> Iterator[Any]:
    """A new file for an HDF5 library to write, which is to be closed by that within the block.

    Raises:
        OSError: something could not be written; the block has ended nevertheless.
    """
    file = _PatientFile(path)
    try:
        yield file
    except Exception:
        if file.failure is None:
            raise
    finally:
        file.close()
    if file.failure is not None:
        raise file.failure
