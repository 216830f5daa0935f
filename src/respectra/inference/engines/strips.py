"""The project's own network in strips: the layers of pixels while they are in the cache."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.inference.engines.workers import run_parts
from respectra.methods.networks.respectra_network import Respectra

#: Values of the widest map that are computed together.
_STRIP = 2**20


class StripwiseRespectra(Respectra):
    """The same function; what is of the whole picture is computed first, the rest in strips."""

    def __init__(self, network: Respectra) -> None:
        nn.Module.__init__(self)
        self.__dict__.update(network.__dict__)

    def forward(self, x: Tensor) -> Tensor:
        """Recover the bands of each pixel."""
        middle = self.middle(x)
        total, maps, conditions = self.encode(middle)
        n, _, height, width = x.shape
        basis = self.basis.T[:, :, None, None]
        shape = (n, len(basis), height, width)
        out = torch.empty(shape, memory_format=torch.channels_last, dtype=x.dtype)
        rows = max(1, _STRIP // (width * self.first.out_channels))

        # Strips are the same for any number of threads.
        def part(start: int, stop: int) -> None:
            for top in range(start * rows, min(stop * rows, height), rows):
                strip = slice(top, min(top + rows, height))
                hidden = self.hidden([m[:, :, strip] for m in maps], conditions)
                weights = self.project(middle[:, :, strip], total[:, :, strip], hidden)
                out[:, :, strip] = F.conv2d(weights, basis)

        run_parts(part, -(-height // rows))
        return out
