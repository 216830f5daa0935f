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
from respectra.methods import build_network, get_network, import_official, load_official


@pytest.mark.parametrize("name", ["hrnet_code1_w4", "hrnet_code2_w4"])
def test_output_of_the_authors(name: str) -> None:
    assert_golden("hrnet", name)


@pytest.mark.parametrize("name", ["hrnet_toolbox_w4", "hrnet_toolbox_full"])
def test_output_of_the_toolbox(name: str) -> None:
    shapes = checkpoint_shapes("hrnet_toolbox") if name.endswith("full") else None
    assert_golden("hrnet", name, shapes, track="exposed")


def test_the_toolbox_is_told_by_its_counters_or_by_gates_that_never_learned(
    tmp_path: Path,
) -> None:
    state = load_golden("hrnet_toolbox_w4")[0]
    torch.save({"epoch": 9, "iter": 99, "state_dict": state, "optimizer": {}}, tmp_path / "a.pth")
    with pytest.warns(match="exposure"):
        assert import_official("hrnet", tmp_path / "a.pth").contract.track == "exposed"

    def is_toolbox(state: dict[str, torch.Tensor]) -> bool:
        return load_official("hrnet", state).levels[0].enter[0].padding_mode == "zeros"

    assert not is_toolbox(state), "these gates were never drawn as PyTorch draws them"
    torch.manual_seed(0)
    for key in [key for key in state if ".fc." in key]:
        bound = state[key].shape[1] ** -0.5
        state[key] = torch.empty_like(state[key]).uniform_(-bound, bound)
    assert is_toolbox(state)
    state["main35.fc.0.weight"][0, 0] = 0.6
    assert not is_toolbox(state), "a gate that learned was applied"


@pytest.mark.parametrize("name", ["hrnet_code1", "hrnet_code2"])
def test_output_of_the_authors_at_published_size(name: str) -> None:
    assert_golden("hrnet", f"{name}_full", checkpoint_shapes(name))


@pytest.mark.parametrize(
    ("preset", "name"),
    [
        ("published", "hrnet_code1"),
        ("code2", "hrnet_code2"),
        ("toolbox", "hrnet_mstpp_toolbox"),
    ],
)
def test_parameter_shapes(preset: str, name: str) -> None:
    with torch.device("meta"):
        net = build_network("hrnet", preset=preset)
    assert sorted_shapes(net) == param_shapes(name)


def test_the_track_tells_the_padding(tmp_path: Path) -> None:
    state = load_golden("hrnet_code1_w4")[0]
    torch.save(state, tmp_path / "net.pth")
    clean = import_official("hrnet", tmp_path / "net.pth", track="clean")
    assert clean.contract.channel_order == "BGR"
    assert clean.config.model_dump()["padding"] == "reflect"
    with pytest.warns(match="exposure"):
        exposed = import_official("hrnet", tmp_path / "net.pth", track="exposed")
    assert exposed.contract.channel_order == "RGB"
    assert exposed.config.model_dump()["padding"] == "zero"
    assert exposed.config.model_dump()["gates"] == "unused"


def test_padding_matters_at_the_border_alone() -> None:
    torch.manual_seed(0)
    small = {"width": 4, "dense_blocks": (0, 0, 0, 0)}
    reflect = build_network("hrnet", **small).eval()
    for name, parameter in reflect.named_parameters():
        if "gate" in name:  # the means would carry the border everywhere
            torch.nn.init.zeros_(parameter)
        else:
            torch.nn.init.normal_(parameter, std=0.3)
    zero = build_network("hrnet", padding="zero", **small).eval()
    zero.load_state_dict(reflect.state_dict())
    method = get_network("hrnet")
    halo = method.halo(method.config(**small))
    image = torch.rand(1, 3, 2 * halo + 8, 2 * halo + 8)
    with torch.no_grad():
        a, b = reflect(image), zero(image)
    assert not torch.allclose(a[..., 0, 0], b[..., 0, 0])
    inside = slice(halo, -halo)
    torch.testing.assert_close(a[..., inside, inside], b[..., inside, inside])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"width": 7}, "multiple of 2"),
        ({"dense_blocks": (4, 2, 1)}, "dense_blocks"),
        ({"dense_blocks": (4, 2, 1, -1)}, "greater than or equal to 0"),
        ({"modules": "code3"}, "'rdb-first' or 'global-first'"),
    ],
)
def test_impossible_configurations(options: dict[str, object], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        build_network("hrnet", **options)
