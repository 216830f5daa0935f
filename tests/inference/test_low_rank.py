"""Low-rank cubes stand for the cubes that their methods give."""

import numpy as np
import pytest
import torch

import respectra as rs
from respectra.cubes import open_low_rank
from respectra.errors import ConfigError
from respectra.inference import Reconstructor
from respectra.inference.tables import bake
from respectra.methods import Contract, build_classical, fresh_weights


@pytest.fixture
def image(rng):
    return rs.make_image(rng.random((40, 33, 3)) * 0.9)


def fitted(name, rng, **options):
    rgb = rng.random((300, 3))
    response = rng.random((31, 3)) / 10
    spectra = np.abs(rgb @ rng.random((3, 31)) + 0.1 * np.sin(rgb @ rng.normal(size=(3, 31))))
    method = build_classical(name, **options).fit(rgb, spectra, response=response)
    return method.to_weights(Contract(track="mine", clip_low=0.0))


def test_a_table_gives_few_coefficients_within_its_tolerance(image, rng, tmp_path):
    weights = fitted("polynomial", rng, order=2)
    reconstructor = Reconstructor(bake(weights, nodes=9).to_weights())
    full = reconstructor(image)
    for tolerance in (0.05, 1e-3):
        low = reconstructor.low_rank(image, tolerance=tolerance)
        assert low.rank < 31
        peak = np.abs(reconstructor.backend.table.spectra).max()
        assert np.abs(low.to_cube() - full).max() <= tolerance * peak * 1.01
    assert reconstructor.low_rank(image, rank=2).rank == 2
    rs.save_cube(low, tmp_path / "cube.zarr")
    np.testing.assert_array_equal(open_low_rank(tmp_path / "cube.zarr"), low)
    with pytest.raises(ConfigError, match="rank of 31 bands"):
        reconstructor.low_rank(image, rank=32)


@pytest.mark.parametrize("options", [{}, {"centred": True}])
def test_an_affine_method_needs_three_coefficients(image, rng, options):
    reconstructor = Reconstructor(fitted("pca", rng, **options))
    low = reconstructor.low_rank(image)
    assert low.rank == 3
    np.testing.assert_allclose(low.to_cube(), reconstructor(image), atol=2e-5)


@pytest.mark.parametrize("tile", [None, 16])
def test_a_network_of_weights_and_basis_gives_its_own(image, tile):
    torch.manual_seed(0)
    weights = fresh_weights("staffs-cvl", preset="tiny")
    low = Reconstructor(weights, tile=tile).low_rank(image)
    assert low.rank == 10
    np.testing.assert_allclose(low.to_cube(), Reconstructor(weights)(image), atol=1e-5)


def test_other_methods_say_what_to_do(image, rng):
    with pytest.raises(ConfigError, match="bake it into a table"):
        Reconstructor(fitted("polynomial", rng, order=2)).low_rank(image)
