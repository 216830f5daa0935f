from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.preprocessing import PolynomialFeatures

from respectra.errors import ConfigError, DataError, FormatError
from respectra.methods import (
    Contract,
    Weights,
    build_classical,
    get_method,
    list_methods,
    load_weights,
    save_weights,
)
from respectra.methods.classical.polynomial import monomials
from respectra.methods.classical.regression import RegressionConfig, fit_regression
from respectra.methods.classical.root_polynomial import root_monomials

Array = npt.NDArray[np.float64]
BANDS = 7
#: Options that make a method quick to fit on few pairs.
QUICK: dict[str, dict[str, object]] = {
    "sparse-coding": {"atoms": 60, "iterations": 2, "samples": 300},
    "a-plus": {"anchors": 40, "neighbours": 60, "iterations": 1, "samples": 300},
    "root-polynomial": {"order": 4},
}


@pytest.fixture(scope="module")
def pairs() -> tuple[Array, Array, Array]:
    """Smooth non-negative spectra, their RGB, and the response."""
    rng = np.random.default_rng(5)
    bands = np.linspace(0, 1, BANDS)
    bumps = np.exp(-(((bands - np.linspace(0, 1, 6)[:, None]) / 0.25) ** 2))
    spectra = rng.uniform(0, 1, (600, 6)) ** 2 @ bumps / 3 + 0.01
    response = np.exp(-(((bands[:, None] - np.array([0.8, 0.5, 0.2])) / 0.2) ** 2))
    response /= response.sum(axis=0)
    return spectra @ response, spectra, response


@pytest.mark.parametrize("name", list_methods("classical"))
def test_every_method_learns_saves_and_survives_dark_pixels(
    name: str, pairs: tuple[Array, Array, Array], tmp_path: Path
) -> None:
    rgb, spectra, response = pairs
    method = build_classical(name, **QUICK.get(name, {})).fit(rgb, spectra, response=response)
    estimate = method.predict(rgb)
    assert estimate.shape == spectra.shape
    assert estimate.dtype == np.float32
    assert np.sqrt(np.mean((estimate - spectra) ** 2)) < 0.6 * spectra.std()
    dark = np.array([[0, 0, 0], [1e-12, 0, 0], [0, 0, 1 / 255], [1, 1, 1]], dtype=np.float32)
    assert np.isfinite(method.predict(dark)).all()

    contract = Contract(wavelengths_nm=tuple(np.linspace(400, 700, BANDS)))
    path = tmp_path / "weights.safetensors"
    save_weights(method.to_weights(contract, {"seed": 0}), path)
    again = get_method(name).from_weights(load_weights(path))  # type: ignore[union-attr]
    assert np.array_equal(again.predict(rgb), estimate)
    # The same seed learns the same.
    twin = build_classical(name, **QUICK.get(name, {})).fit(rgb, spectra, response=response)
    assert np.array_equal(twin.predict(rgb), estimate)


@pytest.mark.parametrize("name", list_methods("classical"))
def test_an_image_of_any_size_and_type_equals_its_pixels(
    name: str, pairs: tuple[Array, Array, Array]
) -> None:
    rgb, spectra, response = pairs
    method = build_classical(name, **QUICK.get(name, {})).fit(rgb, spectra, response=response)
    image = np.tile(rgb, (15, 1)).reshape(90, 100, 3).astype(np.float32)  # more than one block
    out = np.empty((90, 100, BANDS), dtype=np.float32)
    assert method.predict(image, out=out) is out
    np.testing.assert_array_equal(out[89, 98:], method.predict(image[89, 98:]))
    np.testing.assert_allclose(out[0, 0], method.predict(rgb[0]), rtol=1e-4, atol=1e-6)


def test_term_counts_are_the_published_ones() -> None:
    assert [len(monomials(k)) for k in range(1, 7)] == [3, 9, 19, 34, 55, 83]
    assert [len(root_monomials(k)) for k in range(1, 7)] == [3, 6, 13, 22, 40, 55]


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("constant", [False, True])
def test_polynomial_agrees_with_scikit_learn(
    order: int, constant: bool, pairs: tuple[Array, Array, Array]
) -> None:
    rgb, spectra, _ = pairs
    ours = build_classical("polynomial", order=order, constant=constant, ridge=0.0)
    features = PolynomialFeatures(order, include_bias=False).fit_transform(rgb)
    theirs = LinearRegression(fit_intercept=constant).fit(features, spectra)
    np.testing.assert_allclose(
        ours.fit(rgb, spectra).predict(rgb), theirs.predict(features), rtol=1e-5, atol=1e-6
    )


def test_ridge_and_relative_loss_agree_with_scikit_learn(
    pairs: tuple[Array, Array, Array],
) -> None:
    rgb, spectra, _ = pairs
    options = RegressionConfig(loss="relative", ridge=1e-2, relative_floor=0.05)
    matrix, _ = fit_regression(lambda x: x, rgb, spectra, options, np.random.default_rng(0))
    for band in range(BANDS):
        weights = 1 / np.maximum(spectra[:, band], 0.05) ** 2
        scale = np.sqrt((weights[:, None] * rgb**2).sum(axis=0))
        theirs = Ridge(alpha=1e-2, fit_intercept=False, tol=1e-12).fit(
            rgb / scale, spectra[:, band], sample_weight=weights
        )
        np.testing.assert_allclose(matrix[:, band], theirs.coef_ / scale, rtol=1e-8)


