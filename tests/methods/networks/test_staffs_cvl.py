"""StaffsCVL: a cube of low rank, its two factors apart, and the counts of our reading."""

from __future__ import annotations

import pytest
import torch

from respectra.errors import ConfigError
from respectra.methods import build_network
from respectra.methods.measure import count_gmac, count_parameters
from respectra.methods.network import LowRankNetwork
from respectra.methods.networks.staffs_cvl import StaffsCVL


@pytest.mark.parametrize(
    ("preset", "count", "gmac"),
    [("published", 31_032_640, 180.8), ("half-width", 7_760_704, 45.41)],
)
def test_counts(preset: str, count: int, gmac: float) -> None:
    assert count_parameters("staffs-cvl", preset=preset) == count
    measured = count_gmac("staffs-cvl", preset=preset, frame=(480, 512))
    assert measured == pytest.approx(gmac, rel=5e-4)


def low_rank(**options: object) -> StaffsCVL:
    torch.manual_seed(4)
    net = build_network("staffs-cvl", preset="tiny", **options)
    assert isinstance(net, StaffsCVL)
    return net.eval().double()


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"resize_to": 32}], ids=["padded", "resized"])
def test_cube_has_the_rank_of_the_basis_and_is_coefficients_times_basis(
    options: dict[str, object],
) -> None:
    net = low_rank(**options)
    x = torch.randn(2, 3, 21, 35, dtype=torch.float64)
    cube = net(x)
    assert cube.shape == (2, 31, 21, 35)
    assert torch.linalg.matrix_rank(cube.movedim(1, -1).reshape(-1, 31)) <= 10

    assert isinstance(net, LowRankNetwork)
    assert net.basis.shape == (10, 31)
    coefficients = net.coefficients(x)
    assert coefficients.shape == (2, 10, 21, 35)
    product = torch.einsum("nkyx,kb->nbyx", coefficients, net.basis)
    torch.testing.assert_close(cube, product)


@torch.no_grad()
def test_basis_is_shared_by_all_pixels_and_free_of_the_input() -> None:
    net = low_rank(rank=1)
    cube = net(torch.randn(1, 3, 16, 16, dtype=torch.float64))
    spectra = cube.flatten(2)[0].T
    torch.testing.assert_close(
        spectra / spectra[:, :1], (net.basis / net.basis[:, :1]).expand(256, 31)
    )


def test_only_linear_down_sampling() -> None:
    pooling = (torch.nn.MaxPool2d, torch.nn.BatchNorm2d)
    assert not any(isinstance(m, pooling) for m in low_rank().modules())


def test_impossible_configurations() -> None:
    with pytest.raises(ConfigError, match=r"resize_to = 500: .*multiple of 16"):
        build_network("staffs-cvl", resize_to=500)
    with pytest.raises(ConfigError, match=r"steps = 5: .*less than or equal to 4"):
        build_network("staffs-cvl", steps=5)
    with pytest.raises(ConfigError, match=r"rank = 0: .*greater than or equal to 1"):
        build_network("staffs-cvl", rank=0)
