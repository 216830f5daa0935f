from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.linear_model import LinearRegression, orthogonal_mp
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import KNeighborsRegressor

from respectra.errors import DataError
from respectra.methods import build_classical
from respectra.methods.classical.dictionary import k_svd, matching_pursuit

Array = npt.NDArray[np.float64]


def unit_rows(array: Array) -> Array:
    rows: Array = array / np.linalg.norm(array, axis=1, keepdims=True)
    return rows


@pytest.mark.parametrize(("atoms", "d", "sparsity"), [(40, 12, 4), (30, 3, 28), (2, 5, 3)])
def test_matching_pursuit_agrees_with_scikit_learn(
    atoms: int, d: int, sparsity: int, rng: np.random.Generator
) -> None:
    dictionary = unit_rows(rng.normal(size=(atoms, d)))
    signals = rng.normal(size=(50, d))
    chosen, coefficients = matching_pursuit(dictionary, signals, sparsity)
    codes = np.zeros((50, atoms))
    np.add.at(codes, (np.arange(50)[:, None], chosen), coefficients)
    theirs = orthogonal_mp(
        dictionary.T, signals.T, n_nonzero_coefs=min(sparsity, d, atoms), precompute=False
    )
    np.testing.assert_allclose(codes, theirs.T, atol=1e-9)


def test_matching_pursuit_stops_when_a_signal_is_explained(rng: np.random.Generator) -> None:
    dictionary = unit_rows(rng.normal(size=(20, 6)))
    signals = np.vstack([np.zeros(6), 3.0 * dictionary[4]])
    chosen, coefficients = matching_pursuit(dictionary, signals, 5)
    assert not coefficients[0].any()
    assert chosen[1, 0] == 4
    np.testing.assert_allclose(coefficients[1], [3, 0, 0, 0, 0], atol=1e-9)


def test_k_svd_finds_a_dictionary_that_explains_the_signals(rng: np.random.Generator) -> None:
    truth = unit_rows(rng.normal(size=(12, 10)))
    codes = np.zeros((800, 12))
    for row in codes:
        row[rng.choice(12, 2, replace=False)] = rng.uniform(0.5, 1, 2)
    signals = codes @ truth

    def error(iterations: int) -> float:
        dictionary = k_svd(signals, 12, 2, iterations, np.random.default_rng(0))
        np.testing.assert_allclose(np.linalg.norm(dictionary, axis=1), 1)
        chosen, found = matching_pursuit(dictionary, signals, 2)
        rebuilt = np.einsum("nk,nkd->nd", found, dictionary[chosen])
        return float(np.sqrt(np.mean((rebuilt - signals) ** 2)))

    assert error(20) < 0.5 * error(0)
    with pytest.raises(DataError, match="5 atoms need as many pairs"):
        k_svd(np.vstack([signals[:4], 0 * signals[:9]]), 5, 2, 1, rng)


def test_sparse_coding_reproduces_the_rgb(rng: np.random.Generator) -> None:
    response = rng.uniform(0, 1, (8, 3))
    spectra = rng.uniform(0, 1, (300, 8))
    rgb = spectra @ response
    method = build_classical("sparse-coding", atoms=80, iterations=2)
    estimate = method.fit(rgb, spectra, response=response).predict(rgb)
    np.testing.assert_allclose(estimate.astype(float) @ response, rgb, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("neighbours", [1, 4])
def test_nearest_neighbours_agree_with_scikit_learn(
    neighbours: int, rng: np.random.Generator
) -> None:
    rgb, spectra = rng.uniform(0, 1, (200, 3)), rng.uniform(0, 1, (200, 5))
    pixels = rng.uniform(0, 1, (70, 3))
    ours = build_classical("nearest-neighbour", neighbours=neighbours).fit(rgb, spectra)
    theirs = KNeighborsRegressor(neighbours).fit(rgb, spectra)
    np.testing.assert_allclose(ours.predict(pixels), theirs.predict(pixels), rtol=1e-5)


def test_radial_basis_functions_agree_with_scikit_learn(rng: np.random.Generator) -> None:
    rgb, spectra = rng.uniform(0, 1, (200, 3)), rng.uniform(0, 1, (200, 5))
    ours = build_classical("rbf", centres=8, width=0.5, ridge=0.0).fit(rgb, spectra)
    kernels = rbf_kernel(rgb, ours.tensors["centres"], gamma=1 / 0.5**2)
    theirs = LinearRegression().fit(kernels, spectra).predict(kernels)
    np.testing.assert_allclose(ours.predict(rgb), theirs, rtol=1e-4, atol=1e-6)
    other = build_classical("rbf", centres=8, kernel="multiquadric").fit(rgb, spectra)
    assert np.isfinite(other.predict(rgb)).all()


def test_a_plus_with_one_anchor_is_one_ridge_regression(rng: np.random.Generator) -> None:
    response = rng.uniform(0, 1, (5, 3))
    spectra = rng.uniform(0.1, 1, (100, 5))
    rgb = spectra @ response
    method = build_classical("a-plus", anchors=1, neighbours=100, iterations=0, ridge=0.3)
    estimate = method.fit(rgb, spectra, response=response).predict(rgb)
    norms = np.linalg.norm(rgb, axis=1, keepdims=True)
    x, s = rgb / norms, spectra / norms
    matrix = np.linalg.lstsq(
        np.vstack([x, np.sqrt(0.3) * np.eye(3)]), np.vstack([s, np.zeros((3, 5))]), rcond=None
    )[0]
    np.testing.assert_allclose(estimate, rgb @ matrix, rtol=1e-4)


def test_too_few_pairs_are_refused(rng: np.random.Generator) -> None:
    rgb, spectra, response = rng.uniform(size=(4, 3)), rng.uniform(size=(4, 5)), np.ones((5, 3))
    with pytest.raises(DataError, match="50 centres need"):
        build_classical("rbf").fit(rgb, spectra)
    with pytest.raises(DataError, match="1024 neighbours need"):
        build_classical("a-plus").fit(rgb, spectra, response=response)
    with pytest.raises(DataError, match="7 neighbours need"):
        build_classical("nearest-neighbour", neighbours=7).fit(rgb, spectra)
