import io
import struct

import numpy as np
import pytest
import tifffile

from respectra.errors import FormatError
from respectra.guards.tiff import read_tiff_pages, refuse_tiff_bomb

PICTURE = np.random.default_rng(0).integers(0, 255, (64, 96, 3)).astype(np.uint8)


def encoded(values=PICTURE, **options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, **{"photometric": "rgb", **options})
    return stream.getvalue()


def changed(data, **tags):
    """A TIFF whose tags of these numbers have other values."""
    out = bytearray(data)
    (start,) = struct.unpack_from("<I", out, 4)
    (count,) = struct.unpack_from("<H", out, start)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        (code,) = struct.unpack_from("<H", out, at)
        if f"t{code}" in tags:
            struct.pack_into("<HII", out, at + 2, 4, 1, tags[f"t{code}"])
    return bytes(out)


@pytest.mark.parametrize(
    ("options", "pieces"),
    [
        ({}, 1),
        ({"compression": "zlib"}, 1),
        ({"compression": "lzw", "rowsperstrip": 16}, 4),
        ({"tile": (16, 16)}, 24),
        ({"bigtiff": True}, 1),
        ({"byteorder": ">"}, 1),
    ],
)
def test_pages_are_described_by_their_tags(options, pieces):
    data = encoded(**options)
    (page,) = read_tiff_pages(data)
    assert (page.width, page.height, page.samples, page.bits) == (96, 64, 3, 8)
    assert page.pieces == pieces
    assert page.nbytes == PICTURE.nbytes
    assert 0 < page.stored_bytes <= len(data)
    refuse_tiff_bomb("a.tif", [page], len(data))


def test_reduced_pages_are_told(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(PICTURE[::4, ::4], photometric="rgb", subfiletype=1)
        tiff.write(PICTURE, photometric="rgb")
    assert [page.reduced for page in read_tiff_pages(tmp_path / "a.tif")] == [True, False]


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"t256": 8000, "t257": 8000}, "250,000 pieces"),
        ({"t256": 2**31, "t257": 2**31}, "would grow"),
    ],
)
def test_bombs_are_refused(tags, message):
    data = changed(encoded(PICTURE[:8, :8], tile=(16, 16), compression="zlib"), **tags)
    with pytest.raises(FormatError, match=message):
        refuse_tiff_bomb("a.tif", read_tiff_pages(data), len(data))


def test_what_is_not_packed_must_be_there():
    data = changed(encoded(), t257=640)
    with pytest.raises(FormatError, match="truncated"):
        refuse_tiff_bomb("a.tif", read_tiff_pages(data), len(data))


def test_pages_in_a_circle_and_beyond_the_end():
    data = bytearray(encoded())
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    struct.pack_into("<I", data, start + 2 + 12 * count, start)
    with pytest.raises(FormatError, match="no end"):
        read_tiff_pages(bytes(data))
    struct.pack_into("<I", data, start + 2 + 12 * count, 10**9)
    with pytest.raises(FormatError, match="beyond its end"):
        read_tiff_pages(bytes(data))
    for broken in (b"", b"II*\0", bytes(data[: start + 20]), b"PNG" * 99):
        with pytest.raises(FormatError):
            read_tiff_pages(broken)
