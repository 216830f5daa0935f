"""Means over the whole image of a network in PyTorch, whose sums are taken tile by tile.

Networks take such means through modules of one class, ``blocks.GlobalMean``. Those that depend on
no other mean are taken in a first pass over all tiles; then, with these given, those that depend
on them alone, and so on. A pass computes the network no further than to the last mean it takes.
They are kept in the machine's memory, wherever the network runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from respectra.errors import RespectraError
from respectra.inference.backends.base import Means, Sums
from respectra.inference.networks import bare_network, probe_image
from respectra.inference.tiling import Layout, Tile, round_up
from respectra.methods import Weights, get_card
from respectra.methods.networks.blocks import GlobalMean
from respectra.typing import Float32Array

if TYPE_CHECKING:
    from respectra.inference.backends.network import NetworkBackend


class _Enough(Exception):  # noqa: N818 - not an error: it ends a pass that has what it wanted
    """Raised within a network once a pass has seen what it was for."""


@contextlib.contextmanager
def _handled(network: nn.Module, handle: Any) -> Iterator[None]:
    """Within this block ``handle(number, input, output)`` may give another output for each mean.

    The number is that of the call within one forward pass of the network.
    """
    number = 0

    def restart(*_: object) -> None:
        nonlocal number
        number = 0

    def called(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        nonlocal number
        number += 1
        result: Tensor | None = handle(number - 1, inputs[0], output)
        return result

    means = [module for module in network.modules() if isinstance(module, GlobalMean)]
    with contextlib.ExitStack() as hooks:
        hooks.callback(network.register_forward_pre_hook(restart).remove)
        for module in means:
            hooks.callback(module.register_forward_hook(called).remove)
        yield


def mean_order(network: nn.Module, image: Tensor) -> list[int]:
    """The pass in which each whole-image mean can be taken, in the order of the calls.

    Read off the graph that PyTorch records for gradients, so that it does not depend on the values
    of the image, which may be any that the network accepts, (1, channels, y, x).
    """
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []

    def record(_: int, x: Tensor, output: Tensor) -> Tensor:
        inputs.append(x)
        outputs.append(output if output.requires_grad else output.clone().requires_grad_())
        return outputs[-1]

    with torch.enable_grad(), _handled(network, record):
        network(image)
    order: list[int] = []
    for i, x in enumerate(inputs):
        found: Sequence[Tensor | None] = [None] * i
        if i and x.requires_grad:
            found = torch.autograd.grad(x.sum(), outputs[:i], retain_graph=True, allow_unused=True)
        before = [order[j] for j, gradient in enumerate(found) if gradient is not None]
        order.append(1 + max(before, default=-1))
    return order


def mean_passes(weights: Weights) -> list[frozenset[int]]:
    """The numbers of the means that are taken in each pass over a picture."""
    order = mean_order(bare_network(weights), probe_image(weights))
    return [
        frozenset(number for number, pass_ in enumerate(order) if pass_ == turn)
        for turn in range(max(order, default=-1) + 1)
    ]


def sums_of_tile(
    predictor: NetworkBackend,
    pixels: Float32Array,
    tile: Tile,
    layout: Layout,
    *,
    wanted: frozenset[int],
    known: Means,
    weight: Float32Array | None = None,
) -> Sums:
    """As :meth:`Backend.sums`, of a network in PyTorch."""
    multiple = get_card(predictor.weights.method).size_multiple
    sums: Sums = {}

    def handle(number: int, x: Tensor, output: Tensor) -> Tensor:
        if number in wanted:
            kept = _kept(x, tile, layout, multiple)
            count = float(kept.shape[2] * kept.shape[3])
            if weight is not None:
                weights = torch.from_numpy(weight).double()
                kept, count = kept * weights.to(kept.device), float(weights.sum())
            total = kept.sum(dim=(2, 3), keepdim=True, dtype=torch.float64)
            sums[number] = total.cpu().numpy(), count
            if number == max(wanted):
                raise _Enough
        return _like(known[number], output) if number in known else output

    with _handled(predictor.network, handle), contextlib.suppress(_Enough):
        predictor(pixels)
    return sums


@contextlib.contextmanager
def given_means(network: nn.Module, means: Sequence[Float32Array]) -> Iterator[None]:
    """Within this block the network uses these means in place of those of what it sees."""
    with _handled(network, lambda number, x, output: _like(means[number], output)):
        yield


def _like(mean: Float32Array, output: Tensor) -> Tensor:
    """A mean where the network takes it."""
    return torch.from_numpy(mean).to(output.device)


def _kept(x: Tensor, tile: Tile, layout: Layout, multiple: int) -> Tensor:
    """The part of a map, perhaps at a lower resolution, that a tile answers for.

    At the right and bottom edges of the picture that includes the network's own padding, which
    counts in the mean of the whole picture too.
    """
    parts = []
    for axis, (size, length) in enumerate(
        zip(x.shape[2:], (layout.height, layout.width), strict=True)
    ):
        read, keep = tile.read[axis], tile.keep[axis]
        shrink, rest = divmod(round_up(read.stop - read.start, multiple), size)
        if rest or (keep.start - read.start) % shrink:
            raise RespectraError(
                f"a map of {size} rows or columns does not divide a tile of "
                f"{read.stop - read.start}; run this network with tile=None"
            )
        start = (keep.start - read.start) // shrink
        stop = size if keep.stop == length else (keep.stop - read.start) // shrink
        parts.append(slice(start, stop))
    return x[:, :, parts[0], parts[1]]
