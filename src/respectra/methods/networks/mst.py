"""MST-L of the 2022 toolbox: one U-shape of attention between bands, gated by a learned mask."""

from __future__ import annotations

import re
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Score, Tiling
from respectra.methods.network import Count, NetworkConfig, NetworkMethod, OfficialLayout, State
from respectra.methods.networks.blocks import (
    conv2d,
    count_matches,
    depthwise,
    pad_to_multiple,
    rename,
)
from respectra.methods.networks.mst_plus_plus import (
    SPECTRAL_BLOCK,
    FeedForward,
    SpectralAttention,
)

MaskOf = Literal["first image", "each image"]


class MSTConfig(NetworkConfig):
    """Configuration of MST; the defaults are MST-L of the toolbox."""

    width: Count = 31
    """Channels at full resolution and of one attention head; doubled at every level down."""
    blocks: tuple[Count, Count, Count] = (4, 7, 5)
    """Attention blocks at full, half and quarter resolution, going down and going up again."""
    mask_of: MaskOf = "first image"
    """Whose mask gates the images of a batch. In the toolbox that of the first image gates all of
    them, in training too; a single image is not concerned."""


class MaskGate(nn.Module):
    """Turns a mask into the gates of a block's values."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, channels, 1)
        self.inner = nn.Conv2d(channels, channels, 1)
        self.mix = depthwise(channels, 5)

    def forward(self, mask: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        mask = self.enter(mask)
        return mask + mask * torch.sigmoid(self.mix(self.inner(mask)))


class MaskedAttention(SpectralAttention):
    """The attention of MST++ with gated values; the positional branch sees them ungated."""

    def __init__(self, channels: int, heads: int, mask_of: MaskOf) -> None:
        super().__init__(channels, heads)
        self.first = mask_of == "first image"
        self.gate = MaskGate(channels)
        for linear in (self.to_q, self.to_k, self.to_v, self.project):
            linear.reset_parameters()

    def masked(self, x: Tensor, mask: Tensor) -> Tensor:
        """(n, channels, y, x) and its mask of the same shape -> the same shape."""
        return self(x, self.gate(mask[:1] if self.first else mask))


class MaskedBlock(nn.Module):
    """Attention under a mask, then the feed-forward part."""

    def __init__(self, channels: int, heads: int, mask_of: MaskOf) -> None:
        super().__init__()
        self.attention = MaskedAttention(channels, heads, mask_of)
        self.feed_forward = FeedForward(channels, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(n, channels, y, x) and its mask of the same shape -> the same shape."""
        x = x + self.attention.masked(x, mask)
        return x + self.feed_forward(x)


class MaskedBlocks(nn.ModuleList):
    """Count in a row under the same mask."""

    def __init__(self, channels: int, heads: int, count: int, mask_of: MaskOf) -> None:
        super().__init__(MaskedBlock(channels, heads, mask_of) for _ in range(count))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(n, channels, y, x) and its mask of the same shape -> the same shape."""
        for block in self:
            x = block(x, mask)
        return x


class Encoder(nn.Module):
    """One level down: blocks, and strided convolutions of their result and of the mask."""

    def __init__(self, channels: int, blocks: MaskedBlocks) -> None:
        super().__init__()
        self.blocks = blocks
        self.down = nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1, bias=False)
        self.mask_down = nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, c, y, x) twice -> (n, c, y, x), and twice (n, 2c, y/2, x/2)."""
        x = self.blocks(x, mask)
        return x, self.down(x), self.mask_down(mask)


class Decoder(nn.Module):
    """One level up: a transposed convolution, fusion with what was kept, blocks."""

    def __init__(self, channels: int, blocks: MaskedBlocks) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(2 * channels, channels, 2, stride=2)
        self.fuse = nn.Conv2d(2 * channels, channels, 1, bias=False)
        self.blocks = blocks

    def forward(self, x: Tensor, kept: Tensor, mask: Tensor) -> Tensor:
        """(n, 2c, y/2, x/2), (n, c, y, x) and its mask -> (n, c, y, x)."""
        x = self.fuse(torch.cat([self.up(x), kept], dim=1))
        return self.blocks(x, mask)


