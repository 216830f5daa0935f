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


def test_the_parts_hang_together() -> None:
    """Branches concatenated, merged and rectified, refined by dense blocks, read out."""
    torch.manual_seed(0)
    net = build_network("hscnnd-plus", preset="tiny").double()
    x = torch.rand(1, 3, 9, 9, dtype=torch.float64)
    merged = net.merge(torch.cat([branch(x) for branch in net.branches], dim=1)).relu()
    torch.testing.assert_close(net(x), net.tail(net.fusion(merged)))


def test_the_card_owns_up_to_what_is_undisclosed() -> None:
    assert get_card("hscnnd-plus").origin == "our reading"
