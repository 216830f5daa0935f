"""Reference vectors: weights, input and output of the authors' own implementations.

``tests/golden/NAME.safetensors`` holds an input and the output that the authors' code gave for it;
some reduced configurations hold their weights too, under the authors' keys. The others do not:
their weights follow from a hash of the key (``index.json``, ``weight_rule``), and
``golden_state`` makes them again, given the shapes in ``checkpoint_keys``. A test is usually one
line: ``assert_golden(method, name)``.
"""

from __future__ import annotations

import functools
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

FOLDER = Path(__file__).parents[1] / "golden"
Shapes = Mapping[str, Sequence[int]]


@functools.cache
def golden_entry(name: str) -> dict[str, Any]:
    """What the index says of one reference vector."""
    return json.loads((FOLDER / "index.json").read_text())["entries"][name]


def checkpoint_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """The authors' keys with their shapes, from ``checkpoint_keys/NAME.json``."""
    keys = json.loads((FOLDER / "checkpoint_keys" / f"{name}.json").read_text())["keys"]
    return {key: tuple(shape) for key, shape in keys}


def param_shapes(name: str) -> list[tuple[int, ...]]:
    """The published multiset of parameter shapes, sorted by rank and shape."""
    data = json.loads((FOLDER / "param_shapes" / f"{name}.json").read_text())
    return [tuple(shape) for shape in data["param_shapes_sorted"]]


def sorted_shapes(net: nn.Module) -> list[tuple[int, ...]]:
    """The multiset of a network's parameter shapes, sorted likewise."""
    return sorted((tuple(p.shape) for p in net.parameters()), key=lambda s: (len(s), s))


def assert_layout(method: str, preset: str, shapes: str, keys: str | None = None) -> None:
    """A preset has the published parameter shapes and, where known, exactly the authors' keys.

    Args:
        method: in the registry.
        preset: of that method.
        shapes: name of ``param_shapes``.
        keys: name of ``checkpoint_shapes``; the configuration is read off them too.
    """
    from respectra.methods import configure, get_network

    config = configure(method, preset=preset)
    entry = get_network(method)
    with torch.device("meta"):
        net = entry.network(config)
    assert sorted_shapes(net) == param_shapes(shapes)
    if keys is not None:
        assert entry.official is not None
        wanted = checkpoint_shapes(keys)
        got = {
            entry.official.key(ours, config): tuple(tensor.shape)
            for ours, tensor in net.state_dict().items()
        }
        assert got == wanted
        state = {key: torch.empty(shape, device="meta") for key, shape in wanted.items()}
        assert entry.official.configure(state) == config


def golden_state(entry: Mapping[str, Any], shapes: Shapes) -> dict[str, Tensor]:
    """The weights of a full-size reference vector, made from the hash rule.

    Args:
        entry: of ``golden_entry``.
        shapes: the authors' key -> shape, from ``checkpoint_shapes``.

    Raises:
        AssertionError: the checksums of the index do not come out.
    """
    state = {key: _tensor(key, tuple(shape), entry) for key, shape in shapes.items()}
    if "float16" in entry.get("storage", ""):
        state = {
            key: value.half().float() if value.is_floating_point() else value
            for key, value in state.items()
        }
    _make_equal(state, entry.get("tied"))
    if kept := entry.get("kept"):
        for key in [key for key in state if re.search(kept["pattern"], key)]:
            state[key] = _blur_kernels(state[key].shape)
    for key in [key for key in state if key.endswith(".weight_u")]:
        _power_iterations(state, key.removesuffix("_u"))
    for key, (total, absolute) in (entry.get("state_checksums") or {}).items():
        values = state[key].double()
        assert float(values.sum()) == _near(total), f"checksum of {key}"
        assert float(values.abs().sum()) == _near(absolute), f"checksum of {key}"
    return state


