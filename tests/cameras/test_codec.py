import numpy as np
import pytest

from respectra.cameras import codec
from respectra.errors import FormatError


def quantisation_tables(data):
    """Tables of a JPEG, by number: the 64 values after each DQT marker."""
    tables, position = {}, 2
    while data[position + 1] != 0xDA:
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if data[position + 1] == 0xDB:
            body = data[position + 4 : position + 2 + length]
            for start in range(0, len(body), 65):
                tables[body[start]] = list(body[start + 1 : start + 65])
        position += 2 + length
    return tables


def test_truncation_and_clipping():
    values = np.array([-3.0, 0.0, 0.999, 1.0, 254.999, 255.0, 300.0])
    np.testing.assert_array_equal(codec.quantise(values), [0, 0, 0, 1, 254, 255, 255])
    np.testing.assert_array_equal(codec.quantise(values, "nearest"), [0, 0, 1, 1, 255, 255, 255])


def test_png_is_lossless_in_rgb_order(rng):
    codes = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(codec.decode(codec.encode_png(codes)), codes)


def test_jpeg_keeps_channels_apart():
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    back = codec.decode(codec.encode_jpeg(red)).astype(int)
    assert np.abs(back - red).max() <= 3


def test_official_jpegs_have_our_tables(data_dir):
    ours = quantisation_tables(codec.encode_jpeg(np.zeros((16, 16, 3), np.uint8)))
    assert len(ours) == 2
    files = sorted((data_dir / "ntire2020_inputs").glob("*.jpg"))
    assert len(files) == 20
    for file in files:
        assert quantisation_tables(file.read_bytes()) == ours


def test_damaged_data():
    with pytest.raises(FormatError, match="not a PNG or JPEG"):
        codec.decode(b"nothing of the kind")
