"""Laws of the classical methods."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from respectra.methods import build_classical
from respectra.methods.classical.base import ClassicalMethod

BANDS = 9
_RNG = np.random.default_rng(11)
_GRID = np.linspace(0, 1, BANDS)
_BUMPS = np.exp(-(((_GRID - np.linspace(0, 1, 7)[:, None]) / 0.2) ** 2))
SPECTRA = _RNG.uniform(0, 1, (400, 7)) ** 2 @ _BUMPS / 3 + 0.01
RESPONSE = np.exp(-(((_GRID[:, None] - np.array([0.8, 0.5, 0.2])) / 0.2) ** 2))
RESPONSE /= RESPONSE.sum(axis=0)


def fitted(name: str, **options: object) -> ClassicalMethod:
    method = build_classical(name, **options)
    return method.fit(SPECTRA @ RESPONSE, SPECTRA, response=RESPONSE)


EQUIVARIANT = [
    fitted("pseudo-inverse"),
    fitted("wiener"),
    fitted("pca"),
    *(fitted("root-polynomial", order=k) for k in (2, 4, 6)),
    fitted("root-polynomial", order=5, loss="relative"),
    fitted("nearest-neighbour", any_exposure=True),
    fitted("a-plus", anchors=30, neighbours=40, iterations=1),
    fitted("sparse-coding", atoms=50, iterations=1),
]
pixels = st.tuples(*[st.floats(1e-4, 1.0) for _ in range(3)])


@pytest.mark.parametrize("method", EQUIVARIANT, ids=lambda m: m.card.name)
@given(pixel=pixels, k=st.floats(0.01, 4.0))
@settings(max_examples=30, deadline=None)
def test_k_times_the_light_gives_k_times_the_spectrum(
    method: ClassicalMethod, pixel: tuple[float, float, float], k: float
) -> None:
    assert method.exposure_equivariant
    one = method.predict(np.array(pixel))
    other = method.predict(k * np.array(pixel))
    scale = np.abs(one).max()
    np.testing.assert_allclose(other / k, one, rtol=2e-6, atol=2e-6 * scale)


@pytest.mark.parametrize("centred", [False, True])
@given(pixel=pixels)
@settings(max_examples=30, deadline=None)
def test_the_metamer_reproduces_its_rgb(centred: bool, pixel: tuple[float, float, float]) -> None:
    spectrum = METAMERS[centred].predict(np.array(pixel)).astype(np.float64)
    bound = 1e-6 * np.abs(spectrum).max()
    np.testing.assert_allclose(spectrum @ RESPONSE, pixel, rtol=1e-6, atol=bound)


METAMERS = {centred: fitted("pca", centred=centred) for centred in (False, True)}


@given(pixel=pixels)
@settings(max_examples=30, deadline=None)
def test_the_first_order_is_the_pseudo_inverse(pixel: tuple[float, float, float]) -> None:
    inverse, first, root = FIRST_ORDER
    expected: npt.NDArray[np.float32] = inverse.predict(np.array(pixel))
    np.testing.assert_array_equal(first.predict(np.array(pixel)), expected)
    np.testing.assert_array_equal(root.predict(np.array(pixel)), expected)


FIRST_ORDER = (
    fitted("pseudo-inverse"),
    fitted("polynomial", order=1, ridge=0.0),
    fitted("root-polynomial", order=1, ridge=0.0),
)
