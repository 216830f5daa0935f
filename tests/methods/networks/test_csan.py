"""CSAN: the structure that the report describes, and the counts of our reading."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from respectra.errors import ConfigError
from respectra.methods import build_network
from respectra.methods.measure import count_gmac, count_parameters
from respectra.methods.networks.csan import (
    CSAN,
    CrossScaleAggregation,
    CSANConfig,
    ScaleFusion,
    ScaleResidualDenseGroup,
)


def tiny(**options: object) -> CSAN:
    torch.manual_seed(5)
    net = build_network("csan", preset="tiny", **options)
    assert isinstance(net, CSAN)
    return net.eval()


def test_counts() -> None:
    assert count_parameters("csan") == 7_464_199
    assert count_gmac("csan", frame=(480, 512)) == pytest.approx(809, rel=5e-4)


def test_ten_groups_in_four_stages() -> None:
    with torch.device("meta"):
        net = build_network("csan")
    assert isinstance(net, CSAN)
    groups = [
        [m for m in stage.modules() if isinstance(m, ScaleResidualDenseGroup)]
        for stage in net.stages
    ]
    assert [len(group) for group in groups] == [1, 2, 3, 4]


@torch.no_grad()
def test_every_stage_adds_a_scale_of_half_the_size_up_to_four() -> None:
    net = tiny()
    seen: list[list[tuple[int, ...]]] = []

    def record(module: nn.Module, inputs: tuple[list[Tensor]], outputs: list[Tensor]) -> None:
        seen.append([tuple(f.shape[-2:]) for f in outputs])

    for stage in net.stages:
        stage.register_forward_hook(record)  # type: ignore[arg-type]
    assert net(torch.rand(1, 3, 41, 50)).shape == (1, 31, 41, 50)
    sizes = [(48, 56), (24, 28), (12, 14), (6, 7)]
    assert seen == [sizes[:2], sizes[:3], sizes, sizes]


def test_every_scale_is_made_of_all_scales() -> None:
    config = CSANConfig(width=8, stages=3)
    scales = [torch.rand(1, 8, 16 // 2**s, 16 // 2**s, requires_grad=True) for s in range(2)]
    for target in CrossScaleAggregation(config, scales=2, scales_out=3)(scales):
        gradients = torch.autograd.grad(target.sum(), scales, retain_graph=True)
        assert all(g.abs().max() > 0 for g in gradients)


@torch.no_grad()
def test_inner_shortcuts() -> None:
    aggregate = CrossScaleAggregation(CSANConfig(width=8, stages=3), scales=2, scales_out=3)
    scales = [torch.rand(1, 8, 16, 16), torch.rand(1, 8, 8, 8)]
    fused = [fusion(scales) for fusion in aggregate.fusions]
    got = aggregate(scales)
    torch.testing.assert_close(got[0], fused[0] + scales[0])
    torch.testing.assert_close(got[1], fused[1] + scales[1])
    torch.testing.assert_close(got[2], fused[2])


@torch.no_grad()
def test_attention_weights_of_the_scales_sum_to_one() -> None:
    fusion = ScaleFusion(8, 2, scales=3, target=0)
    fusion.resample = nn.ModuleList(nn.Identity() for _ in range(3))
    x = torch.rand(1, 8, 5, 5)
    torch.testing.assert_close(fusion([x, x, x]), x)


@torch.no_grad()
def test_global_skip() -> None:
    net = tiny()
    for name, parameter in net.named_parameters():
        if name.startswith("refine"):
            parameter.zero_()  # nothing of the scales comes through
    x = torch.rand(1, 3, 16, 24)
    torch.testing.assert_close(net(x), net.out(net.enter(x)))


def test_impossible_configurations() -> None:
    with pytest.raises(ConfigError, match=r"stages = 5: .*less than or equal to 4"):
        build_network("csan", stages=5)
    with pytest.raises(ConfigError, match=r"growth = 0: .*greater than or equal to 1"):
        build_network("csan", growth=0)
