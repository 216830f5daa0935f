"""Half precision: close to single precision, or refused."""

from __future__ import annotations

import numpy as np
import pytest

import respectra as rs
from respectra.errors import ConfigError
from respectra.inference import Reconstructor, networks
from respectra.methods import fresh_weights


@pytest.mark.parametrize("name", ["hscnn-r", "respectra"])
def test_it_is_near_single_precision(name: str, rng: np.random.Generator):
    weights = fresh_weights(name, preset="tiny")
    image = rs.make_image(rng.random((40, 48, 3)), bits=32)
    exact = Reconstructor(weights, device="cpu", engine="plain")(image)
    rec = Reconstructor(weights, device="cpu", engine="half")
    cube = rec(image)
    assert rec.backend.half_deviation is not None
    assert 0 < rec.backend.half_deviation <= networks.HALF_TOLERANCE
    largest = float(abs(exact).max())
    assert 0 < float(abs(cube - exact).max()) <= 2 * networks.HALF_TOLERANCE * largest
    assert cube.dtype == np.float32


def test_it_is_refused_where_it_is_not_accurate_enough(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(networks, "HALF_TOLERANCE", 1e-9)
    with pytest.raises(ConfigError, match=r"in half precision hscnn-r is off by .* engine torch"):
        Reconstructor(fresh_weights("hscnn-r", preset="tiny"), device="cpu", engine="half")
