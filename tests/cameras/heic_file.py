"""Tiny HEIC files: 64 x 64 pixels, the left half (200, 60, 30), the right half (40, 90, 200)."""

import base64
import struct

#: HEVC, 4:4:4, full range: its configuration and its one picture.
_CONFIGURATION = base64.b64decode(
    "AAAAd2h2Y0MBBAgAAACeKAAAAAAe8AD8//j4AAAPAyAAAQAXQAEMAf//BAgAAAMAnigAAAMAAB66AkAhAAEAKkIBAQQI"
    "AAADAJ4oAAADAAAekAQQILLdSSZXNwENAQQAAAMABAAAAwAEICIAAQAIRAHBcDBgESA="
)
_PICTURE = base64.b64decode("AAAAJygBrwZ4YWbVf2L////l1P6H9598oC5O3I/yYzv//RSEvfZrbBIxwA==")


def heic(*, icc=None, nclx=(1, 13, 1), size=(64, 64)):
    """The bytes of a file; ``size`` (width, height) is what it claims."""
    colour = [b"nclx" + struct.pack(">HHHB", *nclx, 0x80)]
    if icc:
        colour.insert(0, b"prof" + icc)
    properties = [_CONFIGURATION, _full(b"ispe", struct.pack(">II", *size))]
    properties += [_box(b"colr", part) for part in colour]
    links = bytes([0x81, *range(2, len(properties) + 1)])
    used = struct.pack(">IHB", 1, 1, len(links)) + links
    location = struct.pack(">BBHHHH", 0x44, 0, 1, 1, 0, 1)
    parts = [
        _full(b"hdlr", bytes(4) + b"pict" + bytes(13)),
        _full(b"pitm", struct.pack(">H", 1)),
        _full(b"iinf", struct.pack(">H", 1) + _full(b"infe", b"\0\1\0\0hvc1\0", version=2)),
        _box(b"iprp", _box(b"ipco", b"".join(properties)) + _full(b"ipma", used)),
    ]
    start = _box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")
    length = sum(map(len, parts)) + 12 + len(location) + 12 + 8
    offset = len(start) + length + 8
    parts.append(_full(b"iloc", location + struct.pack(">II", offset, len(_PICTURE))))
    meta = _full(b"meta", b"".join(parts))
    assert len(meta) == length
    return start + meta + _box(b"mdat", _PICTURE)


def _box(kind, body):
    return struct.pack(">I", 8 + len(body)) + kind + body


def _full(kind, body, version=0):
    return _box(kind, bytes([version, 0, 0, 0]) + body)
