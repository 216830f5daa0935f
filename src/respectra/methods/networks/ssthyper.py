"""SSTHyper, a later peer of MST++: the same frame around sparse attention between bands."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Tiling
from respectra.methods.network import NetworkMethod, OfficialLayout, State
from respectra.methods.networks.blocks import (
    Rule,
    channel_correlation,
    depthwise,
    from_one,
    split_heads,
)
from respectra.methods.networks.mst_plus_plus import (
    Cascade,
    CascadeConfig,
    cascade_key,
    cascade_shape,
)

#: Shares of a head's correlations that its four attentions keep, as fractions.
SHARES = ((1, 2), (2, 3), (3, 4), (4, 5))


class SSTHyperConfig(CascadeConfig):
    """Configuration of SSTHyper; the defaults are the authors'."""

    width: int = Field(default=31, ge=2)
    """Channels at full resolution and of one attention head; doubled at every level down."""


class SparseAttention(nn.Module):
    """Attention between the channels of a head by the largest of their correlations alone.

    Four times another share of the d x d correlations is kept. Those that are kept share one
    softmax, over rows and columns together; the four results are added with learned weights.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.shares = nn.ParameterList(torch.full((1,), 0.2) for _ in SHARES)
        self.project_in = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.mix = depthwise(3 * channels, bias=False)
        self.project_out = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        q, k, v = (
            split_heads(part.permute(0, 2, 3, 1), self.heads)
            for part in self.mix(self.project_in(x)).chunk(3, dim=1)
        )
        weights = self._sparse(channel_correlation(q, k) * self.temperature)
        return self.project_out((weights @ v).reshape(x.shape))

    def _sparse(self, scores: Tensor) -> Tensor:
        """(n, heads, d, d) -> the weights of the values, of the same shape."""
        flat = scores.flatten(2)
        counts = [flat.shape[-1] * over // under for over, under in SHARES]
        # The largest first, so that what a smaller share keeps is the beginning.
        largest, places = flat.topk(counts[-1], dim=-1)
        mixed = sum(
            gain * F.pad(largest[..., :count].softmax(dim=-1), (0, counts[-1] - count))
            for gain, count in zip(self.shares, counts, strict=True)
        )
        return torch.zeros_like(flat).scatter(-1, places, mixed).view_as(scores)


def _separable(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 1, bias=False),
        depthwise(channels, bias=False),
    )


class TwoScaleFeedForward(nn.Module):
    """Layer norm, 1x1 to two halves, one of which is seen at half the resolution; their product."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.expand = nn.Conv2d(channels, 2 * channels, 1, bias=False)
        self.fine = _separable(channels)
        self.coarse = _separable(channels)
        self.join = _separable(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x), y and x even -> the same shape."""
        x = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        fine, coarse = F.gelu(self.expand(x)).chunk(2, dim=1)
        coarse = F.interpolate(self.coarse(F.avg_pool2d(coarse, 2)), scale_factor=2.0)
        return self.join(self.fine(fine) * coarse)


class SparseAttentionBlock(nn.Module):
    """Sparse attention and the feed-forward part; where ``outer``, the input is added once more."""

    def __init__(self, channels: int, heads: int, *, outer: bool) -> None:
        super().__init__()
        self.outer = outer
        self.attention = SparseAttention(channels, heads)
        self.feed_forward = TwoScaleFeedForward(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x), y and x even -> the same shape."""
        y = x + self.attention(x)
        y = y + self.feed_forward(y)
        return x + y if self.outer else y


def _network(config: SSTHyperConfig) -> nn.Module:
    deepest = 2**config.levels
    net = Cascade(
        config,
        lambda channels, heads: SparseAttentionBlock(channels, heads, outer=heads < deepest),
    )
    # The lowest level is halved once more, in the feed-forward part.
    net.multiple = max(8, 2 * deepest)
    return net


#: Parts of our names of a block and what the authors call them, in the order of replacement.
_BLOCK: tuple[Rule, ...] = (
    (r"^body\.", "ssags."),
    (r"attention\.shares\.(\d)", from_one("0.attn{1}")),
    (r"attention\.temperature", "0.temperature"),
    (r"attention\.project_in\.", "0.qkv."),
    (r"attention\.mix\.", "0.qkv_dwconv."),
    (r"attention\.project_out\.", "0.project_out."),
    (r"feed_forward\.norm\.", "1.norm."),
    (r"feed_forward\.expand\.", "1.fn.net.0."),
    (r"feed_forward\.fine\.", "1.fn.net.2.g1."),
    (r"feed_forward\.coarse\.", "1.fn.net.2.g2."),
    (r"feed_forward\.join\.", "1.fn.net.2.g3."),
)


def _configure(state: State) -> SSTHyperConfig:
    renamed = {key.replace("ssags.", "body.", 1): tensor for key, tensor in state.items()}
    return SSTHyperConfig(**cascade_shape(renamed))


METHOD = NetworkMethod(
    card=Card(
        name="ssthyper",
        title="SSTHyper",
        summary="The cascade of MST++ whose attention between bands keeps only the strongest "
        "correlations, at four degrees of sparseness. A later peer, slightly smaller than MST++.",
        reference="SSTHyper: sparse spectral transformer for hyperspectral image "
        "reconstruction, ACCV 2024",
        year=2024,
        decisions=(
            Decision.published("Sparse attention between bands in a cascade of U-shapes", "paper"),
            Decision.code(
                "The largest 1/2, 2/3, 3/4 and 4/5 of all d x d correlations of a head, one "
                "softmax over all that are kept and not one a row: a row adds up to about 1/d",
                "MingyingLin/SSTHyper: architecture/SSTHyper.py",
            ),
            Decision.code(
                "Blocks of encoders and decoders have one more residual, the bottleneck "
                "has not; no biases but in the transposed convolutions",
                "MingyingLin/SSTHyper: architecture/SSTHyper.py",
            ),
            Decision.code(
                "What is kept changes abruptly with the correlations: precision below "
                "float32 can give another answer",
                "MingyingLin/SSTHyper: architecture/SSTHyper.py",
            ),
        ),
        tiling=Tiling.APPROXIMATE,
        tiling_reason="Attention between bands correlates them over the whole image.",
        size_multiple=8,
        memory_gb=1.1,
        licence_note="The authors' repository states no licence and publishes no weights.",
    ),
    config=SSTHyperConfig,
    network=_network,
    presets={"tiny": {"width": 8, "stages": 1}},
    official=OfficialLayout(
        configure=_configure,
        key=lambda name, config: cascade_key(name, _BLOCK),
        contract={"exposed": {"scaling": "min-max", "clip_low": 0.0, "clip_high": 1.0}},
        source="github.com/MingyingLin/SSTHyper",
    ),
)
