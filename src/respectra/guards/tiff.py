"""What opening a TIFF will cost, from its tags alone: no decoder is called, nothing is allocated.

The layout is that of TIFF 6.0 and of BigTIFF. A file of four kilobytes can claim a quarter of a
million tiles, or pages that point at one another; all that is found here. What the values cost is
for who reads them (:func:`respectra.guards.limits.refuse_bomb`).
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from respectra.errors import FormatError
from respectra.guards.limits import refuse_bomb

_MAGICS = {b"II*\0": ("<", False), b"MM\0*": (">", False), b"II+\0": ("<", True), b"MM\0+": (">", True)}  # fmt: skip # noqa: E501
#: Letter of :mod:`struct` of a whole number, by the number of its type.
_LETTERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_WIDTH, _HEIGHT, _BITS, _SAMPLES, _PLANAR = 256, 257, 258, 277, 284
_STRIP_OFFSETS, _ROWS, _STRIP_COUNTS = 273, 278, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS = 322, 323, 324, 325
_MOST_PAGES = 100_000
_MOST_TAGS = 4096


def check_tiff(path: str | os.PathLike[str]) -> None:
    """Refuse a TIFF that no library may open."""
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            pieces = max(_pieces(file, size, path), default=0)
    except (struct.error, OverflowError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path} is damaged: {error}") from None
    refuse_bomb(path, needed_bytes=0, stored_bytes=size, pieces=pieces)


def _pieces(file: IO[bytes], size: int, where: object) -> Iterator[int]:
    """Strips or tiles of each page."""
    file.seek(0)
    head = file.read(16)
    if head[:4] not in _MAGICS:
        raise FormatError(f"{where} is not a TIFF")
    order, big = _MAGICS[head[:4]]
    form, at, width = ("Q", 8, 8) if big else ("I", 4, 4)
    (offset,) = struct.unpack_from(order + form, head, at)
    seen: set[int] = set()
    while offset:
        if offset in seen or len(seen) >= _MOST_PAGES:
            raise FormatError(f"{where} is damaged: its pages have no end")
        if offset >= size:
            raise FormatError(f"{where} is cut short: a page lies beyond its end; copy it again")
        seen.add(offset)
        file.seek(offset)
        count_width = 8 if big else 2
        (count,) = struct.unpack(order + ("Q" if big else "H"), file.read(count_width))
        entry = 20 if big else 12
        if count > _MOST_TAGS:
            raise FormatError(f"{where} is damaged: a page of {count:,} tags")
        entries = file.read(count * entry)
        after = file.read(width)
        if len(entries) != count * entry:
            raise FormatError(f"{where} is cut short in its tags; copy it again")
        yield _pieces_of_page(_Tags(file, size, order, big, entries, where), where)
        # Some writers leave the last page without its end.
        (offset,) = struct.unpack(order + form, after) if len(after) == width else (0,)


class _Tags:
    """The tags of a page; values are read when they are asked for."""

    def __init__(
        self, file: IO[bytes], size: int, order: str, big: bool, entries: bytes, where: object
    ) -> None:
        self._file, self._size, self._order, self._where = file, size, order, where
        self._inline = 8 if big else 4
        step = 20 if big else 12
        self._found: dict[int, tuple[int, int, bytes]] = {}
        for at in range(0, len(entries), step):
            code, kind = struct.unpack_from(f"{order}HH", entries, at)
            (count,) = struct.unpack_from(order + ("Q" if big else "I"), entries, at + 4)
            self._found.setdefault(
                code, (kind, count, entries[at + step - self._inline : at + step])
            )

    def __contains__(self, code: int) -> bool:
        return code in self._found

    def count(self, code: int) -> int:
        """Number of values of a tag; none of one that is not there."""
        return self._found[code][1] if code in self._found else 0

    def values(self, code: int) -> tuple[int, ...]:
        """Whole numbers of a tag; none of one that is not there or holds others."""
        if code not in self._found:
            return ()
        kind, count, inline = self._found[code]
        if kind not in _LETTERS:
            return ()
        form = f"{self._order}{count}{_LETTERS[kind]}"
        length = struct.calcsize(form)
        if length <= self._inline:
            data = inline[:length]
        else:
            (offset,) = struct.unpack(self._order + ("Q" if self._inline == 8 else "I"), inline)
            if offset + length > self._size:
                raise FormatError(f"{self._where} is cut short: the values of a tag are missing")
            self._file.seek(offset)
            data = self._file.read(length)
        return struct.unpack(form, data)

    def one(self, code: int, default: int) -> int:
        """The first number of a tag."""
        return next(iter(self.values(code)), default)


def _pieces_of_page(tags: _Tags, where: object) -> int:
    """Strips or tiles that have to be read, or that the page has places for, if these are more."""
    width, height = tags.one(_WIDTH, 0), tags.one(_HEIGHT, 0)
    planes = tags.one(_SAMPLES, 1) if tags.one(_PLANAR, 1) == 2 else 1
    tiled = _TILE_OFFSETS in tags or _TILE_WIDTH in tags
    for code in (_BITS, _TILE_COUNTS if tiled else _STRIP_COUNTS):
        tags.values(code)  # which refuses what is cut short
    if tiled:
        across, down = tags.one(_TILE_WIDTH, 0), tags.one(_TILE_HEIGHT, 0)
        if across < 1 or down < 1:
            raise FormatError(f"{where} is damaged: tiles of {across} × {down} pixels")
        pieces = math.ceil(width / across) * math.ceil(height / down) * planes
    else:
        rows = max(1, min(tags.one(_ROWS, height), max(1, height)))
        pieces = math.ceil(height / rows) * planes
    places = tags.count(_TILE_OFFSETS if tiled else _STRIP_OFFSETS)
    if places > pieces * 2 + 16 and places > 4096:
        raise FormatError(f"{where} is damaged: {places:,} places for {pieces:,} strips or tiles")
    return max(pieces, places)
