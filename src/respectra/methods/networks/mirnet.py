"""MIRNet as the 2022 toolbox has it: three resolutions side by side, fused by what they hold."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Score, Tiling
from respectra.methods.network import Count, NetworkConfig, NetworkMethod, OfficialLayout
from respectra.methods.networks.blocks import (
    GlobalMean,
    conv2d,
    count_matches,
    pad_to_multiple,
    rename,
)

#: Resolutions side by side.
SCALES = 3


class MIRNetConfig(NetworkConfig):
    """Configuration of MIRNet; the defaults are the toolbox's."""

    width: Count = 31
    """Channels at full resolution, doubled at half and again at a quarter of it."""
    groups: Count = 3
    """Recursive residual groups, each with one block of three resolutions."""


_conv = functools.partial(conv2d, bias=False)


class DualAttention(nn.Module):
    """DAU: features gated by a map of pixels and by one number a channel, side by side.

    ``slope`` is the one PReLU of all these units of a network.
    """

    def __init__(self, channels: int, slope: nn.PReLU) -> None:
        super().__init__()
        hidden = max(1, channels // 8)
        self.conv1 = _conv(channels, channels)
        self.act = slope
        self.conv2 = _conv(channels, channels)
        self.pixel = _conv(2, 1, 5)
        self.mean = GlobalMean()
        self.squeeze, self.excite = _conv(channels, hidden, 1), _conv(hidden, channels, 1)
        self.join = _conv(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        y = self.conv2(self.act(self.conv1(x)))
        ends = torch.cat([y.amax(dim=1, keepdim=True), y.mean(dim=1, keepdim=True)], dim=1)
        by_pixel = y * torch.sigmoid(self.pixel(ends))
        by_channel = y * torch.sigmoid(self.excite(F.relu(self.squeeze(self.mean(y)))))
        return x + self.join(torch.cat([by_pixel, by_channel], dim=1))


class Blur(nn.Module):
    """Half the resolution behind a binomial filter of 3 x 3; its kernels are stored."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("kernel", torch.outer(taps, taps).expand(channels, 1, 3, 3).clone())

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> (n, channels, y/2, x/2)."""
        kernel = self.get_buffer("kernel")
        return F.conv2d(F.pad(x, (1, 1, 1, 1), "reflect"), kernel, stride=2, groups=x.shape[1])


class Down(nn.Module):
    """Half the resolution, twice the channels: a learned way and a plain one, added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.top = nn.Sequential(
            _conv(channels, channels, 1),
            nn.PReLU(),
            _conv(channels, channels),
            nn.PReLU(),
            Blur(channels),
            _conv(channels, 2 * channels, 1),
        )
        self.bottom = nn.Sequential(Blur(channels), _conv(channels, 2 * channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> (n, 2 * channels, y/2, x/2)."""
        return self.top(x) + self.bottom(x)


class Up(nn.Module):
    """Twice the resolution, half the channels: a learned way and a plain one, added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.top = nn.Sequential(
            _conv(channels, channels, 1),
            nn.PReLU(),
            nn.ConvTranspose2d(channels, channels, 3, 2, 1, output_padding=1, bias=False),
            nn.PReLU(),
            _conv(channels, channels // 2, 1),
        )
        self.bottom = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            _conv(channels, channels // 2, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> (n, channels / 2, 2y, 2x)."""
        return self.top(x) + self.bottom(x)


class SelectiveFusion(nn.Module):
    """Weighs several maps channel by channel, by the means of their sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(4, channels // 8)
        self.mean = GlobalMean()
        self.squeeze, self.act = _conv(channels, hidden, 1), nn.PReLU()
        self.excite = nn.ModuleList(_conv(hidden, channels, 1) for _ in range(SCALES))

    def forward(self, maps: list[Tensor]) -> Tensor:
        """SCALES maps (n, channels, y, x) -> one of the same shape."""
        squeezed = self.act(self.squeeze(self.mean(torch.stack(maps).sum(dim=0))))
        weights = torch.stack([excite(squeezed) for excite in self.excite]).softmax(dim=0)
        return (torch.stack(maps) * weights).sum(dim=0)


class MultiScaleBlock(nn.Module):
    """MSRB: one dual-attention unit at each of three resolutions, brought together at the finest.

    The authors' code can put several columns of units in a row and has the modules that carry
    features between the columns. With one column these are never called; they are kept under
    ``unused``, so that parameters and checkpoints are the authors'.
    """

    def __init__(self, width: int, slope: nn.PReLU) -> None:
        super().__init__()
        c = [width * 2**scale for scale in range(SCALES)]
        self.units = nn.ModuleList(DualAttention(channels, slope) for channels in c)
        self.downs = nn.ModuleList(Down(channels) for channels in c[:-1])
        self.ups1 = nn.Sequential(Up(c[1]))
        self.ups2 = nn.Sequential(Up(c[2]), Up(c[1]))
        self.fusion = SelectiveFusion(width)
        self.out = _conv(width, width)
        self.unused = nn.ModuleDict(
            {
                "down02": nn.Sequential(Down(c[0]), Down(c[1])),
                "up20": nn.Sequential(Up(c[2]), Up(c[1])),
                "up21": nn.Sequential(Up(c[2])),
                "up10": nn.Sequential(Up(c[1])),
                "fusion1": SelectiveFusion(c[1]),
                "fusion2": SelectiveFusion(c[2]),
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape; y and x are multiples of 4."""
        fine = self.units[0](x)
        half = self.units[1](self.downs[0](fine))
        quarter = self.units[2](self.downs[1](half))
        fused = self.fusion([fine, self.ups1(half), self.ups2(quarter)])
        return x + self.out(fused)


class Group(nn.Module):
    """RRG: a block of three resolutions and a convolution, plus the input."""

    def __init__(self, width: int, slope: nn.PReLU) -> None:
        super().__init__()
        self.block = MultiScaleBlock(width, slope)
        self.conv = _conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        return x + self.conv(self.block(x))


class MIRNet(nn.Module):
    """Multi-scale residual network of enriched features (Zamir et al., 2020).

    The authors' skip around everything needs as many bands as channels; where they differ, a 1x1
    convolution makes the one from the other.
    """

    def __init__(self, config: MIRNetConfig) -> None:
        super().__init__()
        width, bands = config.width, config.bands
        slope = nn.PReLU()
        self.conv_in = _conv(config.channels_in, width)
        self.groups = nn.Sequential(*(Group(width, slope) for _ in range(config.groups)))
        self.conv_out = _conv(width, bands)
        self.skip = nn.Identity() if width == bands else _conv(width, bands, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, bands, y, x)."""
        height, width = image.shape[-2:]
        x = self.conv_in(pad_to_multiple(image, 8))
        out = self.conv_out(self.groups(x)) + self.skip(x)
        return out[..., :height, :width]


def _halo(config: MIRNetConfig) -> int:
    """Radius once the means are given; positions are counted at full resolution.

    At scale i a unit reaches 4 * 2**i (two 3x3 and a 5x5), the way down 2 * 2**i (3x3 and blur).
    Going up, interpolation reaches 2 * 2**i beyond what a pixel of scale i takes from scale i + 1.
    """
    down = sum((4 + 2) << i for i in range(SCALES - 1)) + (4 << SCALES - 1)
    up = sum(2 << i for i in range(SCALES - 1))
    return 1 + config.groups * (down + up + 1 + 1) + 1


def _renaming(width: int) -> tuple[tuple[str, str], ...]:
    c = [width * 2**scale for scale in range(SCALES)]
    return (
        (r"^groups\.(\d+)\.conv\.", r"body.\1.body.1."),
        (r"^groups\.(\d+)\.block\.", r"body.\1.body.0."),
        (r"units\.(\d)\.conv1\.", r"blocks.\1.0.body.0."),
        (r"units\.(\d)\.act\.", r"blocks.\1.0.body.1."),
        (r"units\.(\d)\.conv2\.", r"blocks.\1.0.body.2."),
        (r"units\.(\d)\.pixel\.", r"blocks.\1.0.SA.spatial.conv."),
        (r"units\.(\d)\.squeeze\.", r"blocks.\1.0.CA.conv_du.0."),
        (r"units\.(\d)\.excite\.", r"blocks.\1.0.CA.conv_du.2."),
        (r"units\.(\d)\.join\.", r"blocks.\1.0.conv1x1."),
        (r"\.downs\.0\.", f".down.{c[0]}_2.body.0."),
        (r"\.downs\.1\.", f".down.{c[1]}_2.body.0."),
        (r"\.ups([12])\.", r".last_up.\1.body."),
        (r"unused\.down02\.", f"down.{c[0]}_4.body."),
        (r"unused\.up20\.", f"up.{c[2]}_4.body."),
        (r"unused\.up21\.", f"up.{c[2]}_2.body."),
        (r"unused\.up10\.", f"up.{c[1]}_2.body."),
        (r"unused\.fusion([12])\.", r"selective_kernel.\1."),
        (r"\.fusion\.", ".selective_kernel.0."),
        (r"(selective_kernel\.\d)\.squeeze\.", r"\1.conv_du.0."),
        (r"(selective_kernel\.\d)\.act\.", r"\1.conv_du.1."),
        (r"(selective_kernel\.\d)\.excite\.", r"\1.fcs."),
        (r"\.bottom\.", ".bot."),
        (r"\.kernel$", ".filt"),
        (r"body\.0\.out\.", "body.0.conv_out."),
    )


METHOD = NetworkMethod(
    card=Card(
        name="mirnet",
        title="MIRNet (2022 toolbox)",
        summary="Features of three resolutions side by side, gated by pixel and by channel and "
        "fused by their means, borrowed from picture restoration.",
        reference="Zamir et al., Learning Enriched Features for Real Image Restoration and "
        "Enhancement, ECCV 2020; as adapted with Cai et al., MST++, CVPR Workshops 2022",
        year=2022,
        reported={"arad-1k": Score(mrae=0.1890, rmse=0.0274)},
        decisions=(
            Decision.published(
                "Multi-scale residual blocks with dual attention and selective fusion",
                "paper on restoration",
            ),
            Decision.code(
                "Three groups of one block of one column with 31, 62 and 124 channels; no "
                "biases; one PReLU slope for all dual-attention units",
                "caiyuanhao1998/MST-plus-plus: train_code/architecture/MIRNet.py",
            ),
            Decision.code(
                "Modules that only further columns would call (two of five parameters) "
                "are kept without function, as in the authors' checkpoints",
                "caiyuanhao1998/MST-plus-plus: train_code/architecture/MIRNet.py",
            ),
        ),
        tiling=Tiling.STATISTICS,
        tiling_reason="Its only view of the whole image are channel means in the attention and "
        "fusion.",
        size_multiple=8,
        memory_gb=1.2,
        licence_note="The toolbox and its published weights are under the MIT licence.",
    ),
    config=MIRNetConfig,
    network=MIRNet,
    presets={"tiny": {"width": 4, "groups": 1}},
    halo=_halo,
    official=OfficialLayout(
        configure=lambda state: MIRNetConfig(
            channels_in=state["conv_in.weight"].shape[1],
            bands=state["conv_out.weight"].shape[0],
            width=state["conv_in.weight"].shape[0],
            groups=count_matches(state, r"body\.(\d+)\."),
        ),
        key=lambda name, config: rename(name, _renaming(config.width)),
        contract={"exposed": {"scaling": "min-max", "clip_low": 0.0, "clip_high": 1.0}},
        source="github.com/caiyuanhao1998/MST-plus-plus",
    ),
    untrained={r"\.unused\.": "with one column these are never called, as in the toolbox"},
)
