"""What must hold for every network: its receptive field, its export, its memory."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from respectra.methods import Tiling
from respectra.methods.measure import measure_frame
from respectra.methods.networks.blocks import GlobalMean
from respectra.testing.base import Battery, NotApplicable, registered, require
from respectra.testing.network_parts import (
    Method,
    build,
    count_gmac,
    noise,
    picture,
    require_same,
    run,
    tiny_config,
)

#: Published sizes up to this cost have their memory claim checked, 10⁹ multiply-adds a frame.
CHEAP_GMAC = 60
#: Tiny networks that reach further than this are not perturbed: the image would be too large.
LARGEST_RADIUS = 160

FIELD_CHECKS: Battery[Method] = Battery()


@contextlib.contextmanager
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


def bounded(method: Method) -> tuple[nn.Module, int, int]:
    """A double-precision network with its radius and the multiple it works at."""
    card, radius = method.card, method.halo(tiny_config(method))
    if radius is None:
        raise NotApplicable("every output pixel sees the whole image")
    if card.tiling not in (Tiling.EXACT, Tiling.STATISTICS):
        raise NotApplicable(f"not tiled with a halo: {card.tiling.value}")
    if radius > LARGEST_RADIUS:
        raise NotApplicable(f"a radius of {radius} px needs too large an image")
    return build(method).double(), radius, card.size_multiple


@FIELD_CHECKS.check
def input_beyond_the_radius_changes_nothing(method: Method) -> None:
    """The halo is not too small."""
    net, radius, multiple = bounded(method)
    side = -(-(2 * radius + 24) // multiple) * multiple
    x = picture(method, side, side).double()
    with frozen_statistics(net, x):
        before = run(net, x)
        for shift in {0, 1, multiple // 2, multiple - 1}:
            at = side // 2 // multiple * multiple + shift
            changed = x.clone()
            changed[..., at, at] = 5.0
            change = (run(net, changed) - before).abs().amax(dim=(0, 1))
            distance = (torch.arange(side) - at).abs()
            beyond = torch.maximum(distance[:, None], distance[None, :]) > radius
            require(change[at, at] > 0, "a pixel does not change its own spectrum")
            require(
                change[beyond].max() <= 1e-12 * change.max(),
                f"a pixel changes spectra farther than its halo of {radius} pixels",
            )


@FIELD_CHECKS.check
def a_tile_with_its_halo_gives_what_the_whole_image_gives(method: Method) -> None:
    """Tiling is exact where the card says so."""
    net, radius, multiple = bounded(method)
    halo = -(-radius // multiple) * multiple
    tile = max(multiple, 16 // multiple * multiple)
    size, top, left = tile + 2 * halo, 2 * multiple, multiple
    x = picture(method, size + 5 * multiple, size + 3 * multiple).double()
    with frozen_statistics(net, x):
        whole = run(net, x)[..., top : top + size, left : left + size]
        part = run(net, x[..., top : top + size, left : left + size])
    inner = slice(halo, halo + tile)
    require_same(part[..., inner, inner], whole[..., inner, inner], 1e-10, "a tile with its halo")


@FIELD_CHECKS.slow_check
def exported_and_in_onnx_runtime_it_gives_the_same(method: Method) -> None:
    """The graph that PyTorch exports, and ONNX Runtime on it."""
    if not method.card.exports_onnx:
        raise NotApplicable("its card claims no export")
    import onnxruntime

    net, x = build(method), noise(method, 24, 32)
    wanted = run(net, x)
    program = torch.export.export(net, (x,), strict=False)
    require_same(program.module()(x).detach(), wanted, 1e-5, "the exported graph")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        torch.onnx.export(program, (), file, dynamo=True, verbose=False)
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        (out,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    require_same(torch.from_numpy(out), wanted, 1e-4, "ONNX Runtime")


@FIELD_CHECKS.slow_check
def memory_of_one_frame_is_below_the_claim(method: Method) -> None:
    """The published size on an image of 482 x 512, measured in a process of its own."""
    name, claim = registered(method), method.card.memory_gb
    if count_gmac(method, method.config(), 482, 512) > CHEAP_GMAC:
        raise NotApplicable("takes too long here; measured by benchmarks/frame.py")
    require(claim is not None, "its card does not claim the peak memory of one frame")
    peak = measure_frame(name, threads=2).peak_gb
    require(claim is None or peak <= claim, f"one frame takes {peak:.2f} GB, its card says {claim}")
