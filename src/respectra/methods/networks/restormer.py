"""Restormer as the 2022 toolbox has it: attention between channels in a U-shape of four levels."""

from __future__ import annotations

import functools

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Score, Tiling
from respectra.methods.network import Count, NetworkConfig, NetworkMethod, OfficialLayout, State
from respectra.methods.networks.blocks import (
    Rule,
    channel_correlation,
    conv2d,
    count_matches,
    depthwise,
    from_one,
    pad_to_multiple,
    rename,
)


class RestormerConfig(NetworkConfig):
    """Configuration of Restormer; the defaults are the toolbox's."""

    width: int = Field(default=48, ge=2, multiple_of=2)
    """Channels at full resolution, an even number, and of one attention head; doubled at every
    level down."""
    blocks: tuple[Count, Count, Count, Count] = (2, 3, 3, 4)
    """Transformer blocks at full, 1/2, 1/4 and 1/8 resolution, going down and going up again."""
    refinement: Count = 3
    """Count at full resolution behind the U-shape."""
    expansion: float = Field(default=2.66, gt=0, allow_inf_nan=False)
    """Channels within the feed-forward part over those of its input."""


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each pixel."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class TransposedAttention(nn.Module):
    """MDTA: within a head every channel attends to every other one, by their correlation."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.rescale = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.mix = depthwise(3 * channels, bias=False)
        self.project = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        n, channels, height, width = x.shape
        shape = (n, self.heads, channels // self.heads, height * width)
        q, k, v = (maps.reshape(shape) for maps in self.mix(self.qkv(x)).chunk(3, dim=1))
        mixed = (self.rescale * channel_correlation(q, k)).softmax(dim=-1) @ v
        return self.project(mixed.reshape(x.shape))


class GatedFeedForward(nn.Module):
    """GDFN: 1x1 to two wide halves, depthwise 3x3, one half gates the other, 1x1 back."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        wide = 2 * hidden
        self.expand = nn.Conv2d(channels, wide, 1, bias=False)
        self.mix = depthwise(wide, bias=False)
        self.reduce = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        gate, x = self.mix(self.expand(x)).chunk(2, dim=1)
        return self.reduce(F.gelu(gate) * x)


class TransformerBlock(nn.Module):
    """Attention and feed-forward part, each behind a norm and with a residual."""

    def __init__(self, channels: int, heads: int, expansion: float) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels)
        self.attention = TransposedAttention(channels, heads)
        self.norm2 = ChannelNorm(channels)
        self.feed_forward = GatedFeedForward(channels, _hidden(channels, expansion))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        x = x + self.attention(self.norm1(x))
        return x + self.feed_forward(self.norm2(x))


def _hidden(channels: int, expansion: float) -> int:
    return max(1, int(channels * expansion))


