"""RPAN: residual groups whose every feature, at every position, is rescaled by pixel attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Score, Tiling
from respectra.methods.network import Count, NetworkConfig, NetworkMethod
from respectra.methods.networks.blocks import conv2d

_REPORT = "NTIRE 2020 report, section 5.7"


class RpanConfig(NetworkConfig):
    """Configuration of RPAN; the defaults are the entry of the clean track."""

    width: Count = 64
    """Features everywhere between the first and the last convolution."""
    groups: Count = 4
    """Residual attention groups in series."""
    blocks: Count = 8
    """Residual pixel attention blocks in each group."""
    reduction: Count = 16
    """The attention's hidden layer has max(1, width // reduction) features."""
    bias: bool = False
    """Whether convolutions have biases: none in the clean track, all in the real-world track."""


class PixelAttention(nn.Module):
    """Scale every channel of every pixel by a factor in (0, 1) computed from that pixel alone."""

    def __init__(self, width: int, hidden: int, *, bias: bool) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(width, hidden, 1, bias=bias)
        self.excite = nn.Conv2d(hidden, width, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        return x * torch.sigmoid(self.excite(F.relu(self.squeeze(x))))


class AttentionBlock(nn.Module):
    """Residual pixel attention block: two convolutions and pixel attention in the residual."""

    def __init__(self, width: int, hidden: int, *, bias: bool) -> None:
        super().__init__()
        self.first = conv2d(width, width, bias=bias)
        self.second = conv2d(width, width, bias=bias)
        self.attention = PixelAttention(width, hidden, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        return x + self.attention(self.second(F.relu(self.first(x))))


class Rpan(nn.Module):
    """Residual pixel attention network; input (n, channels_in, y, x), output (n, bands, y, x)."""

    def __init__(self, config: RpanConfig) -> None:
        super().__init__()
        width, bias = config.width, config.bias
        hidden = max(1, width // config.reduction)
        self.head = conv2d(config.channels_in, width, bias=bias)
        self.groups = nn.ModuleList(
            nn.Sequential(
                *(AttentionBlock(width, hidden, bias=bias) for _ in range(config.blocks)),
                conv2d(width, width, bias=bias),
            )
            for _ in range(config.groups)
        )
        self.fuse = nn.Conv2d(config.groups * width, width, 1, bias=bias)
        self.tail = conv2d(width, config.bands, bias=bias)

    def forward(self, rgb: Tensor) -> Tensor:
        """Recover the bands of each pixel."""
        head = self.head(rgb)
        x, outputs = head, []
        for group in self.groups:
            x = x + group(x)
            outputs.append(x)
        return self.tail(head + self.fuse(torch.cat(outputs, dim=1)))


METHOD = NetworkMethod(
    card=Card(
        name="rpan",
        title="RPAN",
        summary="A residual network with attention for every channel of every pixel. Purely "
        "convolutional: it tiles exactly, and without biases in the clean track.",
        reference="H. Peng et al., Residual pixel attention network for spectral reconstruction "
        "from RGB images, CVPR Workshops 2020",
        team="GD322",
        year=2020,
        rank={"clean": 7, "real-world": 6},
        reported={
            "clean": Score(mrae=0.03601, rmse=0.01695),
            "real-world": Score(mrae=0.06780, rmse=0.02071),
        },
        decisions=(
            Decision.published(
                "3x3 head and tail, 4 groups of 8 blocks at width 64; the groups' outputs "
                "concatenated, fused by a 1x1 convolution, plus the head's features",
                _REPORT,
            ),
            Decision.published(
                "zero padding; no biases for the clean track, biases for real-world", _REPORT
            ),
            Decision.reading("block: 3x3, ReLU, 3x3, pixel attention, plus its input"),
            Decision.reading("pixel attention: 1x1 to width/16, ReLU, 1x1, sigmoid, multiply"),
            Decision.reading("group: its blocks, a 3x3 convolution, plus its input, as in RCAN"),
        ),
        tiling=Tiling.EXACT,
        tiling_reason="Convolutions and attention of single pixels: nothing looks further.",
        memory_gb=1.3,
    ),
    config=RpanConfig,
    network=Rpan,
    presets={
        "real-world": {"bias": True},
        "tiny": {"width": 24, "groups": 2, "blocks": 2, "reduction": 4},
    },
    halo=lambda config: 2 + config.groups * (2 * config.blocks + 1),
)