def load_golden(
    name: str, shapes: Shapes | None = None
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """(state under the authors' keys, input, output), float32.

    Args:
        name: of the vector.
        shapes: of weights that are not stored; those of ``checkpoint_shapes(name)`` by default.
    """
    tensors = load_file(FOLDER / f"{name}.safetensors")
    state = {
        key.removeprefix("state/"): value.float() if value.is_floating_point() else value
        for key, value in tensors.items()
        if key.startswith("state/")
    }
    if not state:
        if shapes is None:
            shapes = checkpoint_shapes(name)
        state = golden_state(golden_entry(name), shapes)
    # FMNet's own code took spectra interpolated outside of it; both are stored.
    return state, tensors.get("input_rgb", tensors["input"]), tensors["output"]


def golden_tensors(name: str) -> dict[str, Tensor]:
    """What a file holds beside the weights: ``input``, ``output``, more inputs of the authors'
    call under ``input_...`` and further tensors under ``aux/...``; ``index.json`` explains them."""
    tensors = load_file(FOLDER / f"{name}.safetensors")
    return {key: value for key, value in tensors.items() if not key.startswith("state/")}


def assert_golden(
    method: str, name: str, shapes: Shapes | None = None, *, track: str | None = None
) -> None:
    """The network, loaded through the importer, gives the authors' output."""
    from respectra.methods.official import load_official

    state, image, expected = load_golden(name, shapes)
    net = load_official(method, state, track=track).eval()
    entry = golden_entry(name)
    with torch.no_grad():
        got = net(image)
    step = entry.get("output_subsampled_every", 1)
    torch.testing.assert_close(
        got[..., ::step, ::step], expected, rtol=0, atol=entry["suggested_atol_float32"]
    )


def _make_equal(state: dict[str, Tensor], tied: str | None) -> None:
    """Keys that match are one tensor: all of them take the value of the first."""
    keys = [key for key in state if tied and re.search(tied, key)]
    for key in keys:
        state[key] = state[keys[0]].clone()


def _blur_kernels(shape: Sequence[int]) -> Tensor:
    """The outer product of [1, 2, 1] / 4 with itself, for every channel: (channels, 1, 3, 3)."""
    taps = torch.tensor([1.0, 2.0, 1.0]) / 4
    return torch.outer(taps, taps).expand(tuple(shape)).clone()


def _near(value: float) -> Any:
    import pytest

    return pytest.approx(value, rel=1e-9, abs=1e-9)


def _uniform(key: str, count: int, seed: int) -> np.ndarray:
    """``count`` values in [0, 1) from the hash of the key (SplitMix64)."""
    base = ((zlib.crc32(key.encode()) << 32) % 2**64) ^ (seed * 1000003)
    z = np.arange(count, dtype=np.uint64) + np.uint64((base + 0x9E3779B97F4A7C15) % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float64) / 2**24


def _tensor(key: str, shape: tuple[int, ...], entry: Mapping[str, Any]) -> Tensor:
    last = key.rpartition(".")[2]
    if last == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    u = _uniform(key, int(np.prod(shape)), entry["seed"]).reshape(shape)
    if last == "running_var":
        values = 0.75 + 0.5 * u
    elif last == "running_mean" or last == "bias":
        values = 0.2 * (u - 0.5)
    elif last == "gamma":
        values = np.full(shape, 0.5)
    elif last == "weight_g":
        values = 1.0 + 0.5 * u
    elif last in ("weight_u", "weight_v"):
        values = (2 * u - 1) / np.linalg.norm(2 * u - 1)
    elif shape == (1,):
        values = 0.1 + 0.3 * u
    elif len(shape) == 1 or last == "rescale":
        values = 0.75 + 0.5 * u
    else:
        values = (2 * u - 1) * np.sqrt(3.0) * entry["gain"] / np.sqrt(np.prod(shape[1:]))
    for pattern, factor in entry["multipliers"]:
        if re.search(pattern, key):
            values = values * factor
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def _power_iterations(state: dict[str, Tensor], name: str) -> None:
    weight = state[f"{name}_orig"].double().flatten(1)
    u = state[f"{name}_u"].double()
    for _ in range(3):
        v = torch.nn.functional.normalize(weight.T @ u, dim=0)
        u = torch.nn.functional.normalize(weight @ v, dim=0)
    state[f"{name}_u"], state[f"{name}_v"] = u.float(), v.float()
