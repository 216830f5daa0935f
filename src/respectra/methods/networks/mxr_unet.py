"""MXR-U-Net of Pixxel AI: fastai's dynamic U-Net on a Mish XResNet, as its authors ran it."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from respectra.methods.card import Card, Decision, Score, Tiling
from respectra.methods.network import Count, NetworkConfig, NetworkMethod, OfficialLayout, State
from respectra.methods.networks.blocks import conv2d, count_matches, rename

_Width = Annotated[int, Field(ge=2)]


class MXRUNetConfig(NetworkConfig):
    """Options of MXR-U-Net; the defaults are the report's: encoder 50 with self-attention."""

    stem: tuple[_Width, _Width, _Width] = (32, 64, 64)
    """Channels of the three stem convolutions, each at least 2."""
    widths: tuple[_Width, _Width, _Width, _Width] = (64, 128, 256, 512)
    """Channels inside the blocks of the four stages, each at least 2."""
    depths: tuple[Count, Count, Count, Count] = (3, 4, 6, 3)
    """Blocks of the four stages, each at least 1."""
    expansion: Literal[1, 4] = 4
    """1: blocks of two 3x3 convolutions; 4: bottlenecks that give four times their width."""
    self_attention: bool = True
    """Self-attention over all pixels after the second decoder block."""


