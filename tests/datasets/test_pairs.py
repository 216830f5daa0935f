from __future__ import annotations

import numpy as np
import pytest

from respectra.datasets.pairs import render_pairs
from respectra.errors import ConfigError, DataError

R = np.linspace(0.05, 1.2, 8 * 5).reshape(8, 5)
E = np.array([[1.0, 1, 1, 1, 1], [0.2, 0.4, 0.6, 0.8, 1.0]])
F = np.abs(np.random.default_rng(1).normal(size=(5, 3))) / 5


def test_pixels_are_in_range_and_obey_the_camera() -> None:
    pairs = render_pairs(R, E, F, 500, seed=3, exposure_range=(0.1, 1.0))
    np.testing.assert_allclose(pairs.rgb, pairs.spectra @ F, rtol=1e-12)
    assert pairs.rgb.max() <= 1 + 1e-12
    assert pairs.spectra.min() >= 0


def test_the_seed_decides() -> None:
    one, two = (render_pairs(R, E, F, 50, seed=seed).rgb for seed in (7, 7))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, render_pairs(R, E, F, 50, seed=8).rgb)


def test_frequencies_select() -> None:
    only = np.zeros(len(R))
    only[2] = 1
    pairs = render_pairs(
        R, E[:1], F, 20, seed=0, exposure_range=(1, 1), weights=only, illuminant_weights=[1]
    )
    expected = R[2] / (E[0] @ F).max()
    np.testing.assert_allclose(pairs.spectra, np.broadcast_to(expected, (20, 5)), rtol=1e-12)


def test_bad_input_is_refused() -> None:
    with pytest.raises(DataError, match="share their bands"):
        render_pairs(R[:, :4], E, F, 5, seed=0)
    with pytest.raises(DataError, match="none negative"):
        render_pairs(-R, E, F, 5, seed=0)
    with pytest.raises(DataError, match="invisible"):
        render_pairs(R, E * 0, F, 5, seed=0)
    with pytest.raises(ConfigError, match="exposure_range"):
        render_pairs(R, E, F, 5, seed=0, exposure_range=(0.0, 1.0))
    with pytest.raises(DataError, match="8 numbers"):
        render_pairs(R, E, F, 5, seed=0, weights=[1.0])
