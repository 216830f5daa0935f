"""Means over the whole picture of a network, some of which runs elsewhere than they lie.

The device ``meta``, which has shapes and no values, stands in for a graphics processor.
"""

from __future__ import annotations

import types

import numpy as np
import pytest
import torch
from torch import nn

from respectra.inference.backends.base import join_sums, means_of
from respectra.inference.statistics import given_means, sums_of_tile
from respectra.inference.tiling import Layout
from respectra.methods import Tiling
from respectra.methods.networks.blocks import GlobalMean


class Network(nn.Module):
    """Takes its mean from each pixel, and the mean of that."""

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.again = GlobalMean(), GlobalMean()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x - self.mean(x)
        return x - self.again(x)


def test_given_means_go_to_where_the_network_runs():
    network, means = Network(), [np.full((1, 3, 1, 1), v, np.float32) for v in (0.25, 0.5)]
    with given_means(network, means):
        assert network(torch.empty(1, 3, 4, 5, device="meta")).device.type == "meta"
        here = network(torch.ones(1, 3, 4, 5))
    np.testing.assert_array_equal(here, np.full((1, 3, 4, 5), 0.25, np.float32))


@pytest.mark.parametrize("weigh", [False, True])
def test_sums_of_tiles_give_the_means_of_the_whole(weigh):
    rng = np.random.default_rng(0)
    pixels = rng.random((6, 5, 3), dtype=np.float32)
    weight = rng.integers(1, 4, (6, 5)).astype(np.float32) if weigh else np.ones((6, 5), np.float32)
    expected = (pixels * weight[..., None]).sum((0, 1), dtype=np.float64) / weight.sum()
    network = Network()

    def predict(values: np.ndarray) -> torch.Tensor:
        return network(torch.from_numpy(values).permute(2, 0, 1)[None])

    predictor = types.SimpleNamespace(
        weights=types.SimpleNamespace(method="respectra"), network=network
    )
    predictor = type("Runs", (), {**vars(predictor), "__call__": lambda _, v: predict(v)})()
    layout = Layout(6, 5, Tiling.STATISTICS, (2, 5))

    def mean(number: int, known: dict[int, np.ndarray]) -> np.ndarray:
        parts = [
            sums_of_tile(
                predictor,
                np.ascontiguousarray(pixels[tile.read]),
                tile,
                layout,
                wanted=frozenset({number}),
                known=known,
                weight=weight[tile.keep] if weigh else None,
            )
            for tile in layout.tiles()
        ]
        return means_of(join_sums(parts))[number]

    first = mean(0, {})
    np.testing.assert_allclose(first[0, :, 0, 0], expected, rtol=1e-6)
    second = mean(1, {0: first})
    np.testing.assert_allclose(second[0, :, 0, 0], 0, atol=1e-6)
