"""LWRDANet: against the entrant's own layer graph and published weights, and by construction."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.methods.golden import param_shapes
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.errors import ConfigError, FormatError
from respectra.methods import build_network, configure, get_card, get_network
from respectra.methods.networks.lwrdanet import UpConv, append_coordinates
from respectra.methods.official import import_official, load_official

LAYOUT = get_network("lwrdanet").official
assert LAYOUT is not None
assert LAYOUT.read is not None
assert LAYOUT.adapt is not None


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors: threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def keras_file(data_dir: Path) -> Path:
    return data_dir / "weights" / "lwrdanet_image_lab.hdf5"


def test_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        net = build_network("lwrdanet")
    trained = sum(p.numel() for p in net.parameters())
    moving = sum(b.numel() for name, b in net.named_buffers() if "running" in name)
    assert (trained, trained + moving) == (231_539, 233_059)


def test_has_the_published_parameter_shapes() -> None:
    """The published list is in Keras' order of axes, so sizes are compared."""
    with torch.device("meta"):
        net = build_network("lwrdanet")
    published = sorted(map(math.prod, param_shapes("lwrdanet_image_lab")))
    assert sorted(p.numel() for p in net.parameters()) == published


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (33, 50), (64, 64)])
def test_any_size_any_channels(size: tuple[int, int]) -> None:
    net = build_network("lwrdanet", preset="tiny", channels_in=5, bands=7).eval()
    with torch.inference_mode():
        out = net(torch.rand(2, 5, *size))
    assert out.shape == (2, 7, *size)
    assert torch.isfinite(out).all()


