"""Laws of the datasets room."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from respectra.cameras import get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.datasets.metamers import metamers
from respectra.datasets.textures import power_law_fields

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, strength=st.floats(0.01, 1.0))
def test_metamers_look_alike_and_stay_reflectances(seed, strength):
    rng = np.random.default_rng(seed)
    r = rng.uniform(0.01, 0.99, (5, 31))
    camera = get_track("clean").response_matrix(CHALLENGE_WAVELENGTHS_NM)
    changed = metamers(r, camera, CHALLENGE_WAVELENGTHS_NM, rng, strength=strength)
    np.testing.assert_allclose(changed @ camera, r @ camera, atol=1e-9)
    assert (changed > 0).all()
    assert (changed < 1).all()
    assert np.abs(changed - r).max() > 0


@settings(max_examples=10, deadline=None)
@given(seed=seeds, slope=st.floats(0.8, 1.8))
def test_a_power_law_field_has_the_slope_it_was_given(seed, slope):
    field = power_law_fields(1, 128, 128, np.random.default_rng(seed), (slope, slope))[0]
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128))
    amplitude = np.abs(np.fft.fft2(field))
    ring = (frequency > 0.02) & (frequency < 0.4)
    measured = np.polyfit(np.log(frequency[ring]), np.log(amplitude[ring]), 1)[0]
    assert abs(measured + slope) < 0.1
