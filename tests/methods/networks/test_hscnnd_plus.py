"""HSCNND++: counts of our reading, and how its three dense parts hang together."""

from __future__ import annotations

import pytest
import torch

from respectra.methods import build_network, get_card
from respectra.methods.measure import count_gmac, count_parameters


def test_counts() -> None:
    assert count_parameters("hscnnd-plus") == 3_556_991
    assert count_gmac("hscnnd-plus") == pytest.approx(875, abs=0.6)


def test_widths_where_the_parts_meet() -> None:
    with torch.device("meta"):
        net = build_network("hscnnd-plus")
    assert (net.merge.in_channels, net.merge.out_channels) == (2 * (64 + 30 * 16), 64)
    assert net.tail.in_channels == 64 + 30 * 16


def test_every_branch_reaches_the_output() -> None:
    torch.manual_seed(0)
    net = build_network("hscnnd-plus", preset="tiny").double()
    x = torch.rand(1, 3, 9, 9, dtype=torch.float64)
    with torch.no_grad():
        before = net(x)
        for branch in net.branches:
            branch[0].up1.weight.mul_(1.5)
            after = net(x)
            assert not torch.allclose(after, before, rtol=1e-9, atol=0)
            before = after


def test_the_card_owns_up_to_what_is_undisclosed() -> None:
    assert get_card("hscnnd-plus").origin == "our reading"
