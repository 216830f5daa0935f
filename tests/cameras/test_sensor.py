import numpy as np
import pytest
import scipy.stats

from respectra.cameras import sensor
from respectra.cameras.sensor import demosaic, mosaic
from respectra.errors import ConfigError, DataError


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


def test_rggb_layout():
    rgb = np.arange(4 * 4 * 3).reshape(4, 4, 3)
    raw = mosaic(rgb)
    assert raw[0, 0] == rgb[0, 0, 0]
    assert raw[0, 1] == rgb[0, 1, 1]
    assert raw[1, 0] == rgb[1, 0, 1]
    assert raw[3, 3] == rgb[3, 3, 2]


@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize("algorithm", ["edge-aware", "bilinear"])
def test_a_pure_colour_comes_back_in_its_channel(channel, algorithm):
    rgb = np.zeros((8, 10, 3), np.uint16)
    rgb[..., channel] = 50_000
    np.testing.assert_array_equal(demosaic(mosaic(rgb), algorithm), rgb)


def test_the_border_repeats_its_neighbours(rng):
    rgb = demosaic(mosaic(rng.integers(0, 65536, (8, 10, 3), dtype=np.uint16)))
    np.testing.assert_array_equal(rgb[0], rgb[1])
    np.testing.assert_array_equal(rgb[:, -1], rgb[:, -2])


def test_too_small():
    with pytest.raises(DataError, match="at least 4 × 4"):
        demosaic(np.zeros((2, 8), np.uint16))


def add_noise(electrons, **options):
    out = np.empty_like(electrons)
    sensor.expose(electrons, 1.0, lambda noisy: noisy, out=out, **options)
    return out


@pytest.mark.parametrize("mean", [0.3, 8.0, 5000.0])
def test_shot_noise_is_poisson(mean):
    draws = add_noise(np.full((300, 200), mean), seed=1).ravel()
    low, high = scipy.stats.poisson.ppf([0.001, 0.999], mean)
    step = max(1, int((high - low) / 20))
    edges = np.arange(low - 0.5, high + step, step)
    inside = scipy.stats.poisson.cdf(edges[1:], mean) - scipy.stats.poisson.cdf(edges[:-1], mean)
    seen = np.histogram(draws, edges)[0]
    keep = inside * draws.size > 5
    expected = inside[keep] * seen[keep].sum() / inside[keep].sum()
    assert scipy.stats.chisquare(seen[keep], expected).pvalue > 1e-4


def test_dark_noise_is_normal_of_the_given_spread():
    draws = add_noise(np.zeros((300, 200)), seed=1, dark_sigma_e=100.0).ravel()
    assert scipy.stats.kstest(draws / 100, "norm").pvalue > 1e-3


def test_streams_differ_by_seed_key_and_block():
    first = [
        sensor.noise_generator(*which).random()
        for which in ((0, "", 0), (1, "", 0), (0, "a", 0), (0, "", 1))
    ]
    assert len(set(first)) == 4


def test_units_are_those_of_the_signal():
    signal = np.full((300, 200), 0.25)
    sensor.expose(signal, 1000.0, lambda noisy: noisy / 1000.0, out=signal, seed=0)
    assert signal.mean() == pytest.approx(0.25, rel=1e-3)
    assert signal.std() == pytest.approx(np.sqrt(250) / 1000, rel=0.02)


def test_rows_do_not_depend_on_those_below():
    tall, short = np.full((200, 8), 50.0), np.full((128, 8), 50.0)
    np.testing.assert_array_equal(add_noise(tall, seed=3)[:128], add_noise(short, seed=3))


def test_refuses():
    with pytest.raises(DataError, match="counts between"):
        add_noise(np.full((2, 2), -1.0), seed=0)
    with pytest.raises(DataError, match="counts between"):
        add_noise(np.full((2, 2), 1e18), seed=0)
    with pytest.raises(ConfigError, match="non-negative integer"):
        sensor.noise_generator(-1, "", 0)