class ConvNorm(nn.Module):
    """Convolution without bias, batch normalisation, and Mish unless ``active`` is false."""

    def __init__(
        self,
        channels: int,
        channels_out: int,
        side: int,
        stride: int = 1,
        *,
        active: bool = True,
        zero: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels_out, side, stride, side // 2, bias=False)
        self.norm = nn.BatchNorm2d(channels_out)
        self.active = active
        nn.init.kaiming_normal_(self.conv.weight)
        if zero:
            nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> (n, channels_out, y / stride, x / stride), rounded up."""
        x = self.norm(self.conv(x))
        return F.mish(x) if self.active else x


class EncoderBlock(nn.Module):
    """XResNet block: Mish(convolutions + shortcut); the shortcut averages where it is strided."""

    def __init__(self, channels: int, width: int, expansion: int, stride: int) -> None:
        super().__init__()
        out = width * expansion
        if expansion == 1:
            layers = [
                ConvNorm(channels, width, 3, stride),
                ConvNorm(width, out, 3, active=False, zero=True),
            ]
        else:
            layers = [
                ConvNorm(channels, width, 1),
                ConvNorm(width, width, 3, stride),
                ConvNorm(width, out, 1, active=False, zero=True),
            ]
        self.convs = nn.Sequential(*layers)
        self.pool = nn.AvgPool2d(2, ceil_mode=True) if stride > 1 else nn.Identity()
        same = channels == out
        self.shortcut = nn.Identity() if same else ConvNorm(channels, out, 1, active=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> (n, width * expansion, y / stride, x / stride), rounded up."""
        return F.mish(self.convs(x) + self.shortcut(self.pool(x)))


class PixelShuffleUp(nn.Module):
    """Twice the size: 1x1 convolution, ReLU, pixel shuffle, and where asked a 2x2 blur."""

    def __init__(self, channels: int, channels_out: int, *, blur: bool) -> None:
        super().__init__()
        conv = nn.Conv2d(channels, 4 * channels_out, 1)
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        # ICNR: the four positions of a channel start alike, which avoids checkerboards.
        start = torch.empty(channels_out, channels, 1, 1, device=conv.weight.device)
        nn.init.kaiming_normal_(start)
        conv.weight.data.copy_(start.repeat_interleave(4, dim=0))
        self.conv = weight_norm(conv)
        self.blur = blur

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> (n, channels_out, 2 y, 2 x)."""
        x = F.pixel_shuffle(F.relu(self.conv(x)), 2)
        if self.blur:
            x = F.avg_pool2d(F.pad(x, (1, 0, 1, 0), mode="replicate"), 2, stride=1)
        return x


class SelfAttention(nn.Module):
    """Self-attention over all pixels, added with a learned gain (Zhang et al., 2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // 8)
        self.query = _spectral_conv(channels, hidden)
        self.key = _spectral_conv(channels, hidden)
        self.value = _spectral_conv(channels, channels)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        pixels = x.flatten(2)
        # The authors normalise over the first index of query^T key: their "query" is what other
        # pixels attend to, their "key" is what asks.
        attended = F.scaled_dot_product_attention(
            _one_head(self.key(pixels)),
            _one_head(self.query(pixels)),
            _one_head(self.value(pixels)),
            scale=1.0,
        )
        return (self.gamma * attended[:, 0].mT + pixels).reshape(x.shape)


class DecoderBlock(nn.Module):
    """U-Net block: upsample, resize to the skip where sizes differ, join, two convolutions."""

    def __init__(
        self, channels: int, skip: int, channels_out: int, *, self_attention: bool
    ) -> None:
        super().__init__()
        self.up = PixelShuffleUp(channels, channels // 2, blur=True)
        self.norm = nn.BatchNorm2d(skip)
        self.conv1 = _weight_norm_conv(channels // 2 + skip, channels_out, 3)
        self.conv2 = _weight_norm_conv(channels_out, channels_out, 3)
        self.attention = SelfAttention(channels_out) if self_attention else None

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(n, channels, ceil(y/2), ceil(x/2)), (n, skip, y, x) -> (n, channels_out, y, x)."""
        x = _resize(self.up(x), skip)
        x = F.relu(torch.cat([x, self.norm(skip)], dim=1))
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        return x if self.attention is None else self.attention(x)


class MXRUNet(nn.Module):
    """(n, channels_in, y, x) -> (n, bands, y, x), any size."""

    def __init__(self, config: MXRUNetConfig) -> None:
        super().__init__()
        c = config
        sizes = (c.channels_in, *c.stem)
        self.stem = nn.ModuleList(
            ConvNorm(a, b, 3, stride=2 if i == 0 else 1)
            for i, (a, b) in enumerate(itertools.pairwise(sizes))
        )
        self.stages = nn.ModuleList()
        channels = [c.stem[-1]]
        for i, (width, depth) in enumerate(zip(c.widths, c.depths, strict=True)):
            blocks = [EncoderBlock(channels[-1], width, c.expansion, stride=2 if i else 1)]
            channels.append(width * c.expansion)
            blocks += [EncoderBlock(channels[-1], width, c.expansion, 1) for _ in range(depth - 1)]
            self.stages.append(nn.Sequential(*blocks))

        deep = channels.pop()
        self.norm = nn.BatchNorm2d(deep)
        self.middle = nn.ModuleList(
            [_weight_norm_conv(deep, 2 * deep, 3), _weight_norm_conv(2 * deep, deep, 3)]
        )
        self.decoder = nn.ModuleList()
        for i, skip in enumerate(reversed(channels)):
            out = deep // 2 + skip
            out = out if i < 3 else out // 2
            attention = c.self_attention and i == 1
            self.decoder.append(DecoderBlock(deep, skip, out, self_attention=attention))
            deep = out
        self.up = PixelShuffleUp(deep, deep, blur=False)
        joined = deep + c.channels_in
        self.refine = nn.ModuleList(_weight_norm_conv(joined, joined, 3) for _ in range(2))
        self.head = _weight_norm_conv(joined, c.bands, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct; see the class."""
        f = x
        for layer in self.stem:
            f = layer(f)
        skips = [f]
        f = F.max_pool2d(f, 3, 2, 1)
        for stage in self.stages:
            f = stage(f)
            skips.append(f)
        f = F.relu(self.norm(skips.pop()))
        for layer in self.middle:
            f = F.relu(layer(f))
        for block in self.decoder:
            f = block(f, skips.pop())
        f = torch.cat([_resize(self.up(f), x), x], dim=1)
        residual = f
        for layer in self.refine:
            residual = F.relu(layer(residual))
        return self.head(f + residual)


def _weight_norm_conv(channels: int, channels_out: int, side: int) -> nn.Module:
    conv = conv2d(channels, channels_out, side)
    nn.init.kaiming_normal_(conv.weight)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    normed: nn.Module = weight_norm(conv)
    return normed


def _spectral_conv(channels: int, channels_out: int) -> nn.Module:
    conv = nn.Conv1d(channels, channels_out, 1, bias=False)
    nn.init.kaiming_normal_(conv.weight)
    return spectral_norm(conv)


def _one_head(x: Tensor) -> Tensor:
    """(n, channels, pixels) -> (n, 1, pixels, channels), contiguous as fast kernels need it."""
    return x.mT.unsqueeze(1).contiguous()


def _resize(x: Tensor, like: Tensor) -> Tensor:
    size = like.shape[-2:]
    return x if x.shape[-2:] == size else F.interpolate(x, size, mode="nearest")


def _halo(config: MXRUNetConfig) -> int | None:
    """An upper bound: where sizes are odd, the resizing shifts by up to a pixel a level."""
    if config.self_attention:
        return None
    reach = 1 + 2 * 2 + 2  # stem: one convolution at full size, two at half; max-pool
    convs = 2 if config.expansion == 1 else 1
    for i, depth in enumerate(config.depths):
        scale = 4 * 2**i
        reach += convs * depth * scale
        if i:
            reach -= scale // 2  # the first convolution of the stage still sees the finer grid
    reach += 2 * 32  # middle
    reach += sum(5 * scale for scale in (16, 8, 4, 2))  # shuffle, blur, resize, two convolutions
    return reach + 4  # shuffle, resize, two convolutions


def _configure(state: State) -> MXRUNetConfig:
    depths = [count_matches(state, rf"layers\.0\.{i}\.(\d+)\.") for i in range(4, 8)]
    stages = range(4, 8)
    return MXRUNetConfig.model_validate(
        {
            "channels_in": state["layers.0.0.0.weight"].shape[1],
            "bands": state["layers.11.0.bias"].shape[0],
            "stem": [state[f"layers.0.{i}.0.weight"].shape[0] for i in range(3)],
            "widths": [state[f"layers.0.{i}.0.convs.0.0.weight"].shape[0] for i in stages],
            "depths": depths,
            "expansion": 4 if "layers.0.4.0.convs.2.0.weight" in state else 1,
            "self_attention": "layers.5.conv2.2.gamma" in state,
        }
    )


#: Our names -> the authors', applied in this order; fastai numbers its layers.
_RENAMES = (
    (r"^stem\.", "layers.0."),
    *((rf"^stages\.{i}\.", f"layers.0.{i + 4}.") for i in range(4)),
    (r"^norm\.", "layers.1."),
    (r"^middle\.(\d)\.", r"layers.3.\1.conv."),
    *((rf"^decoder\.{i}\.", f"layers.{i + 4}.") for i in range(4)),
    (r"^(layers\.\d)\.up\.", r"\1.shuf.conv."),
    (r"^(layers\.[4-7])\.norm\.", r"\1.bn."),
    (r"^(layers\.[4-7])\.(conv[12])\.", r"\1.\2.conv."),
    (r"\.attention\.", ".conv2.2."),
    (r"^up\.", "layers.8.conv."),
    (r"^refine\.(\d)\.", r"layers.10.layers.\1.conv."),
    (r"^head\.", "layers.11.conv."),
    (r"\.shortcut\.", ".idconv."),
    (r"\.conv\.conv\.", ".conv.0."),
    (r"\.conv\.(?!\d)", ".0."),
    (r"\.norm\.", ".1."),
    (r"(query|key|value)\.parametrizations\.weight\.original$", r"\1.weight_orig"),
    (r"parametrizations\.weight\.0\._([uv])$", r"weight_\1"),
    (r"parametrizations\.weight\.original0$", "weight_g"),
    (r"parametrizations\.weight\.original1$", "weight_v"),
)


_SOURCE = "akashpalrecha/hyperspectral-reconstruction"

METHOD = NetworkMethod(
    card=Card(
        name="mxr-unet",
        title="MXR-U-Net",
        summary="U-Net with a residual encoder, sub-pixel upsampling and self-attention: fast for "
        "its size, since most of it works on small grids.",
        reference="Banerjee and Palrecha, MXR-U-Nets for real time hyperspectral "
        "reconstruction, 2020; NTIRE 2020 report, section 5.11",
        team="Pixxel AI",
        year=2020,
        rank={"clean": 11, "real-world": 10},
        reported={
            "clean": Score(mrae=0.04441, rmse=0.01645),
            "real-world": Score(mrae=0.09322, rmse=0.02255),
        },
        decisions=(
            Decision.published(
                "encoder of 50 layers with Mish, self-attention, weight-normalised "
                "sub-pixel upsampling with blur",
                "NTIRE 2020 report, section 5.11",
            ),
            Decision.code(
                "all layers and their order; the authors' scripts mostly run an encoder "
                "of 34 layers",
                f"{_SOURCE} : train_mxr.py, mish/mxresnet.py; "
                "fastai 1.0.61 : vision/models/unet.py, layers.py",
            ),
            Decision.published(
                "upsampling starts free of checkerboards (ICNR), as published; under "
                "weight normalisation fastai 1 set that start and then lost it",
                "NTIRE 2020 report, section 5.11; corrected in fastai 2 : layers.py",
            ),
        ),
        tiling=Tiling.APPROXIMATE,
        tiling_reason="Self-attention lets every pixel see all others; without it the "
        "neighbourhood is bounded, but the grids of an encoder that halves five times shift with "
        "the tile.",
        size_minimum=33,
        memory_gb=4.0,
    ),
    config=MXRUNetConfig,
    network=MXRUNet,
    presets={
        "tiny": {
            "stem": (2, 4, 4),
            "widths": (4, 8, 16, 24),
            "depths": (1, 1, 1, 1),
            "expansion": 1,
        },
        "encoder-18": {"depths": (2, 2, 2, 2), "expansion": 1},
        "encoder-34": {"depths": (3, 4, 6, 3), "expansion": 1},
        "encoder-18-no-attention": {
            "depths": (2, 2, 2, 2),
            "expansion": 1,
            "self_attention": False,
        },
        "encoder-34-no-attention": {
            "depths": (3, 4, 6, 3),
            "expansion": 1,
            "self_attention": False,
        },
        "encoder-50-no-attention": {"self_attention": False},
    },
    halo=_halo,
    official=OfficialLayout(
        configure=_configure,
        key=lambda name, config: rename(name, _RENAMES),
        contract={
            "clean": {
                "scaling": "standardised",
                "mean": (0.1801, 0.1821, 0.1468),
                "std": (0.1220, 0.1245, 0.1171),
            },
            "real-world": {
                "scaling": "standardised",
                "mean": (0.1859, 0.1794, 0.1533),
                "std": (0.1244, 0.1235, 0.1181),
            },
        },
        source=_SOURCE,
    ),
)