def test_relative_loss_lowers_the_relative_error(pairs: tuple[Array, Array, Array]) -> None:
    rgb, spectra, _ = pairs

    def error(loss: str) -> float:
        method = build_classical("root-polynomial", order=3, loss=loss).fit(rgb, spectra)
        return float(np.mean(((method.predict(rgb) - spectra) / spectra) ** 2))

    assert error("relative") < 0.9 * error("least-squares")


def test_blocks_change_nothing(
    pairs: tuple[Array, Array, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    rgb, spectra, _ = pairs
    method = build_classical("polynomial", order=2, ridge=0.0)
    whole = method.fit(rgb, spectra).tensors["matrix"]
    monkeypatch.setattr("respectra.methods.classical.regression._BLOCK", 100)
    np.testing.assert_allclose(method.fit(rgb, spectra).tensors["matrix"], whole, rtol=1e-9)


def test_cross_validation_resists_noise(rng: np.random.Generator) -> None:
    rgb = rng.uniform(0.1, 1, (60, 3))
    truth = rgb @ rng.uniform(0, 1, (3, BANDS))
    noisy = truth + rng.normal(0, 0.3, truth.shape)

    def error(**options: object) -> float:
        estimate = build_classical("polynomial", order=5, **options).fit(rgb, noisy).predict(rgb)
        return float(np.mean((estimate - truth) ** 2))

    assert error(ridge="cross-validated") < 0.5 * error(ridge=0.0)
    per_band = build_classical("polynomial", order=5, ridge_per_band=True).fit(rgb, noisy)
    assert len(set(per_band.tensors["ridge"])) > 1


def test_wiener_without_noise_is_the_pseudo_inverse(pairs: tuple[Array, Array, Array]) -> None:
    rgb, spectra, response = pairs
    quiet = build_classical("wiener", noise=(0.0, 0.0, 0.0)).fit(rgb, spectra, response=response)
    inverse = build_classical("pseudo-inverse").fit(rgb, spectra)
    np.testing.assert_allclose(quiet.predict(rgb), inverse.predict(rgb), rtol=1e-4, atol=1e-6)


def test_wiener_is_the_best_linear_estimate_under_its_noise(
    pairs: tuple[Array, Array, Array], rng: np.random.Generator
) -> None:
    _, spectra, response = pairs
    many = np.repeat(spectra, 40, axis=0)
    noise = rng.normal(0, [0.05, 0.02, 0.1], (len(many), 3))
    wiener = build_classical("wiener", noise=(0.05, 0.02, 0.1))
    wiener.fit(spectra @ response, spectra, response=response)
    fitted = build_classical("pseudo-inverse").fit(many @ response + noise, many)
    np.testing.assert_allclose(wiener.tensors["matrix"], fitted.tensors["matrix"], atol=0.03)


def test_bad_input_is_refused(pairs: tuple[Array, Array, Array]) -> None:
    rgb, spectra, response = pairs
    with pytest.raises(ConfigError, match="needs the camera's response"):
        build_classical("pca").fit(rgb, spectra)
    with pytest.raises(ConfigError, match="has not been fitted"):
        build_classical("polynomial").predict(rgb)
    with pytest.raises(ConfigError, match="less than or equal to 6"):
        build_classical("polynomial", order=7)
    with pytest.raises(DataError, match="correlations"):
        build_classical("wiener", noise_correlation=(1.0, 1.0, -1.0)).fit(
            rgb, spectra, response=response
        )
    with pytest.raises(DataError, match="more varied"):
        build_classical("pca").fit(rgb[:1], spectra[:1], response=response)
    method = build_classical("root-polynomial", order=2).fit(rgb, spectra)
    with pytest.raises(DataError, match="values >= 0"):
        method.predict([[-0.1, 0.2, 0.3]])
    with pytest.raises(DataError, match="NaN or infinite"):
        method.predict([[np.nan, 0.2, 0.3]])
    with pytest.raises(DataError, match="out is a C-contiguous"):
        method.predict(rgb, out=np.empty((1, 2), np.float32))


def test_weights_that_do_not_fit_are_refused(pairs: tuple[Array, Array, Array]) -> None:
    rgb, spectra, _ = pairs
    contract = Contract(wavelengths_nm=tuple(np.linspace(400, 700, BANDS)))
    method = build_classical("polynomial", order=2).fit(rgb, spectra)
    with pytest.raises(DataError, match="31 bands"):
        method.to_weights(Contract())
    good = method.to_weights(contract)

    def refused(match: str, **changes: object) -> None:
        weights = Weights(**{**vars(good), **changes})  # type: ignore[arg-type]
        with pytest.raises((ConfigError, FormatError), match=match):
            type(method).from_weights(weights)

    matrix = good.tensors["matrix"]
    refused("belong to 'pca'", method="pca")
    refused("do not fit", tensors={})
    refused("do not fit", tensors={"matrix": matrix[:5]})
    refused("give 6 bands", tensors={"matrix": matrix[:, :6]})
    refused("finite", tensors={"matrix": matrix * np.nan})
