"""MXR-U-Net: the authors' output, layout and counts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from respectra.errors import ConfigError
from respectra.methods import build_network
from respectra.methods.measure import count_gmac, count_parameters
from respectra.methods.networks.mxr_unet import PixelShuffleUp, SelfAttention


@pytest.mark.parametrize(
    ("preset", "count", "gmac"),
    [
        ("published", 342_105_546, 1216.592),
        ("encoder-50-no-attention", 339_156_425, 1179.787),
        ("encoder-34", 41_463_306, 128.438),
        ("encoder-34-no-attention", 41_278_985, 121.360),
        ("encoder-18", 31_355_146, 119.378),
        ("encoder-18-no-attention", 31_170_825, 112.300),
    ],
)
def test_counts(preset: str, count: int, gmac: float) -> None:
    assert count_parameters("mxr-unet", preset=preset) == count
    measured = count_gmac("mxr-unet", preset=preset, frame=(480, 512))
    assert measured == pytest.approx(gmac, rel=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 1), (33, 33), (34, 65), (48, 41)])
def test_any_size(size: tuple[int, int]) -> None:
    net = build_network("mxr-unet", preset="tiny").eval()
    cube = net(torch.rand(1, 3, *size))
    assert cube.shape == (1, 31, *size)
    assert cube.isfinite().all()


@torch.no_grad()
def test_self_attention_equals_the_written_out_form() -> None:
    torch.manual_seed(1)
    attention = SelfAttention(16).eval()
    attention.gamma.fill_(0.7)
    x = torch.randn(2, 16, 5, 7)
    pixels = x.flatten(2)
    affinity = attention.query(pixels).mT @ attention.key(pixels)
    mixed = attention.value(pixels) @ torch.softmax(affinity, dim=1)
    torch.testing.assert_close(attention(x), (0.7 * mixed + pixels).reshape(x.shape))


@torch.no_grad()
def test_attention_starts_as_identity() -> None:
    x = torch.randn(1, 16, 4, 4)
    assert torch.equal(SelfAttention(16)(x), x)


@torch.no_grad()
def test_upsampling_starts_free_of_checkerboards() -> None:
    up = PixelShuffleUp(8, 4, blur=False)(torch.rand(1, 8, 5, 6))
    assert up.shape == (1, 4, 10, 12)
    coarse = up[..., ::2, ::2]
    torch.testing.assert_close(up, nn.functional.interpolate(coarse, scale_factor=2))


def test_residual_branches_start_at_zero() -> None:
    net = build_network("mxr-unet", preset="tiny")
    last = [p for n, p in net.named_parameters() if n.endswith("convs.1.norm.weight")]
    assert len(last) == 4
    assert all(p.abs().max() == 0 for p in last)


def test_impossible_configurations() -> None:
    with pytest.raises(ConfigError, match=r"depths\.1 = 0: .*greater than or equal to 1"):
        build_network("mxr-unet", depths=(2, 0, 2, 2))
    with pytest.raises(ConfigError, match=r"widths\.0 = 1: .*greater than or equal to 2"):
        build_network("mxr-unet", widths=(1, 8, 16, 32))
    with pytest.raises(ConfigError, match=r"expansion = 2: .*1 or 4"):
        build_network("mxr-unet", expansion=2)
