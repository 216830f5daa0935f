import io
import struct

import numpy as np
import pytest
import tifffile

from respectra.errors import FormatError
from respectra.guards.tiff import check_tiff

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
    "options",
    [{}, {"compression": "lzw", "rowsperstrip": 16}, {"tile": (16, 16)}, {"bigtiff": True},
     {"byteorder": ">"}, {"planarconfig": "separate"}],
)  # fmt: skip
def test_whole_files_pass(tmp_path, options):
    values = PICTURE.transpose(2, 0, 1) if "planarconfig" in options else PICTURE
    (tmp_path / "a.tif").write_bytes(encoded(values, **options))
    check_tiff(tmp_path / "a.tif")


@pytest.mark.parametrize(("options", "tags"), [
    ({"tile": (16, 16), "compression": "zlib"}, {"t256": 8000, "t257": 8000}),
    ({"rowsperstrip": 1, "compression": "zlib"}, {"t257": 250_000}),
])  # fmt: skip
def test_more_pieces_than_a_file_can_place(tmp_path, options, tags):
    (tmp_path / "a.tif").write_bytes(changed(encoded(PICTURE[:8, :8], **options), **tags))
    with pytest.raises(FormatError, match="claims 250,000 pieces"):
        check_tiff(tmp_path / "a.tif")


def test_pages_in_a_circle_and_beyond_the_end(tmp_path):
    path = tmp_path / "a.tif"
    data = bytearray(encoded())
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    for next_page, message in ((start, "no end"), (10**9, "beyond its end")):
        struct.pack_into("<I", data, start + 2 + 12 * count, next_page)
        path.write_bytes(data)
        with pytest.raises(FormatError, match=message):
            check_tiff(path)
    for broken in (b"", b"II*\0", bytes(data[: start + 20]), b"PNG" * 99):
        path.write_bytes(broken)
        with pytest.raises(FormatError):
            check_tiff(path)
