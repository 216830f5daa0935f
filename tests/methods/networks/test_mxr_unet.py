"""MXR-U-Net: the authors' output, layout and counts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.methods.golden import assert_golden, assert_layout, checkpoint_shapes, load_golden
from torch import nn

from respectra.errors import ConfigError
from respectra.methods import build_network, import_official
from respectra.methods.measure import count_gmac, count_parameters
from respectra.methods.networks.mxr_unet import PixelShuffleUp, SelfAttention


@pytest.mark.parametrize("name", ["mxr_unet_tiny_sa", "mxr_unet_tiny_nosa_odd"])
def test_output_of_the_authors(name: str) -> None:
    assert_golden("mxr-unet", name)


def test_output_of_the_authors_at_the_size_of_encoder_18() -> None:
    assert_golden("mxr-unet", "mxr_unet_18_full", checkpoint_shapes("mxr_unet_18"))


@pytest.mark.parametrize(
    ("preset", "shapes", "keys"),
    [
        ("published", "mxr_unet_mxresnet50_sa", "mxr_unet_50"),
        ("encoder-34", "mxr_unet_mxresnet34_sa", "mxr_unet_34"),
        ("encoder-18", "mxr_unet_mxresnet18_sa", "mxr_unet_18"),
        ("encoder-50-no-attention", "mxr_unet_mxresnet50_nosa", None),
        ("encoder-34-no-attention", "mxr_unet_mxresnet34_nosa", None),
        ("encoder-18-no-attention", "mxr_unet_mxresnet18_nosa", "mxr_unet_18_nosa"),
    ],
)
def test_layout_of_the_authors(preset: str, shapes: str, keys: str | None) -> None:
    assert_layout("mxr-unet", preset, shapes, keys)


@pytest.mark.parametrize(
    ("track", "mean_red", "std_blue"), [("clean", 0.1801, 0.1171), ("real-world", 0.1859, 0.1181)]
)
def test_contract_is_standardised_with_the_statistics_of_the_track(
    track: str, mean_red: float, std_blue: float, tmp_path: Path
) -> None:
    state, _, _ = load_golden("mxr_unet_tiny_sa")
    file = tmp_path / "best-mxr.pth"
    torch.save({"model": state, "opt": {"state": {}}}, file)
    contract = import_official("mxr-unet", file, track=track).contract
    assert contract.track == track
    assert contract.scaling == "standardised"
    assert contract.mean is not None
    assert contract.std is not None
    assert (contract.mean[0], contract.std[2]) == (mean_red, std_blue)


@pytest.mark.parametrize(
    ("preset", "count", "gmac"),
    [
        ("published", 342_105_546, 1216.592),
        ("encoder-34", 41_463_306, 128.438),
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
