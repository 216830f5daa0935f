from __future__ import annotations

import importlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.methods.golden import checkpoint_shapes, load_golden
from torch import Tensor

from respectra.cli.app import run
from respectra.errors import ConfigError, FormatError, RespectraWarning
from respectra.methods import (
    build_network,
    configure,
    get_network,
    import_official,
    load_official,
    load_weights,
    recognise_checkpoint,
    save_weights,
)


@pytest.fixture(scope="module")
def awan() -> dict[str, Tensor]:
    return load_golden("awan_w16_b2")[0]


def saved(folder: Path, content: Any) -> Path:
    path = folder / "net_100epoch.pth"
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"epoch": 1, "iter": 2, "state_dict": state, "optimizer": {"state": {}}},
        lambda state: {"model": {"state_dict": state}},
        lambda state: {"params": {f"module.{key}": value for key, value in state.items()}},
        lambda state: {f"_orig_mod.module.{key}": value for key, value in state.items()},
        lambda state: {key: value.half() for key, value in state.items()},
    ],
    ids=["plain", "training script", "nested", "DataParallel", "compiled", "half"],
)
def test_nestings_and_prefixes(awan: dict[str, Tensor], wrap: Any, tmp_path: Path) -> None:
    expected = load_official("awan", awan).state_dict()
    weights = import_official("awan", saved(tmp_path, wrap(awan)), track="clean")
    assert weights.tensors.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            torch.from_numpy(weights.tensors[name]), value, rtol=1e-3, atol=1e-6
        )


def test_imported_weights_survive_their_file(awan: dict[str, Tensor], tmp_path: Path) -> None:
    weights = import_official("awan", saved(tmp_path, awan), track="real-world")
    save_weights(weights, tmp_path / "awan.safetensors")
    again = load_weights(tmp_path / "awan.safetensors")
    assert again.config == weights.config
    assert again.contract == weights.contract
    assert again.contract.track == "real-world"
    assert again.contract.clip_low == 0
    assert again.contract.clip_high is None
    assert again.provenance["file"] == "net_100epoch.pth"


def test_min_max_contract_warns_that_exposure_is_lost(
    awan: dict[str, Tensor], tmp_path: Path
) -> None:
    with pytest.warns(RespectraWarning, match="exposure of an image is lost"):
        weights = import_official("awan", saved(tmp_path, awan), track="exposed")
    assert weights.contract.scaling == "min-max"


def test_the_track_is_asked_for_when_it_matters(awan: dict[str, Tensor], tmp_path: Path) -> None:
    path = saved(tmp_path, awan)
    with pytest.raises(ConfigError, match="'clean' or 'real-world' or 'exposed'"):
        import_official("awan", path)
    with pytest.raises(ConfigError, match="got 'dirty'"):
        import_official("awan", path, track="dirty")


def without(state: Mapping[str, Tensor], key: str) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if name != key}


def test_keys_and_shapes_must_be_exact(awan: dict[str, Tensor]) -> None:
    tail = "tail_conv2D.conv2d.weight"
    with pytest.raises(FormatError, match=rf"1 of its tensors are missing \({tail}\)"):
        load_official("awan", without(awan, tail))
    with pytest.raises(FormatError, match=r"1 are unknown to it \(tail\.bias\)"):
        load_official("awan", {**awan, "tail.bias": torch.zeros(16)})
    with pytest.raises(FormatError, match=r"tail_conv2D.* is \(16, 16, 1, 1\) instead of \(16, 16"):
        load_official("awan", {**awan, tail: torch.zeros(16, 16, 1, 1)})
    with pytest.raises(FormatError, match=r"not finite, in tail_conv2D"):
        load_official("awan", {**awan, tail: torch.full((16, 16, 3, 3), torch.nan)})


def test_a_file_of_nothing_known_names_a_few_keys(awan: dict[str, Tensor]) -> None:
    strange = {f"layer{i}.weight": torch.zeros(2, 2) for i in range(9)}
    with pytest.raises(FormatError, match=r"9 are unknown to it \(layer0.*and 6 more\)"):
        load_official("awan", strange)


def test_the_method_that_fits_is_named(awan: dict[str, Tensor]) -> None:
    with pytest.raises(FormatError, match=r"no checkpoint of hrnet: .*these are weights of 'awan'"):
        load_official("hrnet", awan)


