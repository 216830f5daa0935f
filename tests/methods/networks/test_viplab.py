"""VIPLab: a mean, and a residual without mean."""

from __future__ import annotations

import pytest
import torch

from respectra.methods import build_network
from respectra.methods.measure import count_parameters
from respectra.methods.networks.viplab import Viplab


@pytest.mark.parametrize("preset", ["published", "swish"])
def test_parameter_count(preset: str) -> None:
    assert count_parameters("viplab", preset=preset) == 2_385_440


def test_residual_has_no_mean_and_the_mean_is_the_mean() -> None:
    torch.manual_seed(0)
    net = build_network("viplab", preset="tiny").double()
    assert isinstance(net, Viplab)
    rgb = torch.rand(2, 3, 9, 11, dtype=torch.float64)
    mean, residual = net.split(rgb)
    assert mean.shape == (2, 1, 9, 11)
    assert residual.std() > 1e-3
    assert residual.mean(dim=1).abs().max() < 1e-15
    assert (net(rgb).mean(dim=1, keepdim=True) - mean).abs().max() < 1e-15


def test_activation_is_the_only_difference_between_the_variants() -> None:
    relu = build_network("viplab", preset="tiny")
    swish = build_network("viplab", preset="tiny", activation="swish")
    swish.load_state_dict(relu.state_dict())
    rgb = torch.rand(1, 3, 8, 8)
    assert (relu(rgb) - swish(rgb)).abs().max() > 1e-4