class MST(nn.Module):
    """Mask-guided spectral-wise transformer (Cai et al., 2022).

    The authors' skip around everything needs as many bands as channels; where they differ, a 1x1
    convolution makes the one from the other.
    """

    def __init__(self, config: MSTConfig) -> None:
        super().__init__()
        width, bands, mask_of = config.width, config.bands, config.mask_of
        *outer, deepest = config.blocks
        self.mask = conv2d(config.channels_in, width, bias=False)
        self.embedding = conv2d(config.channels_in, width, bias=False)

        def blocks(level: int, count: int) -> MaskedBlocks:
            return MaskedBlocks(width * 2**level, 2**level, count, mask_of)

        levels = list(enumerate(outer))
        self.encoders = nn.ModuleList(
            Encoder(width * 2**level, blocks(level, count)) for level, count in levels
        )
        self.bottleneck = blocks(len(outer), deepest)
        self.decoders = nn.ModuleList(
            Decoder(width * 2**level, blocks(level, count)) for level, count in reversed(levels)
        )
        self.mapping = conv2d(width, bands, bias=False)
        self.skip = nn.Identity() if width == bands else nn.Conv2d(width, bands, 1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, bands, y, x)."""
        height, width = image.shape[-2:]
        image = pad_to_multiple(image, 8)
        mask = F.leaky_relu(self.mask(image), 0.1)
        entered = x = F.leaky_relu(self.embedding(image), 0.1)
        kept = []
        for encoder in self.encoders:
            full, x, lower = encoder(x, mask)
            kept.append((full, mask))
            mask = lower
        x = self.bottleneck(x, mask)
        for decoder in self.decoders:
            x = decoder(x, *kept.pop())
        return (self.mapping(x) + self.skip(entered))[..., :height, :width]


_RENAMING = (
    (r"^mask\.", "embedding_1."),
    (r"^embedding\.", "embedding_2."),
    (r"encoders\.(\d)\.blocks\.", r"encoder_layers.\1.0.blocks."),
    (r"encoders\.(\d)\.down\.", r"encoder_layers.\1.1."),
    (r"encoders\.(\d)\.mask_down\.", r"encoder_layers.\1.2."),
    (r"decoders\.(\d)\.up\.", r"decoder_layers.\1.0."),
    (r"decoders\.(\d)\.fuse\.", r"decoder_layers.\1.1."),
    (r"decoders\.(\d)\.blocks\.", r"decoder_layers.\1.2.blocks."),
    (r"bottleneck\.", "bottleneck.blocks."),
    (r"attention\.gate\.enter\.", "0.mm.conv1."),
    (r"attention\.gate\.inner\.", "0.mm.conv2."),
    (r"attention\.gate\.mix\.", "0.mm.depth_conv."),
    *SPECTRAL_BLOCK,
)


def _configure(state: State) -> MSTConfig:
    def blocks(place: str) -> int:
        return count_matches(state, re.escape(place) + r"\.blocks\.(\d+)\.")

    width, channels_in = state["embedding_2.weight"].shape[:2]
    return MSTConfig(
        channels_in=channels_in,
        bands=state["mapping.weight"].shape[0],
        width=width,
        blocks=(blocks("encoder_layers.0.0"), blocks("encoder_layers.1.0"), blocks("bottleneck")),
    )


METHOD = NetworkMethod(
    card=Card(
        name="mst",
        title="MST-L (2022 toolbox)",
        summary="Mask-guided spectral-wise transformer: the forerunner of MST++, one U-shape of "
        "attention between bands whose values are gated by a mask that the network makes from the "
        "picture. Second to MST++ in the 2022 toolbox.",
        reference="Cai et al., Mask-guided Spectral-wise Transformer for Efficient Hyperspectral "
        "Image Reconstruction, CVPR 2022; as adapted with Cai et al., MST++, CVPR Workshops 2022",
        year=2022,
        reported={"arad-1k": Score(mrae=0.1772, rmse=0.0256)},
        decisions=(
            Decision.published(
                "Attention between bands guided by a mask, in one U-shape",
                "paper on snapshot imaging",
            ),
            Decision.code(
                "4, 7 and 5 blocks of 31, 62 and 124 channels; a second embedding of the "
                "picture in place of the mask of a coded aperture; no norm before the "
                "attention, PyTorch's default initialisation",
                "caiyuanhao1998/MST-plus-plus: train_code/architecture/MST.py",
            ),
            Decision.code(
                "The mask of a batch's first image gates all its images (option mask_of; "
                "each image has its own in the preset tiny)",
                "caiyuanhao1998/MST-plus-plus: train_code/architecture/MST.py",
            ),
        ),
        tiling=Tiling.APPROXIMATE,
        tiling_reason="Attention between bands correlates them over the whole image.",
        size_multiple=8,
        memory_gb=1.2,
        licence_note="The toolbox and its published weights are under the MIT licence.",
    ),
    config=MSTConfig,
    network=MST,
    presets={"tiny": {"width": 8, "blocks": (1, 1, 1), "mask_of": "each image"}},
    official=OfficialLayout(
        configure=_configure,
        key=lambda name, config: rename(name, _RENAMING),
        contract={"exposed": {"scaling": "min-max", "clip_low": 0.0, "clip_high": 1.0}},
        source="github.com/caiyuanhao1998/MST-plus-plus",
    ),
)
