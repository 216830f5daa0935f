import numpy as np
import pytest

from respectra.cameras import sensor
from respectra.cameras.sensor import mosaic


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (64, 33), (150, 47)])
def test_sums_over_bands(rng, shape):
    values = rng.random((*shape, 31), dtype=np.float32)
    matrix = rng.random((31, 3))
    expected = np.einsum("yxb,bc->yxc", values.astype(np.float64), matrix)
    np.testing.assert_allclose(sensor.project(values, matrix), expected, rtol=1e-13)
    np.testing.assert_allclose(sensor.project_mosaic(values, matrix), mosaic(expected), rtol=1e-13)


def test_blocks_cover_every_row_once():
    seen = []
    sensor.for_row_blocks(200, lambda start, stop: seen.extend(range(start, stop)))
    assert sorted(seen) == list(range(200))


def test_an_error_in_a_block_is_raised():
    def work(start, stop):
        if start:
            raise ValueError("second block")

    with pytest.raises(ValueError, match="second block"):
        sensor.for_row_blocks(100, work)
