"""The growing basis: within its tolerance, and coefficients that stay right when it grows."""

import numpy as np

from respectra.viewer.basis import TOLERANCE, GrowingBasis


def smooth_spectra(rng, count, rank, bands=31):
    return (rng.random((count, rank)) @ rng.random((rank, bands))).astype(np.float32)


def test_spectra_of_low_rank_need_no_more_vectors_than_their_rank(rng):
    spectra = smooth_spectra(rng, 500, 5)
    basis = GrowingBasis(spectra)
    assert basis.rank <= 6
    coefficients, error = basis.encode(spectra)
    np.testing.assert_allclose(
        coefficients.astype(np.float32) @ basis.spectra, spectra, atol=2e-3 * spectra.max()
    )
    assert error <= 1.5 * TOLERANCE * spectra.max()


def test_a_spectrum_unlike_the_sample_extends_the_basis(rng):
    basis = GrowingBasis(smooth_spectra(rng, 500, 3))
    before = basis.rank
    spike = np.zeros((1, 31), np.float32)
    spike[0, 17] = 1.0
    earlier = basis.encode(smooth_spectra(rng, 1, 3))[0]
    coefficients, error = basis.encode(spike)
    assert basis.rank > before
    assert error < 1e-3 * basis.scale
    assert coefficients.shape[1] > earlier.shape[1] - 1


def test_vectors_stay_orthogonal(rng):
    basis = GrowingBasis(rng.random((200, 31)).astype(np.float32))
    products = basis.spectra @ basis.spectra.T
    np.testing.assert_allclose(products / products[0, 0], np.eye(basis.rank), atol=1e-5)


def test_black_needs_no_division(rng):
    basis = GrowingBasis(np.zeros((10, 31), np.float32))
    coefficients, error = basis.encode(np.zeros((3, 31), np.float32))
    assert np.isfinite(coefficients).all()
    assert error == 0
