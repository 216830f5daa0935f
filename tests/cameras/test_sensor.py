import numpy as np
import pytest
import scipy.stats

from respectra.cameras import sensor
from respectra.errors import ConfigError, DataError


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
