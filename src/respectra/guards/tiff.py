"""What opening a TIFF will cost, from its tags alone: no decoder is called, nothing is allocated.

The layout is that of TIFF 6.0 and of BigTIFF. A file of four kilobytes can claim a quarter of a
million tiles, pages that point at one another, or pictures of terabytes; all that is found here.
"""

from __future__ import annotations

import dataclasses
import io
import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from respectra.errors import FormatError
from respectra.guards.limits import refuse_bomb

_MAGICS = {b"II*\0": ("<", False), b"MM\0*": (">", False), b"II+\0": ("<", True), b"MM\0+": (">", True)}  # fmt: skip # noqa: E501
#: Bytes of a value, by the number of its type.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}  # fmt: skip # noqa: E501
_LETTERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES = 254, 256, 257, 258, 259, 277
_STRIP_OFFSETS, _ROWS, _STRIP_COUNTS, _PLANAR = 273, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS = 322, 323, 324, 325
_MOST_PAGES = 100_000
_MOST_TAGS = 4096
UNCOMPRESSED = 1


@dataclass(frozen=True)
class TiffPage:
    """A page as its tags describe it.

    Attributes:
        width: pixels.
        height: pixels.
        samples: values a pixel.
        bits: of a value.
        compression: number of the method; 1 is none.
        pieces: strips or tiles that have to be read.
        stored_bytes: of all pieces.
        reduced: whether it is a smaller copy of another page.
    """

    width: int
    height: int
    samples: int
    bits: int
    compression: int
    pieces: int
    stored_bytes: int
    reduced: bool

    @property
    def nbytes(self) -> int:
        """Bytes of the decoded values."""
        return self.width * self.height * self.samples * -(-self.bits // 8)


def read_tiff_pages(source: str | os.PathLike[str] | bytes, where: object = None) -> list[TiffPage]:
    """The pages of a TIFF, from their tags.

    Args:
        source: a path, or the whole file.
        where: what messages call it; the path by default.

    Raises:
        FormatError: no TIFF, pages without an end, or tags that point beyond the file.
    """
    name = where if where is not None else ("the TIFF" if isinstance(source, bytes) else source)
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as file:
            return list(_pages(file, name))
    except (struct.error, OverflowError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{name} is damaged: {error}") from None


def check_tiff(path: str | os.PathLike[str]) -> list[TiffPage]:
    """The pages of a TIFF that a library may open: they end, and their pieces can be in the file.

    What decoding them costs is for :func:`refuse_tiff_bomb`, once it is known which are read.

    Raises:
        FormatError: as :func:`read_tiff_pages`; also more strips or tiles than the file can place.
    """
    pages = read_tiff_pages(path)
    pieces = max((page.pieces for page in pages), default=0)
    size = Path(path).stat().st_size
    refuse_bomb(path, needed_bytes=0, stored_bytes=size, pieces=pieces)
    return pages


def refuse_tiff_bomb(
    where: str | os.PathLike[str], pages: list[TiffPage], file_bytes: int, working_bytes: int = 0
) -> None:
    """Refuse pages that cost more than their file can justify; see ``limits.refuse_bomb``.

    Args:
        where: what messages call the file.
        pages: those that will be read.
        file_bytes: of the file.
        working_bytes: needed besides the decoded values.

    Raises:
        FormatError, DataError: as ``limits.refuse_bomb``.
    """
    stored = min(file_bytes, sum(page.stored_bytes for page in pages))
    refuse_bomb(
        where,
        needed_bytes=sum(page.nbytes for page in pages),
        stored_bytes=stored,
        # Values of fewer than eight bits unpack to whole bytes.
        compressed=any(page.compression != UNCOMPRESSED or page.bits % 8 for page in pages),
        working_bytes=working_bytes,
    )
    # Where each piece lies takes room in the file as well.
    pieces = sum(page.pieces for page in pages)
    refuse_bomb(where, needed_bytes=0, stored_bytes=file_bytes, pieces=pieces)


def _pages(file: IO[bytes], where: object) -> Iterator[TiffPage]:
    size = file.seek(0, os.SEEK_END)
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
        tags = _Tags(file, size, order, big, entries, where)
        yield _page(tags, where)
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
        length = count * _SIZES.get(kind, 1)
        if kind not in _LETTERS:
            return ()
        if length <= self._inline:
            data = inline[:length]
        else:
            (offset,) = struct.unpack(self._order + ("Q" if self._inline == 8 else "I"), inline)
            if offset + length > self._size:
                raise FormatError(f"{self._where} is cut short: the values of a tag are missing")
            self._file.seek(offset)
            data = self._file.read(length)
        return struct.unpack(f"{self._order}{count}{_LETTERS[kind]}", data)

    def one(self, code: int, default: int) -> int:
        """The first number of a tag."""
        return next(iter(self.values(code)), default)


def _page(tags: _Tags, where: object) -> TiffPage:
    width, height = tags.one(_WIDTH, 0), tags.one(_HEIGHT, 0)
    samples = tags.one(_SAMPLES, 1)
    tiled = _TILE_OFFSETS in tags or _TILE_WIDTH in tags
    planes = samples if tags.one(_PLANAR, 1) == 2 else 1
    if tiled:
        across, down = tags.one(_TILE_WIDTH, 0), tags.one(_TILE_HEIGHT, 0)
        if across < 1 or down < 1:
            raise FormatError(f"{where} is damaged: tiles of {across} × {down} pixels")
        pieces = math.ceil(width / across) * math.ceil(height / down) * planes
    else:
        rows = max(1, min(tags.one(_ROWS, height), max(1, height)))
        pieces = math.ceil(height / rows) * planes
    counts = tags.values(_TILE_COUNTS if tiled else _STRIP_COUNTS)
    places = tags.count(_TILE_OFFSETS if tiled else _STRIP_OFFSETS)
    if places > pieces * 2 + 16 and places > 4096:
        raise FormatError(f"{where} is damaged: {places:,} places for {pieces:,} strips or tiles")
    bits = max(tags.values(_BITS)[: samples or 1], default=1)
    page = TiffPage(
        width, height, samples, bits, tags.one(_COMPRESSION, UNCOMPRESSED), max(pieces, places),
        sum(counts), bool(tags.one(_SUBFILE, 0) & 1),
    )  # fmt: skip
    # Without counts a reader takes what is needed, or all there is.
    return page if counts else dataclasses.replace(page, stored_bytes=page.nbytes)
