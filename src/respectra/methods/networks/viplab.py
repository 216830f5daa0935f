"""VIPLab: one network for the mean of each spectrum, another for the zero-mean residual."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from respectra.methods.card import Card, Decision, Score, Tiling
from respectra.methods.network import Count, NetworkConfig, NetworkMethod
from respectra.methods.networks.blocks import conv2d

_REPORT = "NTIRE 2020 report, section 5.5"


class ViplabConfig(NetworkConfig):
    """Configuration of VIPLab; the defaults are its network with ReLU."""

    width: Count = 64
    """Features of both networks."""
    blocks: Count = 16
    """Residual blocks of each network."""
    activation: Literal["relu", "swish"] = "relu"
    """The entry averages networks of both kinds."""


class ResidualBlock(nn.Module):
    """Convolution, activation, convolution, plus the input; no normalisation."""

    def __init__(self, width: int, activation: str) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv2d(width, width),
            nn.SiLU() if activation == "swish" else nn.ReLU(),
            conv2d(width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        return x + self.body(x)


class Branch(nn.Module):
    """A residual network after EDSR: head, blocks, plus the head's features, tail."""

    def __init__(self, config: ViplabConfig, channels_out: int) -> None:
        super().__init__()
        self.head = conv2d(config.channels_in, config.width)
        self.blocks = nn.Sequential(
            *(ResidualBlock(config.width, config.activation) for _ in range(config.blocks))
        )
        self.tail = conv2d(config.width, channels_out)

    def forward(self, rgb: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, channels_out, y, x)."""
        head = self.head(rgb)
        return self.tail(head + self.blocks(head))


class Viplab(nn.Module):
    """Mean plus residual; input (n, channels_in, y, x), output (n, bands, y, x)."""

    def __init__(self, config: ViplabConfig) -> None:
        super().__init__()
        self.mean = Branch(config, 1)
        self.residual = Branch(config, config.bands)

    def split(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Mean over the bands (n, 1, y, x), and the residual (n, bands, y, x), whose mean is 0."""
        residual = self.residual(rgb)
        return self.mean(rgb), residual - residual.mean(dim=1, keepdim=True)

    def forward(self, rgb: Tensor) -> Tensor:
        """Recover the bands of each pixel."""
        mean, residual = self.split(rgb)
        return mean + residual


METHOD = NetworkMethod(
    card=Card(
        name="viplab",
        title="VIPLab",
        summary="Two residual networks side by side: one recovers the mean of each spectrum, the "
        "other its shape, with zero mean by construction.",
        reference="VIPLab in Arad et al., NTIRE 2020 challenge on spectral reconstruction",
        team="VIPLab1",
        year=2020,
        rank={"clean": 4},
        reported={"clean": Score(mrae=0.03475, rmse=0.01475)},
        decisions=(
            Decision.published(
                "mean and residual learned apart; the residual normalised to zero mean", _REPORT
            ),
            Decision.published(
                "variants with ReLU and with Swish; the entry averages one of each and a "
                "fine-tuned one. The reported score is that of the average",
                _REPORT,
            ),
            Decision.reading(
                "the mean is that of each pixel's spectrum over its bands, not of the "
                "image; zero mean is reached by subtracting the mean at the output"
            ),
            Decision.reading(
                "both networks after EDSR: 16 residual blocks of width 64 between a "
                "3x3 head and tail, the head's features added before the tail"
            ),
        ),
        tiling=Tiling.EXACT,
        tiling_reason="Convolutions only; the mean is over the bands of one pixel.",
        memory_gb=1.2,
    ),
    config=ViplabConfig,
    network=Viplab,
    presets={
        "swish": {"activation": "swish"},
        "tiny": {"width": 16, "blocks": 3},
    },
    halo=lambda config: 2 + 2 * config.blocks,
)
