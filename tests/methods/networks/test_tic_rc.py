"""TIC-RC: counts, and the inputs that it derives from the picture."""

from __future__ import annotations

import pytest
import torch

from respectra.errors import ConfigError
from respectra.methods import build_network
from respectra.methods.measure import count_gmac, count_parameters
from respectra.methods.networks.blocks import GlobalMean
from respectra.methods.networks.tic_rc import DerivedInputs


def test_counts() -> None:
    assert count_parameters("tic-rc") == 432_243
    assert count_parameters("tic-rc", preset="6-blocks") == 506_679
    assert count_gmac("tic-rc") == pytest.approx(105.8, abs=0.1)


def test_derived_inputs_are_picture_balance_and_power() -> None:
    x = torch.rand(2, 3, 8, 9) * torch.tensor([1.0, 0.5, 0.2]).view(1, 3, 1, 1)
    out = DerivedInputs(2.5)(x)
    picture, balanced, power = out.chunk(3, dim=1)
    assert torch.equal(picture, x)
    means = balanced.mean(dim=(2, 3))
    torch.testing.assert_close(means, x.mean(dim=(1, 2, 3))[:, None].expand(2, 3))
    torch.testing.assert_close(balanced / x, (balanced / x)[..., :1, :1].expand_as(x))
    torch.testing.assert_close(power, x**2.5)


def test_a_neutral_picture_is_its_own_balance() -> None:
    grey = torch.rand(1, 1, 5, 5).expand(1, 3, 5, 5)
    torch.testing.assert_close(DerivedInputs(2.5)(grey)[:, 3:6], grey)


def test_black_channels_and_black_pictures_stay_finite() -> None:
    x = torch.zeros(1, 3, 4, 4)
    assert torch.equal(DerivedInputs(1 / 2.2)(x), torch.zeros(1, 9, 4, 4))
    x[:, 0] = 0.5
    out = DerivedInputs(2.5)(x)
    assert torch.isfinite(out).all()
    assert out[:, 4:6].abs().max() == 0


def test_every_whole_picture_mean_can_be_found_by_the_tiler() -> None:
    """One of the balance, one of each block's attention."""
    net = build_network("tic-rc")
    assert sum(isinstance(module, GlobalMean) for module in net.modules()) == 1 + 5


@pytest.mark.parametrize("gamma", [0.0, -1.0, 11.0])
def test_impossible_gamma_is_refused(gamma: float) -> None:
    with pytest.raises(ConfigError, match="gamma"):
        build_network("tic-rc", gamma=gamma)
