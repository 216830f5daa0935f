"""MST++, the winner of the 2022 challenge: attention between bands in a cascade of U-shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

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
    pad_to_multiple,
    rename,
    split_heads,
)


class CascadeConfig(NetworkConfig):
    """Configuration of a cascade of U-shaped networks; the defaults are the published ones."""

    width: Count = 31
    """Channels at full resolution and of one attention head; doubled at every level down."""
    stages: Count = 3
    """U-shapes in a row."""
    levels: int = Field(default=2, ge=0)
    """Halvings of the resolution within a U-shape."""


#: Makes the block of one level from its channels and heads.
BlockFactory = Callable[[int, int], nn.Module]


class FeedForward(nn.Module):
    """Layer norm, 1x1 to four times the channels, depthwise 3x3, 1x1 back; GELU between them."""

    def __init__(self, channels: int, *, bias: bool) -> None:
        super().__init__()
        wide = 4 * channels
        self.norm = nn.LayerNorm(channels)
        self.expand = nn.Conv2d(channels, wide, 1, bias=bias)
        self.mix = depthwise(wide, bias=bias)
        self.reduce = nn.Conv2d(wide, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        x = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.reduce(F.gelu(self.mix(F.gelu(self.expand(x)))))


class Encoder(nn.Module):
    """One level down: a block, whose result is kept, and a strided convolution."""

    def __init__(self, channels: int, block: nn.Module, *, bias: bool) -> None:
        super().__init__()
        self.block = block
        self.down = nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1, bias=bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, c, y, x) -> (n, c, y, x) and (n, 2c, y/2, x/2)."""
        x = self.block(x)
        return x, self.down(x)


class Decoder(nn.Module):
    """One level up: a transposed convolution, fusion with what was kept, a block."""

    def __init__(self, channels: int, block: nn.Module, *, bias: bool) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(2 * channels, channels, 2, stride=2)
        self.fuse = nn.Conv2d(2 * channels, channels, 1, bias=bias)
        self.block = block

    def forward(self, x: Tensor, kept: Tensor) -> Tensor:
        """(n, 2c, y/2, x/2) and (n, c, y, x) -> (n, c, y, x)."""
        return self.block(self.fuse(torch.cat([self.up(x), kept], dim=1)))


