"""What is checked of an HDF5 file before the HDF5 library reads it.

The library loops without end over a global heap with an object of no size, and holds the
interpreter while it does. So the heaps (HDF5 File Format Specification 3.0, III.E) are walked here
first. It copes with other damage by itself.
"""

from __future__ import annotations

import mmap
from pathlib import Path

from respectra.errors import FormatError

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HEAP = b"GCOL\x01"
_HEADER = 16  # of a heap and of an object in it


def check_heaps(path: Path) -> None:
    """Refuse a file with a global heap that cannot be walked.

    Raises:
        FormatError: such a heap, or lengths of an unusual width.
    """
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        block = data.find(HDF5_SIGNATURE, 0, 2**20)
        widths_at = block + (13 if data[block + 8] < 2 else 9)
        if block < 0 or data[widths_at : widths_at + 2] != b"\x08\x08":
            raise FormatError(f"{path} is not an HDF5 file with addresses of 64 bits")
        start = data.find(_HEAP)
        while start >= 0:
            end = start + _integer(data, start + 8)
            # A heap that reaches beyond the file is another's text, or refused by the library.
            if end <= len(data) and not _is_walkable(data, start + _HEADER, end):
                raise FormatError(f"{path} is damaged: it has a heap that cannot be read")
            start = data.find(_HEAP, start + 1)


def _is_walkable(data: mmap.mmap, at: int, end: int) -> bool:
    while at + _HEADER <= end:
        size = _integer(data, at + 8)
        # Of free space, object 0, the size includes the header.
        is_free = data[at : at + 2] == b"\0\0"
        step = size if is_free else _HEADER + -(-size // 8) * 8
        if step < _HEADER or at + step > end:
            return False
        at += step
    return True


def _integer(data: mmap.mmap, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")