@pytest.mark.parametrize(
    ("name", "preset", "checkpoint"),
    [
        ("awan", "published", "awan_8x200"),
        ("awan", "20x128", "awan_20x128"),
        ("awan", "10x180", "awan_10x180"),
        ("awan", "8x96", "awan_8x96_toolbox"),
        ("hrnet", "published", "hrnet_code1"),
        ("hrnet", "code2", "hrnet_code2"),
        ("hrnet", "toolbox", "hrnet_toolbox"),
        ("mst-plus-plus", "published", "mst_plus_plus"),
        ("hscnn-plus", "published", "hscnn_plus_toolbox"),
    ],
)
def test_keys_are_the_authors(name: str, preset: str, checkpoint: str) -> None:
    config = configure(name, preset=preset)
    layout = get_network(name).official
    assert layout is not None
    with torch.device("meta"):
        net = get_network(name).network(config)
        shapes = checkpoint_shapes(checkpoint)
        state = {key: torch.empty(shape) for key, shape in shapes.items()}
    ours = {layout.key(key, config): tuple(t.shape) for key, t in net.state_dict().items()}
    assert ours == shapes
    told = {"padding", "gates"}  # by the track, not by shapes
    found = layout.configure(state)
    assert found.model_dump(exclude=told) == config.model_dump(exclude=told)


def test_numpy_values_beside_the_weights_are_dropped(
    awan: dict[str, Tensor], tmp_path: Path
) -> None:
    numbers = {"best": np.float64(0.1), "step": np.int32(3), "curve": [np.zeros(4, np.float32)]}
    path = saved(tmp_path, {"state_dict": awan, **numbers})
    assert import_official("awan", path, track="clean").method == "awan"
    objects = np.array([Payload()], dtype=object)
    with pytest.raises(FormatError, match="never done"):
        import_official("awan", saved(tmp_path, {"state_dict": awan, "o": objects}), track="clean")


def test_the_method_is_told_by_keys_and_shapes(awan: dict[str, Tensor], tmp_path: Path) -> None:
    assert recognise_checkpoint({"state_dict": awan}) == ["awan"]
    assert import_official(None, saved(tmp_path, awan), track="clean").method == "awan"
    strange = saved(tmp_path, without(awan, "tail_conv2D.conv2d.weight"))
    assert recognise_checkpoint(without(awan, "tail_conv2D.conv2d.weight")) == []
    with pytest.raises(FormatError, match=r"are those of no method that is known"):
        import_official(None, strange)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("hscnn-r", {"preset": "tiny"}),
        ("hdnet", {"preset": "tiny", "width": 12, "blocks": 3}),
        ("rpan", {"preset": "tiny"}),
    ],
)
def test_networks_built_here_and_trained_elsewhere(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    net = build_network(name, **options).eval()
    path = saved(tmp_path, {"state_dict": net.state_dict(), "best": np.float64(0.1)})
    with pytest.raises(ConfigError, match="'clean' or 'real-world' or 'exposed'; name it"):
        import_official(name, path)
    assert name in recognise_checkpoint(net.state_dict())
    weights = import_official(name, path, track="clean")
    assert weights.config == configure(name, **options)
    image = torch.rand(1, 3, 24, 24)
    with torch.no_grad():
        assert torch.equal(load_official(name, net.state_dict())(image), net(image))


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("code of a checkpoint was executed",))


def test_nothing_in_a_file_is_executed(awan: dict[str, Tensor], tmp_path: Path) -> None:
    path = saved(tmp_path, {"state_dict": awan, "extra": Payload()})
    with pytest.raises(FormatError, match="never done"):
        import_official("awan", path, track="clean")
    path.write_bytes(pickle.dumps(Payload(), protocol=2))
    with pytest.raises(FormatError):
        import_official("awan", path, track="clean")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (torch.zeros(3), "holds one Tensor"),
        ({}, "holds no tensors"),
        ({"epoch": 3}, "its keys are epoch"),
        ({"a": torch.zeros(3), "b": 5}, "no tensors: b"),
    ],
)
def test_checkpoints_without_weights(content: Any, match: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=match):
        import_official("awan", saved(tmp_path, content), track="clean")


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>Quota exceeded</html>", b"PK\x03\x04 cut off", b"root:x:0:0", b"\x80\x02q\x00."],
)
def test_files_that_are_no_checkpoints(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"net\.pth is not a PyTorch checkpoint, or is damaged"):
        import_official("awan", path, track="clean")


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="there is no checkpoint"):
        import_official("awan", tmp_path / "absent.pth", track="clean")


def test_command(awan: dict[str, Tensor], tmp_path: Path, capsys: Any) -> None:
    importlib.import_module("respectra.cli.weights")  # registers the command
    path, output = saved(tmp_path, awan), tmp_path / "awan.safetensors"
    arguments = ["import-weights", "awan", str(path), "-o", str(output), "--track", "exposed"]
    assert run(arguments) == 0
    assert load_weights(output).method == "awan"
    assert "warning: these weights of awan stretch" in capsys.readouterr().err
    assert run(arguments) == 1
    assert "pass --overwrite" in capsys.readouterr().err
    assert run([*arguments, "--overwrite"]) == 0
    unnamed = [a for a in arguments if a != "awan"]
    capsys.readouterr()
    assert run([*unnamed, "--overwrite"]) == 0
    assert "awan.safetensors: awan, " in capsys.readouterr().err
