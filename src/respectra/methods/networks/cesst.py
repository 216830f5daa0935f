"""CESST: R, G and B through one network at three scales, mixed by attention between them."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Tiling
from respectra.methods.network import Count, NetworkConfig, NetworkMethod, OfficialLayout, State
from respectra.methods.networks.blocks import (
    conv2d,
    depthwise,
    pad_to_multiple,
    relative_places,
    rename,
)
from respectra.methods.networks.mst_plus_plus import (
    SPECTRAL_BLOCK,
    CascadeConfig,
    FeedForward,
    SpectralAttention,
    SpectralAttentionBlock,
    UShape,
    cascade_key,
)

#: Scales: the picture, its half and its quarter.
SCALES = 3
#: Halvings of the resolution within the U-shape.
LEVELS = 2
_SLOPE = 0.2
#: Channels between which the coordinate attention of the fusion squeezes.
_SQUEEZED = 8


class CESSTConfig(NetworkConfig):
    """Configuration of CESST; the defaults are the authors'."""

    width: Count = 31
    """Channels of each of R, G and B at full resolution and of one attention head."""
    window: int = Field(default=7, ge=2)
    """Rows and columns of the windows of the spatial attention."""


class WindowAttention(nn.Module):
    """Each pixel attends to those of its window; a window is a square or pixels a stride apart.

    The picture is extended with zeros to whole windows, by a window more where its width is a
    multiple already, and the result is *resized* back: so do the authors. Their code fails at
    heights that are multiples of a window; here these are extended as widths are.
    """

    def __init__(self, channels: int, heads: int, window: int, *, strided: bool) -> None:
        super().__init__()
        self.heads, self.window, self.strided = heads, window, strided
        self.bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.project = nn.Conv2d(channels, channels, 1)
        nn.init.trunc_normal_(self.bias_table, std=0.02)
        self.register_buffer("places", relative_places(window), persistent=False)

    places: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        n, channels, height, width = x.shape
        window = self.window
        padded = F.pad(x, (0, window - width % window, 0, _to_whole(height, window)))
        rows, columns = (side // window for side in padded.shape[-2:])
        # Axes: n, (qkv,) heads, channels of a head, then windows and places within them.
        if self.strided:
            split, order, back = (window, rows, window, columns), (5, 7, 4, 6), (4, 1, 5, 2)
        else:
            split, order, back = (rows, window, columns, window), (4, 6, 5, 7), (1, 4, 2, 5)
        parts = self.to_qkv(padded).reshape(n, 3, self.heads, -1, *split)
        parts = parts.permute(1, 0, *order[:2], 2, *order[2:], 3)
        q, k, v = parts.reshape(3, -1, self.heads, window * window, channels // self.heads)
        scores = (q * q.shape[-1] ** -0.5) @ k.mT + self.bias_table[self.places].permute(2, 0, 1)
        mixed = (scores.softmax(dim=-1) @ v).reshape(
            n, rows, columns, self.heads, window, window, -1
        )
        mixed = mixed.permute(0, 3, 6, *back).reshape(padded.shape)
        return F.interpolate(self.project(mixed), (height, width), mode="bilinear")


def _to_whole(height: int, window: int) -> int:
    """Rows that are missing to whole windows; a window where none is."""
    return window - height % window


class SpatialAttentionBlock(nn.Module):
    """Attention in windows, a depthwise convolution, the feed-forward part; each is added."""

    def __init__(self, channels: int, heads: int, window: int, *, strided: bool) -> None:
        super().__init__()
        self.attention = WindowAttention(channels, heads, window, strided=strided)
        self.local = depthwise(channels, window, bias=False)
        self.feed_forward = FeedForward(channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        x = x + self.attention(x)
        x = x + self.local(x)
        return x + self.feed_forward(x)


class Block(nn.Module):
    """The sum of attention between bands and of attention in windows, square and strided."""

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.spectral = SpectralAttentionBlock(channels, heads)
        self.spatial = nn.Sequential(
            *(
                SpatialAttentionBlock(channels, heads, window, strided=strided)
                for strided in (False, True)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        return self.spectral(x) + self.spatial(x)


class CrossAttention(nn.Module):
    """Features of one of R, G, B that take in those of another, by attention between bands."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = SpectralAttention(channels, 1)
        self.feed_forward = FeedForward(channels, bias=False)

    def forward(self, asking: Tensor, answering: Tensor) -> Tensor:
        """(n, channels, y, x) twice -> the same shape."""
        x = asking + self.attention(answering, asking=asking)
        return x + self.feed_forward(x)


class Fusion(nn.Module):
    """The features of R, G and B together, with a gate for every row and one for every column."""

    def __init__(self, width: int) -> None:
        super().__init__()
        wide = 3 * width
        self.body = nn.Sequential(
            conv2d(wide, wide),
            nn.LeakyReLU(_SLOPE),
            conv2d(wide, wide),
        )
        self.embed = conv2d(wide, wide)
        self.squeeze = nn.Conv2d(wide, _SQUEEZED, 1)
        self.rows = nn.Conv2d(_SQUEEZED, wide, 1)
        self.columns = nn.Conv2d(_SQUEEZED, wide, 1)
        self.join = conv2d(wide, width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3 * width, y, x) -> (n, width, y, x)."""
        y = F.relu(self.embed(self.body(x)))
        means = torch.cat([y.mean(dim=3, keepdim=True), y.mean(dim=2, keepdim=True).mT], dim=2)
        means = F.hardswish(F.instance_norm(self.squeeze(means)))
        rows, columns = torch.split(means, list(y.shape[-2:]), dim=2)
        gates = torch.sigmoid(self.rows(rows)) * torch.sigmoid(self.columns(columns.mT))
        return self.join(x + y * gates)


class Supervision(nn.Module):
    """A cube from the features of a coarse scale, and what of it goes to the next finer one."""

    def __init__(self, channels_in: int, width: int, bands: int) -> None:
        super().__init__()
        self.project = conv2d(width, width, bias=False)
        self.output = conv2d(width, bands, bias=False)
        self.skip = conv2d(channels_in, bands, bias=False)
        self.gate = conv2d(bands, width, bias=False)

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        """(n, width, y, x) and (n, channels_in, y, x) -> (n, width, y, x)."""
        cube = self.output(features) + self.skip(image)
        return self.project(features) * torch.sigmoid(self.gate(cube)) + features


class CESST(nn.Module):
    """Cross-scale and cross-channel transformer (2024).

    The authors' network also returns cubes of half and of a quarter of the resolution, which
    nothing else uses; this one gives the cube of the picture.
    """

    def __init__(self, config: CESSTConfig) -> None:
        super().__init__()
        width, bands = config.width, config.bands
        frame = CascadeConfig(width=width, levels=LEVELS)
        self.embedding = conv2d(1, width, bias=False)
        self.merge = conv2d(2 * width, width, bias=False)
        self.body = UShape(frame, lambda c, heads: Block(c, heads, config.window), bias=False)
        self.mapping = conv2d(width, width, bias=False)
        self.cross = CrossAttention(width)
        self.mix = conv2d(2 * width, width, bias=False)
        self.fusion = Fusion(width)
        self.supervision = Supervision(config.channels_in, width, bands)
        self.skip = conv2d(config.channels_in, bands, bias=False)
        self.output = nn.Identity() if width == bands else nn.Conv2d(width, bands, 1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, bands, y, x)."""
        height, width = image.shape[-2:]
        whole = pad_to_multiple(image, 8)
        coarser: Tensor | None = None
        for scale in reversed(range(1, SCALES)):
            small = pad_to_multiple(_resized(whole, 0.5**scale), 8)
            features = self.fusion(self._mixed(self._channels(small, coarser)))
            coarser = self.supervision(features, small)
        features = self.fusion(self._channels(whole, coarser).flatten(1, 2))
        return (self.output(features) + self.skip(whole))[..., :height, :width]

    def _channels(self, image: Tensor, coarser: Tensor | None) -> Tensor:
        """Features of R, G and B, (n, channels_in, width, y, x)."""
        n, channels, height, width = image.shape
        x = self.embedding(image.reshape(n * channels, 1, height, width))
        if coarser is not None:
            finer = _resized(coarser, 2.0)[..., :height, :width]
            x = self.merge(torch.cat([x, finer.repeat_interleave(channels, dim=0)], dim=1))
        features = self.mapping(self.body(x)) + x
        return features.reshape(n, channels, *features.shape[1:])

    def _mixed(self, features: Tensor) -> Tensor:
        """R, G and B with what each takes in from the two others, (n, 3 * width, y, x).

        Green and blue take it from what red has become.
        """
        red, green, blue = features.unbind(dim=1)
        red = self._mix(red, blue, green)
        green = self._mix(green, blue, red)
        return torch.cat([red, green, self._mix(blue, red, green)], dim=1)

    def _mix(self, asking: Tensor, first: Tensor, second: Tensor) -> Tensor:
        both = self.cross(torch.cat([asking, asking]), torch.cat([first, second]))
        return self.mix(torch.cat(both.chunk(2), dim=1))


def _resized(x: Tensor, factor: float) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=True)


#: Our names and the authors', in the order of replacement; blocks of the U-shape apart.
_RENAMING = (
    (r"^embedding\.", "conv_in."),
    (r"^mapping\.", "conv_out."),
    (r"^merge\.", "concate."),
    (r"^mix\.", "conv."),
    (r"^skip\.", "conv_res."),
    (r"^supervision\.project\.", "sam.conv1."),
    (r"^supervision\.output\.", "sam.conv2."),
    (r"^supervision\.skip\.", "sam.conv3."),
    (r"^supervision\.gate\.", "sam.conv4."),
    (r"^fusion\.embed\.", "fusion.conv2."),
    (r"^fusion\.squeeze\.", "fusion.conv1."),
    (r"^fusion\.rows\.", "fusion.conv_h."),
    (r"^fusion\.columns\.", "fusion.conv_w."),
    (r"^fusion\.join\.", "fusion.conv_out."),
    (r"^cross\.", "channel_learning.blocks.0."),
)
#: Within the spatial half of a block.
_SPATIAL = (
    (r"attention\.bias_table", "0.relative_position_bias_table"),
    (r"attention\.to_qkv\.", "0.to_qkv."),
    (r"attention\.project\.", "0.proj."),
    (r"local\.", "1."),
    (r"feed_forward\.norm\.", "2.norm."),
    (r"feed_forward\.expand\.", "2.fn.net.0."),
    (r"feed_forward\.mix\.", "2.fn.net.2."),
    (r"feed_forward\.reduce\.", "2.fn.net.4."),
)
#: The halves of a block.
_HALVES = (
    (r"blocks\.0\.spectral\.", "spec_attention.blocks.0."),
    (r"blocks\.0\.spatial\.(\d)\.", r"spa_attention.layers.0.\1.blocks.0."),
)


def _key(name: str, config: CESSTConfig) -> str:
    if name.startswith("body."):
        block = _SPATIAL if ".spatial." in name else SPECTRAL_BLOCK
        return rename(cascade_key(f"stages.0.{name.removeprefix('body.')}", block), _HALVES)
    key = rename(name, _RENAMING)
    return rename(key, SPECTRAL_BLOCK) if name.startswith("cross.") else key


def _configure(state: State) -> CESSTConfig:
    bands, channels_in = state["conv_res.weight"].shape[:2]
    table = "body.0.bottleneck.spa_attention.layers.0.0.blocks.0.0.relative_position_bias_table"
    return CESSTConfig(
        channels_in=channels_in,
        bands=bands,
        width=state["conv_in.weight"].shape[0],
        window=(round(state[table].shape[0] ** 0.5) + 1) // 2,
    )


_SOURCE = "AlexYangxx/CESST: train_code/architecture/CESST.py"
_INPUT = {"scaling": "min-max", "clip_low": 0.0, "clip_high": 1.0}

METHOD = NetworkMethod(
    card=Card(
        name="cesst",
        title="CESST",
        summary="R, G and B pass one after the other through the same U-shape of attention between "
        "bands and in windows, at a quarter, at half and at all of the resolution; attention "
        "between the three mixes them at the coarse scales.",
        reference="Yang et al., Learning exhaustive correlation for spectral super-resolution: "
        "where unified spatial-spectral attention meets mutual dependence, AAAI 2024",
        year=2024,
        decisions=(
            Decision.published(
                "Coarse to fine, each of R, G and B through shared weights, with "
                "attention between the three",
                "paper",
            ),
            Decision.code(
                "31 channels, one U-shape of two levels, windows of 7 x 7 whose result is "
                "resized and not cropped after padding; G and B are mixed with what R has "
                "become; at full resolution the three are not mixed: the authors' code "
                "computes it on the half resolution's features and throws it away",
                _SOURCE,
            ),
            Decision.reading(
                "Heights that are multiples of a window at one of the scales, at which "
                "the authors' code fails (49 to 56, 97 to 112, 417 to 448, ...), are extended "
                "by a further window, as the authors do with widths",
                source=_SOURCE,
            ),
            Decision.code(
                "The cubes of half and of a quarter of the resolution that the authors' "
                "network returns too are not given",
                _SOURCE,
            ),
        ),
        tiling=Tiling.APPROXIMATE,
        tiling_reason="Attention between bands correlates them over the whole image, and the "
        "fusion takes means of whole rows and columns.",
        size_minimum=17,
        size_multiple=8,
        memory_gb=3.0,
        licence_note="The authors' repository states no licence.",
    ),
    config=CESSTConfig,
    network=CESST,
    presets={"tiny": {"width": 5}},
    official=OfficialLayout(
        configure=_configure,
        key=_key,
        contract={"exposed": _INPUT},
        source="github.com/AlexYangxx/CESST",
        ignored=(r"\.relative_position_index$",),
    ),
)
