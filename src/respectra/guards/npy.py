"""NumPy's files, NPY and NPZ: arrays of numbers and text, never pickles."""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from respectra.errors import FormatError, no_file, said_by
from respectra.guards.limits import refuse_bomb

_STORED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_PIECE = 2**22
_MOST_MEMBERS = 20_000


def read_npy_header(file: IO[bytes], where: object) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    """The shape, the type and the order of an NPY array; the file is left where its values begin.

    Args:
        file: at its beginning.
        where: for messages.

    Returns:
        shape, type, and whether the values lie in the order of Fortran.

    Raises:
        FormatError: no NPY, of a version that serves records, or of objects.
    """
    try:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):  # later versions exist for records, whose headers can be gigabytes
            raise FormatError(
                f"{where}: NPY version {version} only serves records; numbers are needed"
            )
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    except FormatError:
        raise
    except Exception as error:  # the header is Python text, which can make anything be raised
        raise FormatError(f"{where} is damaged or not an NPY array: {said_by(error)}") from None
    if dtype.hasobject or any(not isinstance(n, int) or n < 0 for n in shape):
        raise FormatError(f"{where} holds Python objects, which are never loaded, or no shape")
    return shape, dtype, fortran


def read_npy(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """The array of an NPY file.

    Raises:
        FormatError: as :func:`read_npy_header`; also a file shorter than it promises.
        DataError: it does not fit into memory.
    """
    file = Path(path)
    with file.open("rb") as stream:
        shape, dtype, fortran = read_npy_header(stream, file)
        stored = file.stat().st_size - stream.tell()
        refuse_bomb(
            file,
            needed_bytes=math.prod(shape) * dtype.itemsize,
            stored_bytes=stored,
            compressed=False,
        )
        values = np.fromfile(stream, dtype, math.prod(shape)) if dtype.itemsize else np.empty(0)
    return values.reshape(shape, order="F" if fortran else "C")


def npz_members(path: str | os.PathLike[str]) -> dict[str, zipfile.ZipInfo]:
    """The members of an NPZ archive by name, without the suffix ``.npy``.

    Raises:
        FormatError: no archive, too many members, or packed with anything else than deflate.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {
                info.filename.removesuffix(".npy"): info
                for info in archive.infolist()
                if info.filename.endswith(".npy")
            }
    except FileNotFoundError:
        raise no_file(path) from None
    except Exception as error:
        raise FormatError(f"{path} is damaged or not an NPZ archive: {said_by(error)}") from None
    if len(members) > _MOST_MEMBERS:
        raise FormatError(f"{path} has more than {_MOST_MEMBERS} members")
    for name, info in members.items():
        if info.compress_type not in _STORED or info.flag_bits & 1:
            raise FormatError(
                f"{path}: {name!r} is encrypted or packed with a method that NumPy does not "
                "write; save it again with numpy.savez or numpy.savez_compressed"
            )
    return members


def read_member_header(
    path: str | os.PathLike[str], info: zipfile.ZipInfo
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The shape and the type of an array in an NPZ archive.

    Raises:
        FormatError: the archive or the header is damaged.
    """
    where = f"{info.filename} in {path}"
    with _opened(path, info, where) as member:
        shape, dtype, _ = read_npy_header(member, where)
    return shape, dtype


def read_member(path: str | os.PathLike[str], info: zipfile.ZipInfo) -> npt.NDArray[Any]:
    """An array of an NPZ archive.

    Raises:
        FormatError: damaged, of objects, or longer than it may be.
        DataError: it does not fit into memory.
    """
    where = f"{info.filename} in {path}"
    with _opened(path, info, where) as member:
        shape, dtype, fortran = read_npy_header(member, where)
        needed = math.prod(shape) * dtype.itemsize
        size = Path(path).stat().st_size
        plain = info.compress_type == zipfile.ZIP_STORED
        refuse_bomb(
            where,
            needed_bytes=needed,
            stored_bytes=min(info.compress_size, size),
            compressed=not plain,
        )
        values = np.empty(math.prod(shape), dtype)
        held = _fill(values, member, where) if needed else 0
    if held != needed:
        raise FormatError(f"{where} promises {needed:,} bytes and holds {held:,}")
    return values.reshape(shape, order="F" if fortran else "C")


def read_npz(
    path: str | os.PathLike[str], most_bytes: int | None = None
) -> dict[str, npt.NDArray[Any]]:
    """All arrays of an NPZ archive by name.

    Args:
        path: the archive.
        most_bytes: of all arrays together; by default what a bomb is decides.

    Raises:
        FormatError: damaged, of objects, or larger than it may be.
    """
    members = npz_members(path)
    total = 0
    for info in members.values():
        shape, dtype = read_member_header(path, info)
        total += math.prod(shape) * dtype.itemsize
    size = Path(path).stat().st_size
    refuse_bomb(path, needed_bytes=total, stored_bytes=size, pieces=len(members))
    if most_bytes is not None and total > most_bytes:
        raise FormatError(
            f"{path} holds {total:,} bytes of arrays; at most {most_bytes:,} are read"
        )
    return {name: read_member(path, info) for name, info in members.items()}


def _fill(values: npt.NDArray[Any], member: IO[bytes], where: str) -> int:
    """Read into an array, piece by piece; gives the bytes that came."""
    room, held = memoryview(values.view(np.uint8).data), 0
    try:
        while held < len(room) and (data := member.read(min(_PIECE, len(room) - held))):
            room[held : held + len(data)] = data
            held += len(data)
    except Exception as error:
        raise FormatError(f"{where} cannot be unpacked: {str(error)[:200]}") from None
    return held


class _opened:  # noqa: N801 - a context manager
    """A member of an archive; what opening raises is explained."""

    def __init__(self, path: str | os.PathLike[str], info: zipfile.ZipInfo, where: str) -> None:
        self._path, self._info, self._where = path, info, where

    def __enter__(self) -> IO[bytes]:
        try:
            self._archive = zipfile.ZipFile(self._path)
            self._member = self._archive.open(self._info)
        except Exception as error:
            raise FormatError(f"{self._where} cannot be read: {said_by(error)}") from None
        return self._member

    def __exit__(self, *args: object) -> None:
        self._member.close()
        self._archive.close()
