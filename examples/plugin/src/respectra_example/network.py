"""A small residual network."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Tiling
from respectra.methods.network import NetworkConfig, NetworkMethod


class SmallNetConfig(NetworkConfig):
    """Configuration of :class:`SmallNet`."""

    width: int = Field(default=48, ge=1)
    """Channels between the first and the last layer."""
    layers: int = Field(default=4, ge=0)
    """3x3 layers between these."""


class SmallNet(nn.Module):
    """3x3 layers, each added to what it was given: (n, 3, y, x) -> (n, bands, y, x)."""

    def __init__(self, config: SmallNetConfig) -> None:
        super().__init__()
        self.head = nn.Conv2d(config.channels_in, config.width, 3, padding=1)
        self.body = nn.ModuleList(
            nn.Conv2d(config.width, config.width, 3, padding=1) for _ in range(config.layers)
        )
        self.tail = nn.Conv2d(config.width, config.bands, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Recover the bands of each pixel."""
        x = self.head(x)
        for layer in self.body:
            x = x + F.gelu(layer(x))
        spectra: Tensor = self.tail(x)
        return spectra


def _halo(config: SmallNetConfig) -> int:
    return 1 + config.layers


METHOD = NetworkMethod(
    card=Card(
        name="small-net",
        title="Small net",
        kind="network",
        summary="A few residual 3x3 layers, to show how a network is added from another package.",
        reference="Respectra, examples/plugin",
        year=2026,
        decisions=(Decision.reading("everything"),),
        tiling=Tiling.EXACT,
        tiling_reason="Only 3x3 convolutions: every pixel sees a bounded neighbourhood.",
        memory_gb=0.9,
    ),
    config=SmallNetConfig,
    network=SmallNet,
    presets={"tiny": {"width": 12, "layers": 2}},
    halo=_halo,
)
