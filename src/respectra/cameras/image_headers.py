"""What an image file says of itself, read without decoding it.

Decoders allocate what a header claims and fill what is missing with grey; so the claims are read
and the file is checked to be complete before any of them is called.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import Literal, NamedTuple

from respectra.errors import FormatError

Kind = Literal["PNG", "JPEG", "TIFF"]

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_OTHERS = {
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"RIFF": "WebP or another RIFF file",
    b"%PDF": "PDF",
    b"\x89HDF": "HDF5",
    b"PK": "ZIP",
}


class Header(NamedTuple):
    """Format and claimed size of an image file."""

    kind: Kind
    width: int
    height: int
    channels: int


def read_header(data: bytes) -> Header:
    """Recognise an image file by its contents, and check that it is complete.

    Raises:
        FormatError: empty, of an unknown format, or cut short.
    """
    if not data:
        raise FormatError("the file is empty")
    if data.startswith(_PNG):
        return _png(data)
    if data.startswith(_JPEG):
        return _jpeg(data)
    if data.startswith(_TIFF):
        return _tiff(data)
    found = next((name for magic, name in _OTHERS.items() if data.startswith(magic)), None)
    known = "PNG, JPEG and TIFF are known"
    raise FormatError(f"its contents are {found}; {known}" if found else f"not an image; {known}")


def _png(data: bytes) -> Header:
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise FormatError("the PNG is cut short in its header")
    width, height, _depth, colour = struct.unpack(">IIBB", data[16:26])
    position = len(_PNG)
    while position + 12 <= len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        name = data[position + 4 : position + 8]
        end = position + 8 + length
        if end + 4 > len(data):
            break
        if zlib.crc32(data[position + 4 : end]) != struct.unpack(">I", data[end : end + 4])[0]:
            raise FormatError(f"the PNG is damaged: wrong checksum of its part {name!r}")
        if name == b"IEND":
            return Header("PNG", width, height, {0: 1, 4: 2, 6: 4}.get(colour, 3))
        position = end + 4
    raise FormatError(f"the PNG is cut short ({width} × {height} pixels claimed); copy it again")


def _jpeg(data: bytes) -> Header:
    position = 2
    header: Header | None = None
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            raise FormatError("the JPEG is damaged: a marker is missing")
        marker = data[position + 1]
        if marker == 0xFF:  # padding
            position += 1
            continue
        (length,) = struct.unpack(">H", data[position + 2 : position + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if position + 10 > len(data):
                break
            height, width, channels = struct.unpack(">HHB", data[position + 5 : position + 10])
            if channels not in (1, 3):
                raise FormatError(f"the JPEG has {channels} channels (CMYK); convert it to RGB")
            header = Header("JPEG", width, height, channels)
        elif marker == 0xDA:
            if header is None or data.find(b"\xff\xd9", position) < 0:
                break
            return header
        position += 2 + length
    raise FormatError("the JPEG is cut short; copy it again")


def _tiff(data: bytes) -> Header:
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as tiff:
            if not tiff.pages:
                raise FormatError("the TIFF holds no image")
            page = tiff.pages.first
            if len(tiff.pages) > 1 and tiff.pages[1].shape == page.shape:
                raise FormatError(
                    f"the TIFF holds {len(tiff.pages)} pages, not one picture; if they are the "
                    "bands of a cube, open it as a cube"
                )
            offsets = zip(page.dataoffsets, page.databytecounts, strict=True)
            if any(offset + count > len(data) for offset, count in offsets):
                raise FormatError("the TIFF is cut short; copy it again")
            return Header(
                "TIFF", int(page.imagewidth), int(page.imagelength), int(page.samplesperpixel)
            )
    except FormatError:
        raise
    except Exception as error:  # damaged files raise almost anything inside the reader
        raise FormatError(f"the TIFF is damaged ({error})") from error
