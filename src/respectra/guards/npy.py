"""NumPy's files, NPY and NPZ: arrays of numbers and text, never pickles."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

from respectra.errors import FormatError, RespectraError, no_file, said_by
from respectra.guards.limits import refuse_bomb

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_PIECE = 2**22
_MOST_MEMBERS = 20_000

_Opener = Callable[[], contextlib.AbstractContextManager[IO[bytes]]]


@dataclass(frozen=True)
class NpyArray:
    """An array of an NPY file or an NPZ archive, known before its values are read.

    Attributes:
        where: what messages call it.
        shape: as NumPy shows it.
        dtype: of the values.
        order: of the values in the file.
        offset: bytes before the values in what holds them.
        stored_bytes: what the file gives for them.
        compressed: whether they may take less room there than in memory.
    """

    where: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"]
    offset: int
    stored_bytes: int
    compressed: bool
    _open: _Opener

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the values in memory."""
        return self.size * self.dtype.itemsize

    def read(self) -> npt.NDArray[Any]:
        """The values."""
        refuse_bomb(
            self.where,
            needed_bytes=self.nbytes,
            stored_bytes=self.stored_bytes,
            compressed=self.compressed,
        )
        values, held = np.empty(self.size, self.dtype), 0
        if self.nbytes:
            room = memoryview(values.view(np.uint8).data)
            with self._open() as file:
                file.read(self.offset)
                while count := file.readinto(room[held : held + _PIECE]):  # type: ignore[attr-defined]
                    held += count
        if held != self.nbytes:
            raise FormatError(f"{self.where} promises {self.nbytes:,} bytes and holds {held:,}")
        return values.reshape(self.shape, order=self.order)


def open_npy(path: str | os.PathLike[str]) -> NpyArray:
    """The array of an NPY file."""
    file = Path(path)
    return _described(str(path), file, lambda: file.open("rb"), file.stat().st_size)


def open_npz(path: str | os.PathLike[str]) -> dict[str, NpyArray]:
    """The arrays of an NPZ archive by name, without the suffix ``.npy``."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
    except FileNotFoundError:
        raise no_file(path) from None
    except Exception as error:
        raise FormatError(f"{path} is damaged or not an NPZ archive: {said_by(error)}") from None
    if len(members) > _MOST_MEMBERS:
        raise FormatError(f"{path} has more than {_MOST_MEMBERS} members")
    found: dict[str, NpyArray] = {}
    for info in members:
        name = info.filename.removesuffix(".npy")
        if info.compress_type not in _METHODS or info.flag_bits & 1:
            raise FormatError(
                f"{path}: {name!r} is encrypted or packed with a method that NumPy does not "
                "write; save it again with numpy.savez or numpy.savez_compressed"
            )
        opener = functools.partial(_opened, path, info)
        packed = info.compress_type != zipfile.ZIP_STORED
        where = f"{info.filename} in {path}"
        found[name] = _described(where, Path(path), opener, info.compress_size, packed)
    return found


def read_npy(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """The values of an NPY file."""
    return open_npy(path).read()


def read_npz(
    path: str | os.PathLike[str], most_bytes: int | None = None
) -> dict[str, npt.NDArray[Any]]:
    """The values of all arrays of an NPZ archive by name.

    Args:
        path: the archive.
        most_bytes: of all arrays together; by default what a bomb is decides.
    """
    arrays = open_npz(path)
    total = sum(array.nbytes for array in arrays.values())
    size = Path(path).stat().st_size
    refuse_bomb(path, needed_bytes=total, stored_bytes=size, pieces=len(arrays))
    if most_bytes is not None and total > most_bytes:
        raise FormatError(
            f"{path} holds {total:,} bytes of arrays; at most {most_bytes:,} are read"
        )
    return {name: array.read() for name, array in arrays.items()}


def _described(
    where: str, path: Path, opener: _Opener, length: int, compressed: bool = False
) -> NpyArray:
    """What the header of an array says, which takes so many bytes of a file or a member of one."""
    with opener() as file:
        try:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):  # later versions are for records; their headers can be gigabytes
                raise FormatError(
                    f"{where}: NPY version {version} only serves records; numbers are needed"
                )
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        except FormatError:
            raise
        except Exception as error:  # the header is Python text, which can make anything be raised
            raise FormatError(f"{where} is damaged or not an NPY array: {said_by(error)}") from None
        offset = file.tell()
    wrong = dtype.hasobject or not dtype.itemsize
    if wrong or any(not isinstance(n, int) or n < 0 for n in shape):
        raise FormatError(f"{where} holds Python objects, which are never loaded, or no shape")
    stored = min(length, path.stat().st_size)
    stored = stored if compressed else max(0, stored - offset)
    order: Literal["C", "F"] = "F" if fortran else "C"
    return NpyArray(where, shape, dtype, order, offset, stored, compressed, opener)


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str], info: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
    """A member of an archive."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(info) as member:
            yield member
    except (RespectraError, MemoryError):
        raise
    except Exception as error:
        raise FormatError(
            f"{info.filename} in {path} cannot be unpacked: {said_by(error)}"
        ) from None
