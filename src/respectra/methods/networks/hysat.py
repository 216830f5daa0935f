"""HySAT, a later peer of MST++: the same frame around another attention between bands."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Tiling
from respectra.methods.network import NetworkMethod, OfficialLayout
from respectra.methods.networks.blocks import (
    GlobalMean,
    Rule,
    channel_correlation,
    depthwise,
    from_one,
    split_heads,
)
from respectra.methods.networks.mst_plus_plus import (
    FEED_FORWARD,
    Cascade,
    CascadeConfig,
    FeedForward,
    cascade_key,
    cascade_shape,
)


class SharedDepthwise(nn.Module):
    """Three depthwise 3x3 convolutions in a row; all channels of a head share a kernel."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.weight = nn.ParameterList(torch.empty(heads, 1, 3, 3) for _ in range(3))
        for weight in self.weight:
            nn.init.kaiming_normal_(weight)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        channels = x.shape[1]
        for weight in self.weight:
            kernel = weight.repeat_interleave(channels // weight.shape[0], dim=0)
            x = F.conv2d(x, kernel, padding=1, groups=channels)
        return x


class HybridAttention(nn.Module):
    """Attention between channels by their correlation, and by their means on the diagonal."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = SharedDepthwise(heads)
        self.to_k = SharedDepthwise(heads)
        self.to_v = SharedDepthwise(heads)
        self.mean = GlobalMean()
        self.neighbours = nn.Conv1d(heads, heads, 3, padding=1)
        self.correlation_gain = nn.Parameter(torch.ones(heads, 1, 1))
        self.mean_gain = nn.Parameter(torch.ones(heads, 1, 1))
        self.project = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        n, channels, height, width = x.shape
        values = self.to_v(x)
        q, k, v = (
            split_heads(maps.permute(0, 2, 3, 1), self.heads)
            for maps in (self.to_q(x), self.to_k(x), values)
        )
        means = self.mean(values).reshape(n, self.heads, channels // self.heads)
        scores = self.correlation_gain * channel_correlation(k, q)
        scores = scores + self.mean_gain * torch.diag_embed(self.neighbours(means))
        mixed = (scores.softmax(dim=-1) @ v).permute(0, 3, 1, 2)
        out = self.project(mixed.reshape(n, height, width, channels))
        return out.permute(0, 3, 1, 2)


class HybridAttentionBlock(nn.Module):
    """Attention to the input plus its positional branch, then the feed-forward part.

    The residual of the attention is the input itself: the positional branch reaches the result
    through the attention alone.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.position = nn.Sequential(
            depthwise(channels),
            nn.GELU(),
            depthwise(channels),
        )
        self.attention = HybridAttention(channels, heads)
        self.feed_forward = FeedForward(channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        x = x + self.attention(x + self.position(x))
        return x + self.feed_forward(x)


#: Parts of our names of a block and what the port calls them, in the order of replacement.
_BLOCK: tuple[Rule, ...] = (
    (r"position\.", "0.pos_emb."),
    (r"attention\.to_([qkv])\.weight\.(\d)", from_one("0.to_{0}_share{2}")),
    (r"attention\.correlation_gain", "0.rescale"),
    (r"attention\.mean_gain", "0.rescale2"),
    (r"attention\.neighbours\.", "0.conv."),
    (r"attention\.project\.", "0.proj."),
    *FEED_FORWARD,
)


METHOD = NetworkMethod(
    card=Card(
        name="hysat",
        title="HySAT",
        summary="The cascade of MST++ with queries, keys and values from small shared kernels, and "
        "attention that also looks at the mean of each band. A later peer, slightly smaller than "
        "MST++.",
        reference="HySAT, ACM Multimedia 2023",
        year=2023,
        decisions=(
            Decision.code(
                "Cascade, attention and feed-forward part, biases everywhere",
                "vccimaging/OpticsAwareHSI-Analysis: architecture folder, a PyTorch "
                "port of the authors' MindSpore code",
            ),
            Decision.code(
                "Queries, keys and values see the input plus its positional branch; the "
                "residual of the attention is the input alone",
                "vccimaging/OpticsAwareHSI-Analysis: architecture/hysat.py",
            ),
            Decision.reading("Kaiming initialisation of the shared kernels is the normal one"),
        ),
        tiling=Tiling.APPROXIMATE,
        tiling_reason="Attention between bands correlates them over the whole image.",
        size_multiple=8,
        memory_gb=1.1,
        licence_note="The port is under the Apache 2.0 licence, its repository under MIT; the "
        "authors' MindSpore code could not be read.",
    ),
    config=CascadeConfig,
    network=lambda config: Cascade(config, HybridAttentionBlock, bias=True),
    presets={"tiny": {"width": 12, "stages": 1}},
    official=OfficialLayout(
        configure=lambda state: CascadeConfig(**cascade_shape(state)),
        key=lambda name, config: cascade_key(name, _BLOCK),
        contract={"exposed": {"scaling": "min-max", "clip_low": 0.0, "clip_high": 1.0}},
        source="github.com/vccimaging/OpticsAwareHSI-Analysis, a port to PyTorch",
    ),
)
