"""A PyTorch module that a user has at hand."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.errors import ConfigError, RespectraError
from respectra.inference.backends.network import NetworkBackend
from respectra.inference.memory import MARGIN, RESERVE, MemoryUse, measure_here
from respectra.inference.tiling import Layout, Predictor
from respectra.methods import Card, Weights
from respectra.registry import reason_of

if TYPE_CHECKING:
    from respectra.inference.modules import Measured


class ModuleBackend(NetworkBackend):
    """A module in PyTorch, whose image is filled up to the multiple of sides that it takes.

    Raises:
        ConfigError: another engine than PyTorch, with the module as it is.
    """

    takes_means = False

    def __init__(
        self,
        weights: Weights,
        module: nn.Module,
        card: Card,
        measured: Measured,
        *,
        device: str = "cpu",
        engine: str = "auto",
    ) -> None:
        if engine not in ("auto", "plain", "torch"):
            raise ConfigError(
                f"a module as it was given runs in PyTorch alone; got engine={engine!r}"
            )
        self.weights, self.device, self.engine, self.onnx = weights, device, engine, None
        self.network = copy.deepcopy(module).to(device)
        self._card, self._measured = card, measured

    @property
    def card(self) -> Card:
        """What was measured of the module."""
        return self._card

    @property
    def halo(self) -> int | None:
        """The measured radius."""
        return self._measured.radius

    def _run(self, batch: Tensor) -> Tensor:
        height, width = batch.shape[2:]
        try:
            return _padded_run(self.network, batch.contiguous(), self._measured.multiple)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise RespectraError(
                f"the module fails on an image of {height} x {width}: {reason_of(error)}"
            ) from None

    def for_tiles(self, layout: Layout, bits: int, *, means: bool) -> Predictor:
        """The module itself; it is not exported."""
        return self

    def memory(self) -> MemoryUse:
        """Measured in this process."""
        step = 8 * max(self._measured.multiple, self._measured.grid)
        small, large = (-(-side // step) * step for side in (64, 256))
        fixed, per_pixel = measure_here(self, (small, large))
        return MemoryUse(MARGIN * fixed + RESERVE, MARGIN * per_pixel)


def _padded_run(network: nn.Module, x: Tensor, multiple: int) -> Tensor:
    """The answer of a network for an image whose last rows and columns are repeated as needed."""
    height, width = x.shape[2:]
    more = (0, -width % multiple, 0, -height % multiple)
    out: Tensor = network(F.pad(x, more, mode="replicate") if any(more) else x)
    return out[..., :height, :width]
