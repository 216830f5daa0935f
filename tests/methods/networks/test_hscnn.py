"""HSCNN-R, HSCNN-D and the 2022 toolbox's HSCNN+: reference vectors, counts, checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.methods.golden import (
    assert_golden,
    checkpoint_shapes,
    load_golden,
    param_shapes,
    sorted_shapes,
)
from torch import nn
from torch.nn import functional as F

from respectra.errors import FormatError, RespectraWarning
from respectra.methods import build_network, configure, import_official, load_official
from respectra.methods.measure import count_gmac, count_parameters
from respectra.methods.networks.blocks import (
    DenseFusionBlock,
    DenseFusionConfig,
    DenseFusionHead,
)


@pytest.mark.parametrize(
    ("method", "reduced", "full", "keys"),
    [
        ("hscnn-r", "hscnn_r_w8_b3", "hscnn_r_16x64_full", "hscnn_r_16x64"),
        ("hscnn-plus", "hscnn_plus_q_b3", "hscnn_plus_full", "hscnn_plus_toolbox"),
    ],
)
def test_output_of_the_authors(method: str, reduced: str, full: str, keys: str) -> None:
    assert_golden(method, reduced)
    assert_golden(method, full, checkpoint_shapes(keys))


@pytest.mark.parametrize(
    ("method", "preset", "name", "count"),
    [
        ("hscnn-r", "published", "hscnn_r_16x64", 1_238_303),
        ("hscnn-r", "16x64", "hscnn_r_16x64", 1_238_303),
        ("hscnn-r", "14x64", "hscnn_r_14x64", 1_090_591),
        ("hscnn-r", "16x256", "hscnn_r_16x256", 19_551_263),
        ("hscnn-plus", "published", "hscnn_plus_mstpp_toolbox_30", 4_645_504),
    ],
)
def test_published_shapes(method: str, preset: str, name: str, count: int) -> None:
    with torch.device("meta"):
        net = build_network(method, preset=preset)
    assert sorted_shapes(net) == param_shapes(name)
    assert sum(p.numel() for p in net.parameters()) == count


@pytest.mark.parametrize(
    ("preset", "count", "gmac"),
    [
        ("b60x3", 9_294_943, 2288),
        ("b40x3", 4_925_983, 1212),
        ("b80x1-wide", 19_753_759, 4870),
    ],
)
def test_hscnn_d_has_the_counts_of_the_authors_graph(preset: str, count: int, gmac: int) -> None:
    assert count_parameters("hscnn-d", preset=preset) == count
    assert count_gmac("hscnn-d", preset=preset) == pytest.approx(gmac, abs=0.6)


def test_hscnn_d_default_is_the_deepest_of_its_ensemble() -> None:
    assert configure("hscnn-d") == configure("hscnn-d", preset="b60x3")


def test_hscnn_d_is_a_last_layer_on_the_concatenated_branches() -> None:
    net = build_network("hscnn-d", preset="tiny").double()
    nn.init.normal_(net.tail.bias)
    x = torch.rand(1, 3, 9, 9, dtype=torch.float64)
    maps = torch.cat([branch(x) for branch in net.branches], dim=1)
    torch.testing.assert_close(net(x), net.tail(maps))


def test_hscnn_d_starts_near_zero_as_its_authors_did() -> None:
    torch.manual_seed(0)
    net = build_network("hscnn-d", preset="tiny")
    assert 0 < net.tail.weight.abs().max() <= 2e-3
    squeeze = net.branches[0][1][2].squeeze
    assert squeeze.weight.std().item() == pytest.approx((2 / squeeze.in_channels) ** 0.5, rel=0.1)


def test_hscnn_r_starts_with_a_variance_by_output_channels() -> None:
    torch.manual_seed(0)
    head = build_network("hscnn-r").head
    assert head.weight.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.05)


def test_dense_fusion_block_keeps_its_input_and_adds_rectified_maps() -> None:
    config = DenseFusionConfig(squeeze=5, branch=4, projection=3, growth=2)
    block = DenseFusionBlock(6, config, bias=True)
    x = torch.randn(1, 6, 7, 8)
    out = block(x)
    assert out.shape == (1, 8, 7, 8)
    assert torch.equal(out[:, :6], x)
    assert out[:, 6:].min() >= 0


def test_dense_fusion_head_is_two_paths_of_two_layers_each() -> None:
    head = DenseFusionHead(DenseFusionConfig(branch=4), bias=False)
    x = torch.rand(1, 3, 6, 6)
    out = head(x)
    up = F.relu(F.conv2d(x, head.up1.weight, padding=1))
    torch.testing.assert_close(out[:, :4], up)
    torch.testing.assert_close(out[:, 4:8], F.relu(F.conv2d(up, head.up2.weight)))
    assert out.shape[1] == 16


def test_toolbox_network_is_positively_homogeneous() -> None:
    """No bias anywhere: twice the input gives twice the spectra."""
    net = build_network("hscnn-plus", preset="tiny")
    assert all(m.bias is None for m in net.modules() if isinstance(m, nn.Conv2d))
    x = torch.rand(1, 3, 9, 9)
    torch.testing.assert_close(net(2 * x), 2 * net(x))


def test_toolbox_weights_warn_that_exposure_is_lost(tmp_path: Path) -> None:
    state = load_golden("hscnn_plus_q_b3")[0]
    file = tmp_path / "net_10epoch.pth"
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, file)
    with pytest.warns(RespectraWarning, match="exposure"):
        weights = import_official("hscnn-plus", file)
    assert weights.contract.scaling == "min-max"
    assert weights.config == configure("hscnn-plus", preset="tiny")


def test_residual_weights_may_be_of_either_track(tmp_path: Path) -> None:
    file = tmp_path / "layer16_3-to-31.pkl"
    torch.save({"epoch": 9, "state_dict": load_golden("hscnn_r_w8_b3")[0]}, file)
    weights = import_official("hscnn-r", file, track="real-world")
    assert (weights.contract.track, weights.contract.scaling) == ("real-world", "unit")
    assert weights.config == configure("hscnn-r", width=8, blocks=3)


def test_a_missing_tensor_is_named() -> None:
    state = load_golden("hscnn_r_w8_b3")[0]
    del state["conv.bias"]
    with pytest.raises(FormatError, match=r"conv\.bias"):
        load_official("hscnn-r", state)
