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

from respectra.errors import ConfigError
from respectra.methods import build_network, get_network, import_official
from respectra.methods.networks.awan import SecondOrderNonLocal, _attend, _attend_by_table


@pytest.mark.parametrize("name", ["awan_w16_b2", "awan_w32_b2"])
def test_output_of_the_authors(name: str) -> None:
    assert_golden("awan", name)


def test_output_of_the_authors_at_published_size() -> None:
    assert_golden("awan", "awan_8x200_full", checkpoint_shapes("awan_8x200"))


def test_the_size_of_the_toolbox_tells_the_track(tmp_path: Path) -> None:
    state, image, expected = load_golden(
        "awan_8x96_toolbox_full", checkpoint_shapes("awan_8x96_toolbox")
    )
    torch.save({"state_dict": state}, tmp_path / "awan.pth")
    with pytest.warns(match="exposure"):
        weights = import_official("awan", tmp_path / "awan.pth")
    assert weights.contract.track == "exposed"
    net = get_network("awan").network(weights.config).eval()
    net.load_state_dict({key: torch.from_numpy(value) for key, value in weights.tensors.items()})
    with torch.no_grad():
        torch.testing.assert_close(net(image), expected, rtol=0, atol=1.8e-6)


@pytest.mark.parametrize(
    ("preset", "name"),
    [
        ("published", "awan_8x200"),
        ("20x128", "awan_20x128"),
        ("10x180", "awan_10x180"),
        ("8x96", "awan_8x96_mstpp_toolbox"),
    ],
)
def test_parameter_shapes(preset: str, name: str) -> None:
    with torch.device("meta"):
        net = build_network("awan", preset=preset)
    assert sorted_shapes(net) == param_shapes(name)


def non_local(attention: str = "exact", scale: float = 1.0) -> SecondOrderNonLocal:
    torch.manual_seed(3)
    module = SecondOrderNonLocal(31, attention)
    torch.nn.init.normal_(module.project.weight)
    module.theta.weight.data *= scale
    return module.eval()


@torch.no_grad()
def plain(module: SecondOrderNonLocal, quarter: torch.Tensor) -> torch.Tensor:
    """The module as the paper writes it, with the whole affinity in memory."""
    t = module.theta(quarter).flatten(2)[0].T
    centring = torch.eye(3) - torch.ones(3, 3) / 3
    affinity = torch.softmax(t @ (centring / 3) @ t.T, dim=-1)
    mixed = affinity @ module.g(quarter).flatten(2)[0].T
    return quarter + module.project(mixed.T.reshape(1, 3, *quarter.shape[2:]))


@torch.no_grad()
def test_non_local_module_equals_the_plain_form() -> None:
    x = torch.rand(1, 31, 27, 34)
    module = non_local(scale=4.0)
    got = module(x)
    for rows in (slice(0, 13), slice(13, None)):
        for columns in (slice(0, 17), slice(17, None)):
            expected = plain(module, x[:, :, rows, columns])
            torch.testing.assert_close(got[:, :, rows, columns], expected, rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("sharpness", [0.3, 3.0, 10.0, 300.0])
def test_table_agrees_with_the_exact_attention(sharpness: float) -> None:
    torch.manual_seed(0)
    key, value = torch.rand(2, 1, 5000, 3) * sharpness, torch.rand(2, 1, 5000, 3)
    query = (key - key.mean(dim=-1, keepdim=True)) / 3
    got, expected = _attend_by_table(query, key, value), _attend(query, key, value)
    torch.testing.assert_close(got, expected, rtol=0, atol=3e-4)
    if sharpness < 1:
        assert not torch.equal(got, expected), "a table is enough here"


def test_table_is_for_evaluation_alone() -> None:
    x = torch.rand(1, 31, 12, 12)
    exact, table = non_local(), non_local("table").train()
    assert torch.equal(exact(x), table(x))


def test_impossible_configurations() -> None:
    with pytest.raises(ConfigError, match="at least the reduction"):
        build_network("awan", width=8)
    with pytest.raises(ConfigError, match="blocks = 0"):
        build_network("awan", blocks=0)
    with pytest.raises(ConfigError, match="24 to 31 bands"):
        build_network("awan", bands=5, attention="table")
