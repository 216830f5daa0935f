"""FMNet: the authors' output and layout. Its improved reading: the counts that were published."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.methods.golden import assert_golden, assert_layout, checkpoint_shapes

from respectra.errors import ConfigError
from respectra.methods import build_network, get_network
from respectra.methods.measure import count_gmac, count_parameters
from respectra.methods.networks.blocks import SqueezeExcitation
from respectra.methods.networks.fmnet import Mixing, spectral_interpolation


def test_output_of_the_authors() -> None:
    assert_golden("fmnet", "fmnet_w8_n2")


def test_output_of_the_authors_at_published_size() -> None:
    assert_golden("fmnet", "fmnet_n2_full", checkpoint_shapes("fmnet_n2"))


@pytest.mark.parametrize(
    ("preset", "shapes", "keys"),
    [("published", "fmnet_b3_n2", "fmnet_n2"), ("4-blocks", "fmnet_b3_n4", "fmnet_n4")],
)
def test_layout_of_the_authors(preset: str, shapes: str, keys: str) -> None:
    assert_layout("fmnet", preset, shapes, keys)


@pytest.mark.parametrize(
    ("name", "preset", "count", "gmac"),
    [
        # The authors' network takes 31 channels; the interpolation inside ours is 0.023 GMAC.
        ("fmnet", "published", 6_947_229, 1714.110 + 0.023),
        ("fmnet", "4-blocks", 11_792_925, 2909.761 + 0.023),
        ("fmnet-plus", "2-blocks", 3_445_673, 847.4),
        ("fmnet-plus", "published", 4_446_201, 1093),
        ("fmnet-plus", "4-blocks", 5_446_729, 1340),
    ],
)
def test_counts(name: str, preset: str, count: int, gmac: float) -> None:
    assert count_parameters(name, preset=preset) == count
    assert count_gmac(name, preset=preset) == pytest.approx(gmac, rel=5e-4)


@pytest.mark.parametrize("channels", [3, 4])
def test_spectral_interpolation_is_linear_and_starts_at_the_first_channel(channels: int) -> None:
    rgb = np.random.default_rng(0).random(channels)
    expected = np.interp(np.linspace(0, channels - 1, 31), np.arange(channels), rgb)
    got = spectral_interpolation(channels, 31).double().numpy() @ rgb
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert got[0] == pytest.approx(rgb[0])


def test_mixing_weights_are_positive_and_sum_to_one() -> None:
    weights = Mixing(4, 8, 3)(torch.randn(2, 4, 9, 7))
    assert weights.shape == (2, 3, 9, 7)
    assert (weights > 0).all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2, 9, 7))


def test_attention_after_every_branch_and_every_block() -> None:
    net = build_network("fmnet-plus", preset="tiny", blocks=2, functions=3)
    attentions = [m for m in net.modules() if isinstance(m, SqueezeExcitation)]
    assert len(attentions) == (2 + 2) * (3 + 1)  # two blocks, fusion and output


def test_reach_of_the_improved_branches_is_that_of_the_original() -> None:
    fmnet, plus = get_network("fmnet"), get_network("fmnet-plus")
    for functions in (2, 3, 4):
        original = fmnet.halo(fmnet.config(functions=functions, blocks=2))
        improved = plus.halo(plus.config(functions=functions, blocks=2))
        assert original is not None
        assert improved == original + 1  # the 3x3 lift


@pytest.mark.parametrize("name", ["fmnet", "fmnet-plus"])
def test_impossible_configurations(name: str) -> None:
    with pytest.raises(ConfigError, match=r"blocks = 0: .*greater than or equal to 1"):
        build_network(name, blocks=0)
    with pytest.raises(ConfigError, match=r"functions = 1: .*greater than or equal to 2"):
        build_network(name, functions=1)
