"""What must hold for every network, written once and run over the registry.

A new network gets all of this by being there. Unless said otherwise a test runs its ``tiny``
preset with every parameter moved off its initial value, so that a zero-initialised branch counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from respectra.errors import ConfigError
from respectra.methods import (
    Contract,
    Tiling,
    Weights,
    build_network,
    configure,
    get_card,
    get_network,
    list_methods,
    load_weights,
    save_weights,
)
from respectra.methods.measure import (
    count_gmac,
    count_parameters,
    list_presets,
    measure_frame,
    receptive_radius,
)
from respectra.methods.networks.blocks import GlobalMean

NETWORKS = list_methods("network")
each_network = pytest.mark.parametrize("name", NETWORKS)
#: Published sizes up to this cost have their memory claim tested; benchmarks/frame.py has all.
CHEAP_GMAC = 60
#: Cheap by that count, in which scans have no part, and yet half a minute for a frame.
SCANS = frozenset({"gmsr"})
#: Tiny networks that reach further than this are not perturbed: the image would be too large.
LARGEST_RADIUS = 160


def build(name: str, *, seed: int = 2020, **options: Any) -> nn.Module:
    """The tiny network in evaluation mode, no parameter at its initial value."""
    torch.manual_seed(seed)
    net = build_network(name, preset="tiny", **options).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            scale = parameter.std().item() if parameter.numel() > 1 else 0.0
            parameter.add_(torch.randn_like(parameter) * max(0.5 * scale, 0.02))
    return net


def picture(name: str, height: int, width: int, *, n: int = 1, seed: int = 0) -> Tensor:
    """Noise in [0, 1] with as many channels as the network takes."""
    generator = torch.Generator().manual_seed(seed)
    channels = configure(name, preset="tiny").channels_in  # type: ignore[attr-defined]
    return torch.rand(n, channels, height, width, generator=generator)


def run(net: nn.Module, x: Tensor) -> Tensor:
    with torch.inference_mode():
        return net(x)


def assert_same(got: Tensor, wanted: Tensor, tolerance: float) -> None:
    """Largest difference, relative to the largest value wanted."""
    assert got.shape == wanted.shape
    scale = wanted.abs().max().item()
    assert scale > 0, "nothing to compare: the output is zero"
    assert (got - wanted).abs().max().item() <= tolerance * scale


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny networks on one thread: no competition between test processes, no changing sums."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# --- the card ---------------------------------------------------------------------------------


@each_network
def test_card_is_complete(name: str) -> None:
    card = get_card(name)
    assert card.kind == "network"
    assert card.title
    assert card.summary.endswith(".")
    assert card.reference
    assert card.tiling_reason
    assert card.decisions
    unsourced = [d.what for d in card.decisions if d.origin != "our reading" and not d.source]
    assert not unsourced, "a published decision names where it is published"
    assert (card.native_tile is not None) == (card.tiling is Tiling.NATIVE)
    assert card.memory_gb, "claims its peak memory on one frame"
    assert not card.rank or card.team


@each_network
def test_tiling_policy_agrees_with_the_receptive_field(name: str) -> None:
    radius = receptive_radius(name)
    if get_card(name).tiling in (Tiling.EXACT, Tiling.STATISTICS):
        assert radius is not None
    if get_card(name).tiling in (Tiling.APPROXIMATE, Tiling.WHOLE) and radius is not None:
        assert radius > 64, "it is bounded: tiles can be exact"


# --- configuration ----------------------------------------------------------------------------


@each_network
def test_every_preset_builds_and_the_published_one_runs_on_the_meta_device(name: str) -> None:
    assert count_gmac(name, frame=(96, 96)) > 0
    for preset in list_presets(name):
        assert count_parameters(name, preset=preset) > 0


@each_network
def test_tiny_is_small(name: str) -> None:
    assert count_parameters(name, preset="tiny") < 100_000


@each_network
def test_unknown_option_is_refused_with_those_allowed(name: str) -> None:
    with pytest.raises(ConfigError, match=r"unknown option 'colour'.*allowed:.*bands"):
        build_network(name, colour="red")


@each_network
def test_wrong_types_and_impossible_values_are_refused(name: str) -> None:
    defaults = configure(name, preset="tiny")
    for option, value in defaults:
        wrong: list[object] = [object()]
        if isinstance(value, int) and not isinstance(value, bool):
            wrong += [-1, "many"]
        elif isinstance(value, float):
            wrong += [float("nan"), "much"]
        elif isinstance(value, str):
            wrong += ["no such thing", 7]
        elif isinstance(value, tuple):
            wrong += ["many"] if value == () else [(), "many"]
        for refused in wrong:
            with pytest.raises(ConfigError, match=option):
                configure(name, preset="tiny", **{option: refused})
    for option in ("bands", "channels_in"):
        with pytest.raises(ConfigError, match=option):
            configure(name, **{option: 0})


# --- forward ----------------------------------------------------------------------------------


@each_network
def test_any_size_from_the_minimum_on(name: str) -> None:
    card, net = get_card(name), build(name)
    low, odd = card.size_minimum, card.size_multiple + 1
    for sides in ((low, low), (low, low + 20), (17, 23), (odd, 31)):
        height, width = (max(low, side) for side in sides)
        out = run(net, picture(name, height, width))
        assert out.shape == (1, 31, height, width)
        assert out.isfinite().all()


@each_network
@pytest.mark.parametrize("bands", [1, 7, 40])
def test_any_number_of_bands(name: str, bands: int) -> None:
    out = run(build(name, bands=bands), picture(name, 20, 24))
    assert out.shape == (1, bands, 20, 24)
    assert out.isfinite().all()


@each_network
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_flat_images_give_finite_spectra(name: str, level: float) -> None:
    assert run(build(name), torch.full_like(picture(name, 16, 24), level)).isfinite().all()


@each_network
def test_the_input_is_left_alone(name: str) -> None:
    x = picture(name, 17, 23)
    before = x.clone()
    run(build(name), x)
    assert torch.equal(x, before)


@each_network
def test_evaluation_is_deterministic(name: str) -> None:
    net, x = build(name), picture(name, 24, 32)
    assert torch.equal(run(net, x), run(net, x))


@each_network
def test_images_of_a_batch_do_not_see_each_other(name: str) -> None:
    net, x = build(name), picture(name, 20, 28, n=2)
    x[1] *= 0.3
    assert_same(run(net, x), torch.cat([run(net, x[:1]), run(net, x[1:])]), 1e-5)


@each_network
def test_channels_last_gives_the_same(name: str) -> None:
    net, x = build(name), picture(name, 20, 28)
    wanted = run(net, x)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert_same(run(net, x.contiguous(memory_format=torch.channels_last)), wanted, 1e-4)


@each_network
def test_float32_agrees_with_float64(name: str) -> None:
    net, x = build(name), picture(name, 20, 28)
    single = run(net, x)
    double = run(net.double(), x.double())
    assert double.dtype == torch.float64
    assert_same(single.double(), double, 1e-3)


# --- training ---------------------------------------------------------------------------------


@each_network
def test_every_parameter_learns(name: str) -> None:
    untrained = get_network(name).untrained
    keys = [key for key, _ in build(name).named_parameters()]
    excused = {key for key in keys if any(re.search(pattern, key) for pattern in untrained)}
    for pattern, reason in untrained.items():
        assert reason
        assert any(re.search(pattern, key) for key in keys), f"{pattern} matches no parameter"
    learned: set[str] = set()
    # Several draws: in a tiny network a unit can be saturated by chance, not by design.
    for seed in range(8):
        net = build(name, seed=seed).train()
        out = net(picture(name, 33, 40, n=4, seed=seed))
        out.sub(torch.rand_like(out)).square().mean().backward()
        for key, parameter in net.named_parameters():
            if parameter.grad is not None:
                assert parameter.grad.isfinite().all(), key
                if parameter.grad.abs().max() > 0:
                    learned.add(key)
        if learned == set(keys) - excused:
            break
    assert not learned & excused, "these learn: they do not belong into untrained"
    assert learned | excused == set(keys), f"no gradient: {sorted(set(keys) - learned - excused)}"


@each_network
def test_training_mode_takes_a_step_from_fresh_weights(name: str) -> None:
    torch.manual_seed(0)
    net = build_network(name, preset="tiny").train()
    out = net(picture(name, 32, 32, n=2))
    out.sub(0.3).abs().mean().backward()
    grads = [p.grad for p in net.parameters() if p.grad is not None]
    assert any(grad.abs().max() > 0 for grad in grads)
    assert all(grad.isfinite().all() for grad in grads)


# --- weights ----------------------------------------------------------------------------------


@each_network
def test_saved_and_loaded_weights_give_the_same(name: str, tmp_path: Path) -> None:
    net, x = build(name), picture(name, 18, 26)
    tensors = {key: value.numpy() for key, value in net.state_dict().items()}
    file = tmp_path / "weights.safetensors"
    save_weights(Weights(name, configure(name, preset="tiny"), Contract(), tensors), file)
    loaded = load_weights(file)
    again = get_network(loaded.method).network(loaded.config).eval()
    again.load_state_dict({k: torch.from_numpy(np.copy(v)) for k, v in loaded.tensors.items()})
    assert torch.equal(run(again, x), run(net, x))


# --- receptive field --------------------------------------------------------------------------


@contextmanager
def frozen_statistics(net: nn.Module, x: Tensor) -> Iterator[None]:
    """Whole-image means keep the values they have on ``x``, as the tiler does it."""
    modules = [module for module in net.modules() if isinstance(module, GlobalMean)]
    means: list[Tensor] = []
    hooks = [m.register_forward_hook(lambda *call: means.append(call[2])) for m in modules]
    run(net, x)
    for hook in hooks:
        hook.remove()
    replay = iter(means)

    def restart(*_: object) -> None:
        nonlocal replay
        replay = iter(means)

    hooks = [m.register_forward_hook(lambda *_: next(replay)) for m in modules]
    hooks.append(net.register_forward_pre_hook(restart))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def bounded(name: str) -> tuple[nn.Module, int, int]:
    """A double-precision network with its radius and the multiple it works at, or skip."""
    card, radius = get_card(name), receptive_radius(name, preset="tiny")
    if radius is None:
        pytest.skip("every output pixel sees the whole image")
    if card.tiling not in (Tiling.EXACT, Tiling.STATISTICS):
        pytest.skip(f"not tiled with a halo: {card.tiling.value}")
    if radius > LARGEST_RADIUS:
        pytest.skip(f"a radius of {radius} px needs too large an image")
    return build(name).double(), radius, card.size_multiple


@each_network
def test_input_beyond_the_radius_changes_nothing(name: str) -> None:
    net, radius, multiple = bounded(name)
    side = -(-(2 * radius + 24) // multiple) * multiple
    x = picture(name, side, side).double()
    with frozen_statistics(net, x):
        before = run(net, x)
        for shift in {0, 1, multiple // 2, multiple - 1}:
            at = side // 2 // multiple * multiple + shift
            changed = x.clone()
            changed[..., at, at] = 5.0
            change = (run(net, changed) - before).abs().amax(dim=(0, 1))
            distance = (torch.arange(side) - at).abs()
            beyond = torch.maximum(distance[:, None], distance[None, :]) > radius
            assert change[at, at] > 0, "a pixel changes its own spectrum"
            assert change[beyond].max() <= 1e-12 * change.max()


@each_network
def test_a_tile_with_its_halo_gives_what_the_whole_image_gives(name: str) -> None:
    net, radius, multiple = bounded(name)
    halo = -(-radius // multiple) * multiple
    tile = max(multiple, 16 // multiple * multiple)
    size, top, left = tile + 2 * halo, 2 * multiple, multiple
    x = picture(name, size + 5 * multiple, size + 3 * multiple).double()
    with frozen_statistics(net, x):
        whole = run(net, x)[..., top : top + size, left : left + size]
        part = run(net, x[..., top : top + size, left : left + size])
    inner = slice(halo, halo + tile)
    assert_same(part[..., inner, inner], whole[..., inner, inner], 1e-10)


# --- export -----------------------------------------------------------------------------------


@pytest.mark.slow
@each_network
def test_exported_and_in_onnx_runtime_it_gives_the_same(name: str, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    if not get_card(name).exports_onnx:
        pytest.skip("its card claims no export")
    net, x = build(name), picture(name, 24, 32)
    wanted = run(net, x)
    program = torch.export.export(net, (x,), strict=False)
    assert_same(program.module()(x).detach(), wanted, 1e-5)
    file = tmp_path / "network.onnx"
    torch.onnx.export(program, (), file, dynamo=True, verbose=False)
    session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (out,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert_same(torch.from_numpy(out), wanted, 1e-4)


# --- cost -------------------------------------------------------------------------------------


@pytest.mark.slow
@each_network
def test_memory_of_one_frame_is_below_the_claim(name: str) -> None:
    claim = get_card(name).memory_gb
    if name in SCANS or count_gmac(name) > CHEAP_GMAC:
        pytest.skip("takes too long here; measured by benchmarks/frame.py")
    assert claim is not None
    assert measure_frame(name, threads=2).peak_gb <= claim
