"""Means over the whole picture of a network that runs elsewhere than the memory they lie in.

The device ``meta``, which has shapes and no values, stands in for a graphics processor.
"""

from __future__ import annotations

import contextlib

import numpy as np
import torch
from torch import nn

from respectra.inference.statistics import _Enough, _Sums, given_means
from respectra.inference.tiling import Layout
from respectra.methods import Tiling
from respectra.methods.networks.blocks import GlobalMean


class Network(nn.Module):
    """Takes its mean from each pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = GlobalMean()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - self.mean(x)


def test_given_means_go_to_where_the_network_runs():
    network, means = Network(), [torch.full((1, 3, 1, 1), 0.25)]
    with given_means(network, means):
        assert network(torch.empty(1, 3, 4, 5, device="meta")).device.type == "meta"
        here = network(torch.ones(1, 3, 4, 5))
    np.testing.assert_array_equal(here, np.full((1, 3, 4, 5), 0.75, np.float32))


def test_weights_and_known_means_do_as_well():
    layout = Layout(4, 5, Tiling.STATISTICS, (4, 5))
    weight = np.full((4, 5), 2, np.float32)
    known = {1: torch.zeros(1, 3, 1, 1)}
    for device in ("meta", "cpu"):
        sums = _Sums(frozenset({0}), known, layout, 1, lambda rows, columns: weight[rows, columns])
        x = torch.ones(1, 3, 4, 5, device=device)
        mean = x.mean(dim=(2, 3), keepdim=True)
        with contextlib.suppress(_Enough):
            sums(0, x, mean)
        assert sums.counts[0] == 40
        assert sums.sums[0].device.type == device
        assert sums(1, x, mean).device.type == device
    np.testing.assert_array_equal(sums.means()[0], torch.ones(1, 3, 1, 1))
