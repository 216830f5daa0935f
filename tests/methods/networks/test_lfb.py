"""LFB: counts, Fixup's start, and the exact metamer it starts from."""

from __future__ import annotations

import colour
import numpy as np
import pytest
import torch

from respectra.errors import ConfigError
from respectra.methods import build_network
from respectra.methods.measure import count_parameters
from respectra.methods.networks.lfb import Lfb, LfbConfig, estimate_matrix, response_of


@pytest.mark.parametrize(
    ("preset", "count"), [("published", 625_671), ("resnet-widths", 11_318_343)]
)
def test_parameter_count(preset: str, count: int) -> None:
    assert count_parameters("lfb", preset=preset) == count


def clean_response() -> torch.Tensor:
    """The clean track's response, from the observer of colour-science."""
    observer = colour.MSDS_CMFS["CIE 1964 10 Degree Standard Observer"]
    table = np.asarray(observer[np.arange(400, 701, 10)])
    return torch.from_numpy(255 * table / table.sum(axis=0))


def test_default_response_is_that_of_the_clean_track() -> None:
    torch.testing.assert_close(response_of(LfbConfig()), clean_response(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("bands", [3, 7, 61])
def test_response_on_other_bands_keeps_white(bands: int) -> None:
    response = response_of(LfbConfig(bands=bands))
    assert response.shape == (bands, 3)
    torch.testing.assert_close(response.sum(dim=0), torch.full((3,), 255.0, dtype=torch.float64))


@pytest.mark.parametrize("basis", ["cosine", "raised-cosine"])
def test_fresh_network_is_the_linear_estimate_and_that_an_exact_metamer(basis: str) -> None:
    torch.manual_seed(0)
    net = build_network("lfb", preset="tiny", basis=basis).double()
    assert isinstance(net, Lfb)
    assert net.estimate is not None
    codes = torch.randint(0, 255, (1, 3, 6, 7)).double()
    spectra = net(codes / 255)
    assert torch.equal(spectra, net.estimate(codes / 255))
    seen = torch.einsum("nbyx,bc->ncyx", spectra, clean_response())
    torch.testing.assert_close(seen, 256 * (codes + 0.5) / 255, rtol=1e-9, atol=1e-9)
    # The clean track's own coding of the estimate gives the image back, every code of it.
    assert torch.equal((255 * seen / 256).floor(), codes)


def test_grey_gives_a_flat_spectrum() -> None:
    flat = estimate_matrix(LfbConfig()) @ torch.full((3,), 255.0, dtype=torch.float64)
    torch.testing.assert_close(flat, torch.ones(31, dtype=torch.float64))


def test_fixup_starts_each_block_as_the_identity() -> None:
    net = build_network("lfb", preset="tiny")
    assert isinstance(net, Lfb)
    x = torch.rand(1, 16, 5, 5)
    assert torch.equal(net.blocks[0](x), x)
    first = net.blocks[0].first.weight
    assert float(first.detach().std()) == pytest.approx((2 / (9 * 16) / 4) ** 0.5, rel=0.1)


def test_another_camera_is_inverted_too() -> None:
    rows = np.random.default_rng(0).random((5, 3)).round(3)
    config = LfbConfig(
        bands=5, response=tuple(map(tuple, rows.tolist())), gain=1, offset=0, widths=(8,)
    )
    matrix = estimate_matrix(config).numpy()
    np.testing.assert_allclose(rows.T @ matrix, np.eye(3), atol=1e-9)


def test_real_world_variant_sees_the_image_alone() -> None:
    net = build_network("lfb", preset="real-world", widths=(8,))
    assert isinstance(net, Lfb)
    assert net.estimate is None
    assert net(torch.rand(1, 3, 5, 5)).abs().max() == 0


def test_what_cannot_be_estimated_is_refused() -> None:
    with pytest.raises(ConfigError, match="each of the 31 bands; got 2"):
        build_network("lfb", response=((1, 0, 0), (0, 1, 0)))
    with pytest.raises(ConfigError, match="tell three smooth spectra apart"):
        build_network("lfb", response=((1, 1, 1),) * 31)
    with pytest.raises(ConfigError, match="finite"):
        build_network("lfb", response=((float("nan"), 1, 1),) * 31)
    with pytest.raises(ConfigError, match="channels_in must be 3"):
        build_network("lfb", channels_in=4)
    with pytest.raises(ConfigError, match="widths must be at least 1"):
        build_network("lfb", widths=(64, 0))
