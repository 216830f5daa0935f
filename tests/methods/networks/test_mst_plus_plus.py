from __future__ import annotations

import pytest
import torch
from tests.methods.golden import assert_golden, checkpoint_shapes, param_shapes, sorted_shapes

from respectra.errors import ConfigError
from respectra.methods import build_network
from respectra.methods.networks.blocks import channel_correlation


def test_output_of_the_authors() -> None:
    assert_golden("mst-plus-plus", "mst_plus_plus_d8_s2")


def test_output_of_the_authors_at_published_size() -> None:
    assert_golden("mst-plus-plus", "mst_plus_plus_full", checkpoint_shapes("mst_plus_plus"))


def test_parameter_shapes() -> None:
    with torch.device("meta"):
        net = build_network("mst-plus-plus")
    assert sorted_shapes(net) == param_shapes("mst_plus_plus")


def test_correlation_is_of_unit_vectors() -> None:
    k, q = torch.rand(2, 3, 4, 50), torch.rand(2, 3, 4, 50)
    unit = torch.nn.functional.normalize
    expected = torch.einsum("nhip,nhjp->nhij", unit(k, dim=-1), unit(q, dim=-1))
    torch.testing.assert_close(channel_correlation(k, q), expected)


@pytest.mark.parametrize(
    "options", [{"levels": 0}, {"levels": 4}, {"bands": 7}, {"channels_in": 5}]
)
def test_shapes_other_than_published(options: dict[str, int]) -> None:
    net = build_network("mst-plus-plus", preset="tiny", **options).eval()
    with torch.no_grad():
        out = net(torch.rand(2, options.get("channels_in", 3), 9, 21))
    assert out.shape == (2, options.get("bands", 31), 9, 21)


def test_impossible_configurations() -> None:
    with pytest.raises(ConfigError, match="stages = 0"):
        build_network("mst-plus-plus", stages=0)
    with pytest.raises(ConfigError, match=r"unknown option 'blocks' \(allowed: .*stages"):
        build_network("mst-plus-plus", blocks=3)
