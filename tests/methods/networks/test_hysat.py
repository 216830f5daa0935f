from __future__ import annotations

import torch
from tests.methods.golden import assert_golden, assert_layout, checkpoint_shapes

from respectra.methods.networks.hysat import HybridAttention, SharedDepthwise


def test_output_of_the_authors() -> None:
    assert_golden("hysat", "hysat_d8_s2")


def test_output_of_the_authors_at_published_size() -> None:
    assert_golden("hysat", "hysat_full", checkpoint_shapes("hysat"))


def test_layout() -> None:
    assert_layout("hysat", "published", "hysat_later_peer", "hysat")


def test_channels_of_a_head_share_their_kernels() -> None:
    torch.manual_seed(0)
    module = SharedDepthwise(heads=2)
    x = torch.rand(1, 1, 9, 9).expand(1, 6, 9, 9)
    out = module(x)
    torch.testing.assert_close(out[:, :3], out[:, :1].expand(-1, 3, -1, -1))
    torch.testing.assert_close(out[:, 3:], out[:, 3:4].expand(-1, 3, -1, -1))
    assert not torch.allclose(out[:, 0], out[:, 3])


def test_means_act_on_the_diagonal_of_the_scores() -> None:
    torch.manual_seed(0)
    module = HybridAttention(channels=4, heads=1)
    torch.nn.init.zeros_(module.correlation_gain)
    torch.nn.init.eye_(module.project.weight)
    torch.nn.init.zeros_(module.project.bias)
    torch.nn.init.zeros_(module.neighbours.weight)
    torch.nn.init.constant_(module.neighbours.bias, 50.0)  # every channel then attends to itself
    x = torch.rand(1, 4, 8, 8)
    torch.testing.assert_close(module(x), module.to_v(x))
