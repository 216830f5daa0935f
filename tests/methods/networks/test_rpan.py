"""RPAN: the report's counts, and what its two tracks differ in."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from respectra.methods import build_network
from respectra.methods.networks.rpan import PixelAttention


@pytest.mark.parametrize(("preset", "count"), [("published", 2_559_104), ("real-world", 2_565_791)])
def test_parameter_count(preset: str, count: int) -> None:
    with torch.device("meta"):
        net = build_network("rpan", preset=preset)
    assert sum(p.numel() for p in net.parameters()) == count


def test_clean_variant_has_no_bias_anywhere() -> None:
    names = [name for name, _ in build_network("rpan", preset="tiny").named_parameters()]
    assert names
    assert not [name for name in names if "bias" in name]


def test_real_world_variant_has_a_bias_in_every_convolution() -> None:
    net = build_network("rpan", preset="tiny", bias=True)
    assert all(m.bias is not None for m in net.modules() if isinstance(m, nn.Conv2d))


def test_without_biases_black_gives_black() -> None:
    net = build_network("rpan", preset="tiny")
    assert net(torch.zeros(1, 3, 9, 9)).abs().max() == 0


def test_attention_rescales_each_value_and_looks_at_no_neighbour() -> None:
    torch.manual_seed(0)
    attention = PixelAttention(8, 2, bias=True)
    x = torch.rand(1, 8, 5, 5) + 0.1
    whole = attention(x)
    assert torch.allclose(whole[..., 2:3, 3:4], attention(x[..., 2:3, 3:4]))
    factor = whole / x
    assert ((factor > 0) & (factor < 1)).all()
    assert factor.std(dim=(2, 3)).min() > 0
    assert factor.std(dim=1).min() > 0