class UShape(nn.Module):
    """A U-shaped network with a residual around it."""

    def __init__(self, config: CascadeConfig, block: BlockFactory, *, bias: bool) -> None:
        super().__init__()
        width = config.width
        scales = [2**level for level in range(config.levels)]
        self.embedding = conv2d(width, width, bias=bias)
        self.encoders = nn.ModuleList(
            Encoder(width * s, block(width * s, s), bias=bias) for s in scales
        )
        self.bottleneck = block(width * 2**config.levels, 2**config.levels)
        self.decoders = nn.ModuleList(
            Decoder(width * s, block(width * s, s), bias=bias) for s in reversed(scales)
        )
        self.mapping = conv2d(width, width, bias=bias)

    def forward(self, image: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape; y and x are multiples of 2**levels."""
        x = self.embedding(image)
        kept = []
        for encoder in self.encoders:
            full, x = encoder(x)
            kept.append(full)
        x = self.bottleneck(x)
        for decoder in self.decoders:
            x = decoder(x, kept.pop())
        return self.mapping(x) + image


class Frame(nn.Module):
    """What MST++ and its successors have around their stages: two convolutions and a skip.

    The authors' skip around everything needs as many bands as channels; where they differ, a 1x1
    convolution makes the one from the other.
    """

    def __init__(
        self,
        config: NetworkConfig,
        stages: Iterable[nn.Module],
        multiple: int,
        *,
        width: int,
        bias: bool = False,
    ) -> None:
        super().__init__()
        bands = config.bands
        self.multiple = multiple
        self.conv_in = conv2d(config.channels_in, width, bias=bias)
        self.stages = nn.Sequential(*stages)
        self.conv_out = conv2d(width, bands, bias=bias)
        self.skip = nn.Identity() if width == bands else nn.Conv2d(width, bands, 1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, bands, y, x)."""
        height, width = image.shape[-2:]
        x = self.conv_in(pad_to_multiple(image, self.multiple))
        out = self.conv_out(self.stages(x)) + self.skip(x)
        return out[..., :height, :width]


class Cascade(Frame):
    """U-shapes in a row, whose blocks are MST++'s or a successor's."""

    def __init__(self, config: CascadeConfig, block: BlockFactory, *, bias: bool = False) -> None:
        stages = (UShape(config, block, bias=bias) for _ in range(config.stages))
        multiple = max(8, 2**config.levels)
        super().__init__(config, stages, multiple, width=config.width, bias=bias)


class SpectralAttention(nn.Module):
    """S-MSA: within a head every channel attends to every other one, by their correlation."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(channels, channels, bias=False)
        self.to_v = nn.Linear(channels, channels, bias=False)
        self.rescale = nn.Parameter(torch.ones(heads, 1, 1))
        self.project = nn.Linear(channels, channels)
        self.position = nn.Sequential(
            depthwise(channels, bias=False),
            nn.GELU(),
            depthwise(channels, bias=False),
        )
        for linear in (self.to_q, self.to_k, self.to_v, self.project):
            nn.init.trunc_normal_(linear.weight, std=0.02)
        nn.init.zeros_(self.project.bias)

    def forward(
        self, x: Tensor, gates: Tensor | None = None, *, asking: Tensor | None = None
    ) -> Tensor:
        """(n, channels, y, x) -> the same shape.

        ``gates`` multiply the values that are mixed; ``asking`` gives the queries, x by default.
        """
        n, channels, height, width = x.shape
        pixels = x.permute(0, 2, 3, 1)
        queries = pixels if asking is None else asking.permute(0, 2, 3, 1)
        v = self.to_v(pixels)
        gated = v if gates is None else v * gates.permute(0, 2, 3, 1)
        correlation = channel_correlation(
            split_heads(self.to_k(pixels), self.heads), split_heads(self.to_q(queries), self.heads)
        )
        mixed = (self.rescale * correlation).softmax(dim=-1) @ split_heads(gated, self.heads)
        mixed = mixed.permute(0, 3, 1, 2).reshape(n, height, width, channels)
        return self.project(mixed).permute(0, 3, 1, 2) + self.position(v.permute(0, 3, 1, 2))


class SpectralAttentionBlock(nn.Module):
    """SAB: attention between channels without a norm before it, then the feed-forward part."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.attention = SpectralAttention(channels, heads)
        self.feed_forward = FeedForward(channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        x = x + self.attention(x)
        return x + self.feed_forward(x)


#: Parts of our names of the frame and what the authors call them, in the order of replacement.
_FRAME = (
    (r"^stages\.", "body."),
    (r"encoders\.(\d+)\.block\.", r"encoder_layers.\1.0.blocks.0."),
    (r"encoders\.(\d+)\.down\.", r"encoder_layers.\1.1."),
    (r"decoders\.(\d+)\.up\.", r"decoder_layers.\1.0."),
    (r"decoders\.(\d+)\.fuse\.", r"decoder_layers.\1.1."),
    (r"decoders\.(\d+)\.block\.", r"decoder_layers.\1.2.blocks.0."),
    (r"bottleneck\.", "bottleneck.blocks.0."),
)
#: The same for :class:`FeedForward` behind an attention.
FEED_FORWARD = (
    (r"feed_forward\.norm\.", "1.norm."),
    (r"feed_forward\.expand\.", "1.fn.net.0."),
    (r"feed_forward\.mix\.", "1.fn.net.2."),
    (r"feed_forward\.reduce\.", "1.fn.net.4."),
)
#: The same for the blocks of MST++ and MST.
SPECTRAL_BLOCK = (
    (r"attention\.project\.", "0.proj."),
    (r"attention\.position\.", "0.pos_emb."),
    (r"attention\.", "0."),
    *FEED_FORWARD,
)


def cascade_key(name: str, block: Iterable[Rule]) -> str:
    """The authors' name of a tensor of :class:`Cascade`; ``block`` renames within its blocks."""
    return rename(name, (*_FRAME, *block))


def cascade_shape(state: State) -> dict[str, int]:
    """The options of :class:`CascadeConfig`, read off the authors' keys and shapes."""

    width, channels_in = state["conv_in.weight"].shape[:2]
    return {
        "channels_in": channels_in,
        "bands": state["conv_out.weight"].shape[0],
        "width": width,
        "stages": count_matches(state, r"body\.(\d+)\."),
        "levels": count_matches(state, r"body\.0\.encoder_layers\.(\d+)\."),
    }


METHOD = NetworkMethod(
    card=Card(
        name="mst-plus-plus",
        title="MST++",
        summary="Multi-stage spectral-wise transformer: three U-shaped networks in a row whose "
        "attention runs between bands and not between pixels. Winner of the 2022 challenge and "
        "small for its accuracy.",
        reference="Cai et al., MST++: Multi-stage Spectral-wise Transformer for Efficient Spectral "
        "Reconstruction, CVPR Workshops 2022",
        year=2022,
        reported={"arad-1k": Score(mrae=0.1645, rmse=0.0248)},
        decisions=(
            Decision.published(
                "Three U-shapes of two levels, spectral attention with 1, 2 and 4 heads",
                "paper",
            ),
            Decision.code(
                "No norm before the attention, positional branch on the values, padding "
                "to a multiple of 8 by reflection, biases in two places alone",
                "caiyuanhao1998/MST-plus-plus: MST_Plus_Plus.py",
            ),
        ),
        tiling=Tiling.APPROXIMATE,
        tiling_reason="Attention between bands correlates them over the whole image.",
        size_multiple=8,
        memory_gb=1.1,
        licence_note="The authors' code and weights are under the MIT licence.",
    ),
    config=CascadeConfig,
    network=lambda config: Cascade(config, SpectralAttentionBlock),
    presets={"tiny": {"width": 12, "stages": 1}},
    official=OfficialLayout(
        configure=lambda state: CascadeConfig(**cascade_shape(state)),
        key=lambda name, config: cascade_key(name, SPECTRAL_BLOCK),
        contract={"exposed": {"scaling": "min-max", "clip_low": 0.0, "clip_high": 1.0}},
        source="github.com/caiyuanhao1998/MST-plus-plus",
    ),
)