class Restormer(nn.Module):
    """Restoration transformer (Zamir et al., 2022), the wiring of its dual-pixel task."""

    def __init__(self, config: RestormerConfig) -> None:
        super().__init__()
        width = config.width

        def blocks(channels: int, heads: int, count: int) -> nn.Sequential:
            return nn.Sequential(
                *(TransformerBlock(channels, heads, config.expansion) for _ in range(count))
            )

        conv = functools.partial(conv2d, bias=False)

        self.embedding = conv(config.channels_in, width)
        *upper, deepest = config.blocks
        self.encoders, self.downs = nn.ModuleList(), nn.ModuleList()
        self.ups, self.fuses, self.decoders = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level, count in enumerate(upper):
            c, heads = width * 2**level, 2**level
            self.encoders.append(blocks(c, heads, count))
            self.downs.append(conv(c, c // 2))
            self.ups.append(conv(2 * c, 4 * c))
            # Full resolution keeps all channels of what is joined there.
            self.fuses.append(conv(2 * c, c, 1) if level else nn.Identity())
            self.decoders.append(blocks(c if level else 2 * c, heads, count))
        self.latent = blocks(width * 2 ** len(upper), 2 ** len(upper), deepest)
        self.refinement = blocks(2 * width, 1, config.refinement)
        self.skip = conv(width, 2 * width, 1)
        self.output = conv(2 * width, config.bands)

    def forward(self, image: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, bands, y, x)."""
        height, width = image.shape[-2:]
        embedded = x = self.embedding(pad_to_multiple(image, 2 ** len(self.encoders)))
        kept = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            x = encoder(x)
            kept.append(x)
            x = F.pixel_unshuffle(down(x), 2)
        x = self.latent(x)
        for level in reversed(range(len(kept))):
            x = F.pixel_shuffle(self.ups[level](x), 2)
            x = self.fuses[level](torch.cat([x, kept[level]], dim=1))
            x = self.decoders[level](x)
        x = self.output(self.refinement(x) + self.skip(embedded))
        return x[..., :height, :width]


_RENAMING: tuple[Rule, ...] = (
    (r"^encoders\.(\d)\.", from_one("encoder_level{1}.")),
    (r"^decoders\.(\d)\.", from_one("decoder_level{1}.")),
    (r"^downs\.(\d)\.", from_one("down{1}_{2}.body.0.")),
    (r"^ups\.(\d)\.", from_one("up{2}_{1}.body.0.")),
    (r"^fuses\.(\d)\.", from_one("reduce_chan_level{1}.")),
    (r"^embedding\.", "patch_embed.proj."),
    (r"^skip\.", "skip_conv."),
    (r"norm([12])\.", r"norm\1.body."),
    (r"attention\.rescale", "attn.temperature"),
    (r"attention\.qkv\.", "attn.qkv."),
    (r"attention\.mix\.", "attn.qkv_dwconv."),
    (r"attention\.project\.", "attn.project_out."),
    (r"feed_forward\.expand\.", "ffn.project_in."),
    (r"feed_forward\.mix\.", "ffn.dwconv."),
    (r"feed_forward\.reduce\.", "ffn.project_out."),
)


def _configure(state: State) -> RestormerConfig:
    def blocks(place: str) -> int:
        return count_matches(state, rf"{place}\.(\d+)\.")

    width, channels_in = state["patch_embed.proj.weight"].shape[:2]
    places = ("encoder_level1", "encoder_level2", "encoder_level3", "latent")
    hidden = {
        width * 2**i: state[f"{place}.0.ffn.project_out.weight"].shape[1]
        for i, place in enumerate(places)
    }
    published = 2.66
    fits = all(_hidden(c, published) == h for c, h in hidden.items())
    return RestormerConfig(
        channels_in=channels_in,
        bands=state["output.weight"].shape[0],
        width=width,
        blocks=(blocks(places[0]), blocks(places[1]), blocks(places[2]), blocks(places[3])),
        refinement=blocks("refinement"),
        expansion=published if fits else max(h / c for c, h in hidden.items()),
    )


METHOD = NetworkMethod(
    card=Card(
        name="restormer",
        title="Restormer (2022 toolbox)",
        summary="Attention between channels and gated feed-forward parts in a U-shape of four "
        "levels, borrowed from picture restoration; close to MST++ in accuracy with six times as "
        "many parameters.",
        reference="Zamir et al., Restormer: Efficient Transformer for High-Resolution Image "
        "Restoration, CVPR 2022; as adapted with Cai et al., MST++, CVPR Workshops 2022",
        year=2022,
        reported={"arad-1k": Score(mrae=0.1833, rmse=0.0274)},
        decisions=(
            Decision.published(
                "Transposed attention and gated feed-forward parts in four levels",
                "paper on restoration",
            ),
            Decision.code(
                "2, 3, 3 and 4 blocks and 3 of refinement, no biases in convolutions; no "
                "residual to the picture but one to its embedding, as in the original's "
                "dual-pixel task; PyTorch's default initialisation",
                "caiyuanhao1998/MST-plus-plus: train_code/architecture/Restormer.py",
            ),
        ),
        tiling=Tiling.APPROXIMATE,
        tiling_reason="Attention between channels correlates them over the whole image.",
        size_multiple=8,
        memory_gb=2.4,
        licence_note="The toolbox and its published weights are under the MIT licence.",
    ),
    config=RestormerConfig,
    network=Restormer,
    presets={"tiny": {"width": 4, "blocks": (1, 1, 1, 1), "refinement": 1}},
    official=OfficialLayout(
        configure=_configure,
        key=lambda name, config: rename(name, _RENAMING),
        contract={"exposed": {"scaling": "min-max", "clip_low": 0.0, "clip_high": 1.0}},
        source="github.com/caiyuanhao1998/MST-plus-plus",
    ),
)
