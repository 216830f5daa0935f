"""Whatever a method says, the camera sees what it saw: over the whole registry."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from respectra.cameras import get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, make_cube
from respectra.inference import Reconstructor
from respectra.inference.nearest_spectra import MOVED, move_into
from respectra.methods import (
    Weights,
    fresh_weights,
    get_card,
    list_methods,
    load_weights,
)
from respectra.methods.fitting import fit_on_measured_spectra
from respectra.methods.shipped import shipped

TRACK = get_track("clean")
CAMERA = TRACK.response_matrix(CHALLENGE_WAVELENGTHS_NM)


def weights_of(name: str) -> Weights:
    if name == "a-plus":
        return load_weights(shipped("clean", name="classical"))
    if get_card(name).kind == "classical":
        return fit_on_measured_spectra(name, track="clean")
    torch.manual_seed(3)
    return fresh_weights(name, preset="tiny")


@pytest.mark.parametrize("name", list_methods())
def test_rendering_gives_the_same_codes(name):
    if name in ("rbf", "sparse-coding", "nearest-neighbour", "root-polynomial"):
        pytest.skip("takes seconds to fit and is no different from the others here")
    rng = np.random.default_rng(5)
    side = max(16, get_card(name).size_minimum)
    light = rng.uniform(0.02, 1, (side, side, 6)) ** 2
    bumps = np.exp(-(((np.linspace(0, 1, 31) - np.linspace(0, 1, 6)[:, None]) / 0.15) ** 2))
    image = TRACK.render(make_cube(light @ bumps / 1.8, CHALLENGE_WAVELENGTHS_NM))
    rec = Reconstructor(weights_of(name), guarantees=["consistent", "non-negative"])
    cube = rec(image)
    codes = np.rint(image.values * 255)
    np.testing.assert_array_equal(TRACK.render_codes(cube), codes)
    assert float(cube.min()) >= 0


@settings(max_examples=40, deadline=None)
@example(seed=7367, error=0.1171875, level=0.1171875, non_negative=False)
@given(
    seed=st.integers(0, 2**32 - 1),
    error=st.floats(0.0, 2.0),
    level=st.floats(1e-3, 1.2),
    non_negative=st.booleans(),
)
def test_every_visible_spectrum_is_reachable(seed, error, level, non_negative):
    """Codes that came from a spectrum can be met from any estimate, and float32 keeps them."""
    rng = np.random.default_rng(seed)
    truth = rng.random((64, 31)) ** rng.uniform(0.2, 6) * level
    estimate = (truth * np.exp(rng.normal(0, error, truth.shape))).astype(np.float32)
    codes = np.minimum(np.floor(255 * np.minimum(1, truth @ CAMERA)), 255)
    high = np.where(codes == 255, np.inf, (codes + 1) / 255)
    status = move_into(estimate, CAMERA, codes / 255, high, non_negative=non_negative)
    assert (status <= MOVED).all()
    seen = np.floor(255 * np.minimum(1, estimate.astype(np.float64) @ CAMERA))
    np.testing.assert_array_equal(seen, codes)
    if non_negative:
        assert estimate.min() >= 0
