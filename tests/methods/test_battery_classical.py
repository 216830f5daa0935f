"""What must hold for every classical method, written once and run over the registry."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from respectra.errors import ConfigError, DataError
from respectra.methods import (
    Contract,
    Weights,
    build_classical,
    get_card,
    get_method,
    list_methods,
    load_weights,
    save_weights,
)
from respectra.methods.classical.base import ClassicalMethod

Array = npt.NDArray[np.float64]
each_method = pytest.mark.parametrize("name", list_methods("classical"))


def pairs(n: int, bands: int = 31) -> tuple[Array, Array, Array]:
    """RGB, smooth positive spectra, and the response that joins them."""
    rng = np.random.default_rng(1)
    at = np.linspace(0, 1, bands)
    response = np.exp(-(((at[:, None] - [0.75, 0.45, 0.15]) / 0.15) ** 2))
    response /= response.sum(axis=0)
    centre, height = rng.random((2, n, 3, 1))
    spectra = 0.02 + (height * np.exp(-(((at - centre) / 0.3) ** 2))).mean(axis=1)
    return spectra @ response, spectra, response


@functools.cache
def fitted(name: str, *, preset: str = "published", bands: int = 31) -> ClassicalMethod:
    """Shared between tests: none of them changes it."""
    rgb, spectra, response = pairs(1100, bands=bands)
    return build_classical(name, preset=preset).fit(rgb, spectra, response=response)


def pixels() -> npt.NDArray[np.float32]:
    """A picture of what the training pairs look like, (6, 5, 3)."""
    return pairs(5000)[0][-30:].reshape(6, 5, 3).astype(np.float32)


@each_method
def test_card_is_complete(name: str) -> None:
    card = get_card(name)
    assert card.kind == "classical"
    assert card.title
    assert card.reference
    assert card.summary.endswith(".")
    assert card.decisions
    assert not [d.what for d in card.decisions if d.origin != "our reading" and not d.source]


@each_method
def test_every_preset_recovers_a_cube(name: str) -> None:
    truth = pairs(5000)[1][-30:].reshape(6, 5, 31)
    for preset in ("published", *get_method(name).presets):
        cube = fitted(name, preset=preset).predict(pixels())
        assert cube.shape == (6, 5, 31)
        assert cube.dtype == np.float32
        assert np.abs(cube - truth).mean() < np.abs(truth - truth.mean(axis=(0, 1))).mean()


@each_method
def test_any_number_of_bands(name: str) -> None:
    assert fitted(name, bands=7).predict(pixels()).shape == (6, 5, 7)


@each_method
def test_black_and_white_give_finite_spectra(name: str) -> None:
    assert np.isfinite(fitted(name).predict([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])).all()


@each_method
def test_a_pixel_does_not_see_the_others(name: str) -> None:
    method, image = fitted(name), pixels()
    alone = method.predict(image[2:3, 3:4])
    np.testing.assert_allclose(method.predict(image)[2:3, 3:4], alone, rtol=1e-5, atol=1e-7)


@each_method
def test_the_same_seed_learns_the_same(name: str) -> None:
    rgb, spectra, response = pairs(1100)
    first, second = (
        build_classical(name).fit(rgb, spectra, response=response, seed=7) for _ in range(2)
    )
    assert first.tensors.keys() == second.tensors.keys()
    for key, values in first.tensors.items():
        np.testing.assert_array_equal(values, second.tensors[key])


@each_method
def test_inputs_are_left_alone(name: str) -> None:
    given = pairs(1100)
    copies = tuple(array.copy() for array in given)
    method = build_classical(name).fit(given[0], given[1], response=given[2])
    image = pixels()
    method.predict(image)
    assert all(np.array_equal(a, b) for a, b in zip(given, copies, strict=True))
    np.testing.assert_array_equal(image, pixels())


@each_method
def test_saved_and_loaded_weights_give_the_same(name: str, tmp_path: Path) -> None:
    method = fitted(name)
    save_weights(Weights(name, method.options, Contract(), method.tensors), tmp_path / "w.st")
    loaded = load_weights(tmp_path / "w.st")
    again = build_classical(name)
    assert again.options == loaded.config
    again.tensors = dict(loaded.tensors)
    np.testing.assert_array_equal(again.predict(pixels()), method.predict(pixels()))


@each_method
def test_bad_input_is_refused(name: str) -> None:
    rgb, spectra, response = pairs(1100)
    with pytest.raises(ConfigError, match="has not been fitted"):
        build_classical(name).predict(pixels())
    with pytest.raises(DataError, match="3 channels"):
        fitted(name).predict(np.zeros((4, 4)))
    with pytest.raises(DataError, match="shape"):
        build_classical(name).fit(rgb, spectra[:-1], response=response)
    with pytest.raises(DataError, match="finite"):
        build_classical(name).fit(rgb * np.nan, spectra, response=response)
    with pytest.raises(DataError, match="response has shape"):
        build_classical(name).fit(rgb, spectra, response=response.T)
    with pytest.raises(ConfigError, match="unknown option 'colour'"):
        build_classical(name, colour="red")


@each_method
def test_response_is_asked_for_where_it_is_needed(name: str) -> None:
    rgb, spectra, _ = pairs(1100)
    if build_classical(name).needs_response:
        with pytest.raises(ConfigError, match="response"):
            build_classical(name).fit(rgb, spectra)
    else:
        assert np.isfinite(build_classical(name).fit(rgb, spectra).predict(pixels())).all()