def test_tiny_is_tiny() -> None:
    net = build_network("lwrdanet", preset="tiny")
    assert sum(p.numel() for p in net.parameters()) < 100_000


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"width": 12}, "multiple of reduction; got width 12"),
        ({"blocks": (2, 2, 2, 2, 0)}, "blocks.4 = 0"),
        ({"dropout": 1.0}, "dropout"),
        ({"norm_momentum": 1.0}, "norm_momentum"),
        ({"depth": 3}, "unknown option 'depth'"),
    ],
)
def test_refuses_impossible_configurations(options: dict[str, object], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        build_network("lwrdanet", **options)


def test_coordinates_run_over_the_input_rows_first() -> None:
    out = append_coordinates(torch.zeros(1, 3, 4, 5))
    assert torch.equal(out[0, 3, :, 0], torch.linspace(-1, 1, 4))
    assert torch.equal(out[0, 4, 0], torch.linspace(-1, 1, 5))
    torch.testing.assert_close(out[0, 3, 2], torch.full((5,), 1 / 3))


def test_transposed_convolution_is_the_adjoint_of_tensorflow_same() -> None:
    """TensorFlow's "same" with stride 2 pads 3 x 3 windows of an even input at the end alone."""
    up = UpConv(3, 2)
    nn.init.zeros_(up.bias)
    x, y = torch.rand(1, 3, 5, 6), torch.rand(1, 2, 10, 12)
    down = F.conv2d(F.pad(y, (0, 1, 0, 1)), up.weight, stride=2)
    torch.testing.assert_close((up(x) * y).sum(), (x * down).sum())


def test_moving_statistics_are_those_of_the_last_batch_by_default() -> None:
    x, last = torch.rand(4, 3, 16, 16), torch.rand(4, 3, 16, 16) * 0.3
    net = build_network("lwrdanet", preset="tiny")
    slow = build_network("lwrdanet", preset="tiny", norm_momentum=0.9)
    first = net.encoder1.blocks[0].norm_in
    for batch in (x, last):
        net(batch)
        slow(batch)
    seen = net.encoder1.conv(append_coordinates(last)).mean(dim=(0, 2, 3))
    torch.testing.assert_close(first.running_mean, seen)
    assert slow.encoder1.blocks[0].norm_in.momentum == pytest.approx(0.1)


def test_the_card_says_how_to_cut_tiles() -> None:
    card = get_card("lwrdanet")
    assert (card.tiling.name, card.native_tile) == ("NATIVE", 64)
    assert "zeros" in card.tiling_reason
    assert any("contributes exactly nothing" in decision.what for decision in card.decisions)


# ---- the entrant's file ------------------------------------------------------------------------


def run_keras_graph(layers: list[dict[str, Any]], state: dict[str, Tensor], x: Tensor) -> Tensor:
    """Evaluate the layer graph that the entrant stored, (n, y, x, c), layer by layer.

    The Lambda layers come in pairs, channel mean and channel maximum, numbered in that order.
    """
    made: dict[tuple[str, int], Tensor] = {}

    def conv_same(x: Tensor, kernel: Tensor) -> Tensor:
        return F.conv2d(x.permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1), padding="same")

    def evaluate(layer: dict[str, Any], inputs: list[Tensor]) -> Tensor:
        kind, name, options = layer["class_name"], layer["name"], layer["config"]
        weight = {
            key.split("/")[1].removesuffix(":0"): value
            for key, value in state.items()
            if key.startswith(name + "/")
        }
        x = inputs[0]
        match kind:
            case "CoordinateChannel2D":
                return append_coordinates(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            case "Conv2D":
                x = conv_same(x, weight["kernel"]).permute(0, 2, 3, 1)
                x = x + weight["bias"] if options["use_bias"] else x
            case "Conv2DTranspose":
                kernel = weight["kernel"].permute(3, 2, 0, 1)
                full = F.conv_transpose2d(x.permute(0, 3, 1, 2), kernel, stride=2)
                x = full[..., :-1, :-1].permute(0, 2, 3, 1) + weight["bias"]
            case "Dense":
                x = x @ weight["kernel"] + weight["bias"]
            case "BatchNormalization":
                scale = weight["gamma"] / (weight["moving_variance"] + options["epsilon"]).sqrt()
                return (x - weight["moving_mean"]) * scale + weight["beta"]
            case "GlobalAveragePooling2D":
                return x.mean(dim=(1, 2))
            case "GlobalMaxPooling2D":
                return x.amax(dim=(1, 2))
            case "MaxPooling2D":
                return F.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
            case "Lambda":
                mean = int(name.split("_")[1]) % 2 == 1
                return x.mean(dim=3, keepdim=True) if mean else x.amax(dim=3, keepdim=True)
            case "Reshape":
                return x.reshape(x.shape[0], *options["target_shape"])
            case "Add":
                return sum(inputs[1:], start=x)
            case "Multiply":
                return torch.stack(torch.broadcast_tensors(*inputs)).prod(dim=0)
            case "Concatenate":
                return torch.cat(inputs, dim=3)
            case "Dropout":
                return x
            case "Activation":
                pass
            case _:
                raise AssertionError(f"unexpected layer {kind}")
        return {"relu": F.relu, "sigmoid": torch.sigmoid, "linear": lambda x: x}[
            options["activation"]
        ](x)

    for layer in layers:
        if layer["class_name"] == "InputLayer":
            made[layer["name"], 0] = x
        for call, sources in enumerate(layer["inbound_nodes"]):
            made[layer["name"], call] = evaluate(layer, [made[s[0], s[1]] for s in sources])
    return made[layers[-1]["name"], 0]


def topological(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Layers shared by two inputs may stand before one of them; order them by their inputs."""
    ordered: list[dict[str, Any]] = []
    done: set[str] = set()
    while len(ordered) < len(layers):
        for layer in layers:
            needs = {s[0] for node in layer["inbound_nodes"] for s in node}
            if layer["name"] not in done and needs <= done:
                ordered.append(layer)
                done.add(layer["name"])
    return ordered


def test_wiring_equals_the_stored_graph_with_every_branch_alive(keras_file: Path) -> None:
    """The published weights leave one branch dead, so the graph is compared with random ones."""
    with h5py.File(keras_file) as file:
        graph = json.loads(file.attrs["model_config"])["config"]
    state = dict(LAYOUT.read(keras_file))
    generator = torch.Generator().manual_seed(2020)
    for key, tensor in state.items():
        if "moving_variance" in key or "gamma" in key:
            state[key] = 0.5 + torch.rand(tensor.shape, generator=generator)
        elif "num_batches" not in key:
            fan_in = max(1, tensor[..., 0].numel())
            spread = torch.randn(tensor.shape, generator=generator)
            state[key] = spread * (1.4 / fan_in**0.5 if tensor.ndim > 1 else 0.2)
    x = torch.rand(2, 64, 64, 3, generator=generator)
    with torch.inference_mode():
        expected = run_keras_graph(topological(graph["layers"]), state, x)
        net = load_official("lwrdanet", state)
        got = net(x.permute(0, 3, 1, 2))
        net.project.weight.zero_()
        without_u = net(x.permute(0, 3, 1, 2))
    scale = expected.std()
    torch.testing.assert_close(got.permute(0, 2, 3, 1) / scale, expected / scale, atol=1e-4, rtol=0)
    assert (got - without_u).abs().max() > 0.1 * scale  # the U-shape took part


def in_tiles(net: nn.Module, image: Tensor) -> Tensor:
    """The authors' inference: 64 x 64 tiles from the top left, zeros beyond the image."""
    height, width = image.shape[-2:]
    padded = F.pad(image, (0, -width % 64, 0, -height % 64))
    rows = [
        torch.cat(list(net(torch.cat(row.split(64, dim=-1)))), dim=-1)
        for row in padded.split(64, dim=-2)
    ]
    return torch.cat(rows, dim=-2)[:, :height, :width]


def reprojection_error(net: nn.Module, codes: NDArray[np.uint8], data_dir: Path) -> float:
    """Mean relative deviation of the camera's codes of the estimate from those of the picture."""
    response = np.load(data_dir / "spectra" / "ntire2020_responses.npz")["cie_1964_w_gain"]
    image = torch.from_numpy(codes.astype(np.float32) / 255).permute(2, 0, 1)[None]
    with torch.inference_mode():
        spectra = in_tiles(net, image.contiguous(memory_format=torch.channels_last))
    projected = np.tensordot(spectra.numpy().astype(np.float64), response, axes=(0, 0))
    again = np.floor(255 * np.clip(projected / 256, 0, 1))
    seen = codes > 0
    return float(np.mean(np.abs(again - codes)[seen] / codes[seen]))


def official_pictures(data_dir: Path) -> list[NDArray[np.uint8]]:
    import cv2

    files = sorted((data_dir / "ntire2020_inputs").glob("*_clean.png"))
    return [cv2.imread(str(file))[..., ::-1] for file in files]


def test_published_weights_reproject_onto_part_of_each_official_picture(
    data_dir: Path, keras_file: Path
) -> None:
    net = load_official("lwrdanet", LAYOUT.read(keras_file)).to(memory_format=torch.channels_last)
    pictures = [codes[-98:, 128:256] for codes in official_pictures(data_dir)]
    errors = [reprojection_error(net, codes, data_dir) for codes in pictures]
    assert len(errors) == 20
    assert np.mean(errors) < 0.02
    assert max(errors) < 0.1


@pytest.mark.slow
def test_published_weights_reproject_onto_the_official_pictures(
    data_dir: Path, keras_file: Path
) -> None:
    """Expected: the figures measured when the weights were first examined."""
    net = load_official("lwrdanet", LAYOUT.read(keras_file)).to(memory_format=torch.channels_last)
    errors = [reprojection_error(net, codes, data_dir) for codes in official_pictures(data_dir)]
    assert len(errors) == 20
    assert min(errors) > 0.0014
    assert max(errors) < 0.026
    assert np.mean(errors) == pytest.approx(0.0066, abs=0.0003)


def test_the_u_shaped_branch_of_the_published_weights_is_dead(keras_file: Path) -> None:
    state = dict(LAYOUT.read(keras_file))
    assert state["K_x_1/kernel:0"].abs().max() < 5.5e-5


def test_the_importer_fills_the_contract(keras_file: Path) -> None:
    weights = import_official("lwrdanet", keras_file)
    assert weights.config == configure("lwrdanet")
    contract = weights.contract
    assert (contract.track, contract.channel_order, contract.scaling) == ("clean", "RGB", "unit")
    assert (contract.clip_low, contract.clip_high) == (None, None)


def test_a_file_with_other_layers_is_refused(fabricated: Path) -> None:
    with pytest.raises(FormatError, match=r"no checkpoint of lwrdanet.*missing"):
        import_official("lwrdanet", fabricated)


@pytest.fixture
def fabricated(tmp_path: Path) -> Path:
    """A small file in the entrant's layout."""
    file = tmp_path / "weights.hdf5"
    with h5py.File(file, "w") as out:
        group = out.create_group("model_weights")
        group.create_dataset("conv2d_1/conv2d_1/kernel:0", data=np.ones((3, 3, 5, 8), np.float32))
    return file


def spoil(file: Path, how: str) -> None:
    layer = "model_weights/conv2d_1/conv2d_1"
    if how == "truncated":
        file.write_bytes(file.read_bytes()[:1500])
        return
    if how == "not HDF5":
        file.write_bytes(b"PK\x03\x04" + bytes(500))
        return
    with h5py.File(file, "a") as out:
        del out[f"{layer}/kernel:0"]
        match how:
            case "external link":
                out[f"{layer}/kernel:0"] = h5py.ExternalLink("other.hdf5", "/x")
            case "external storage":
                out[layer].create_dataset(
                    "kernel:0", (4,), "f4", external=[("/etc/hostname", 0, 16)]
                )
            case "huge":
                out[layer].create_dataset("kernel:0", (10**6, 10**6), "f4", chunks=(100, 100))
            case "text":
                out[layer]["kernel:0"] = ["a", "b"]
            case "NaN":
                out[layer]["kernel:0"] = np.array([np.nan], np.float32)
            case "group":
                out[layer].create_group("kernel:0")
            case "array for a layer":
                del out["model_weights/conv2d_1"]
                out["model_weights/conv2d_1"] = np.zeros(3)


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ("truncated", "not a readable Keras HDF5"),
        ("not HDF5", "not a readable Keras HDF5"),
        ("external link", "is a link"),
        ("external storage", "in other files"),
        ("huge", "declares more than"),
        ("text", "floating-point"),
        ("NaN", "not finite"),
        ("group", "is a Group, expected a Dataset"),
        ("array for a layer", "weights.hdf5: 'conv2d_1' is a Dataset, expected a Group"),
        ("empty", "holds no Keras weights"),
    ],
)
def test_hostile_files_give_one_clear_error(fabricated: Path, how: str, match: str) -> None:
    spoil(fabricated, how)
    with pytest.raises(FormatError, match=match):
        LAYOUT.read(fabricated)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="there is no file"):
        LAYOUT.read(tmp_path / "none.hdf5")
