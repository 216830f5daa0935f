"""HRNet, the hierarchical regression network of OrangeCat, first on the real-world track."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Score, Tiling
from respectra.methods.network import NetworkConfig, NetworkMethod, OfficialLayout, State
from respectra.methods.networks.blocks import (
    GlobalMean,
    count_matches,
    pad_to_multiple,
    three_layer_gate,
)

#: The resolution is halved this many times.
LEVELS = 3

Blocks = Annotated[int, Field(ge=0)]


class HRNetConfig(NetworkConfig):
    """Configuration of HRNet; the defaults are the authors' first network, "code1"."""

    width: int = Field(default=64, ge=2, multiple_of=2)
    """Channels at full resolution, an even number; doubled at every level down."""
    dense_blocks: tuple[Blocks, Blocks, Blocks, Blocks] = (4, 2, 1, 1)
    """Residual dense blocks at full, 1/2, 1/4 and 1/8 resolution, 0 or more each."""
    modules: Literal["rdb-first", "global-first"] = "rdb-first"
    """Whether the dense blocks or the global block come first: the authors' code1 or code2."""
    padding: Literal["reflect", "zero"] = "reflect"
    """Padding of the convolutions; ``zero`` in the copy of the 2022 toolbox."""
    gates: Literal["applied", "unused"] = "applied"
    """Whether the global blocks apply the gates that they hold; ``unused`` in the copy of the 2022
    toolbox, where nothing then looks at the whole image."""


class ConvBlock(nn.Sequential):
    """Convolution and leaky ReLU of slope 0.2; the last layer of the network has it too."""

    def __init__(self, ci: int, co: int, padding: str, size: int = 3) -> None:
        mode: Literal["zeros", "reflect"] = "zeros" if padding == "zero" else "reflect"
        conv = nn.Conv2d(ci, co, size, padding=size // 2, padding_mode=mode)
        nn.init.xavier_normal_(conv.weight, gain=0.02)
        super().__init__(conv, nn.LeakyReLU(0.2))


class DenseBlock(nn.Module):
    """Residual dense block: five convolutions, each on all results before it."""

    def __init__(self, channels: int, padding: str) -> None:
        super().__init__()
        growth = channels // 2
        self.convs = nn.ModuleList(
            ConvBlock(channels + i * growth, growth if i < 4 else channels, padding)
            for i in range(5)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        results = [x]
        for conv in self.convs:
            results.append(conv(torch.cat(results, dim=1)))
        return x + 0.1 * results[-1]


class GlobalBlock(nn.Module):
    """Residual global block: channels weighted by the means of the whole image, if ``gated``."""

    def __init__(self, channels: int, padding: str, *, gated: bool) -> None:
        super().__init__()
        self.gated = gated
        self.conv1 = ConvBlock(channels, channels, padding)
        self.mean = GlobalMean()
        self.gate = three_layer_gate(channels, max(1, channels // 4))
        self.conv2 = ConvBlock(channels, channels, padding)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        t = self.conv1(x)
        if self.gated:
            t = t * torch.sigmoid(self.gate(self.mean(t).flatten(1)))[:, :, None, None]
        return x + 0.1 * self.conv2(t)


class Level(nn.Module):
    """One resolution: features of the image, those from below, the modules, the way up."""

    def __init__(self, config: HRNetConfig, level: int) -> None:
        super().__init__()
        channels = config.width * 2**level
        padding = config.padding
        self.level = level
        self.enter = ConvBlock(config.channels_in * 4**level, channels, padding)
        # From below come twice as many channels, a quarter of them after the pixel shuffle.
        self.fuse = (
            ConvBlock(channels + channels // 2, channels, padding) if level < LEVELS else None
        )
        dense = [DenseBlock(channels, padding) for _ in range(config.dense_blocks[level])]
        glob = [GlobalBlock(channels, padding, gated=config.gates == "applied")]
        self.modules_in_order = nn.Sequential(
            *(dense + glob if config.modules == "rdb-first" else glob + dense)
        )
        out = config.bands if level == 0 else channels
        self.leave = ConvBlock(channels, out, padding, size=1 if level == LEVELS else 3)

    def forward(self, image: Tensor, below: Tensor | None) -> Tensor:
        """Image at full resolution, and the result of the level below if there is one."""
        x = self.enter(F.pixel_unshuffle(image, 2**self.level))
        if self.fuse is not None and below is not None:
            x = self.fuse(torch.cat([x, F.pixel_shuffle(below, 2)], dim=1))
        return self.leave(self.modules_in_order(x))


class HRNet(nn.Module):
    """Hierarchical regression network (Zhao et al., NTIRE 2020)."""

    def __init__(self, config: HRNetConfig) -> None:
        super().__init__()
        self.levels = nn.ModuleList(Level(config, level) for level in range(LEVELS + 1))

    def forward(self, image: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, bands, y, x), y and x at least 9."""
        height, width = image.shape[-2:]
        image = pad_to_multiple(image, 2**LEVELS)
        lowest, *finer = reversed(self.levels)
        x = lowest(image, None)
        for level in finer:
            x = level(image, x)
        return x[..., :height, :width]


def _halo(config: HRNetConfig) -> int:
    """Radius once the means are given.

    Of the 3x3 convolutions on the way through a level, those of a dense block count five, of the
    global block two, and enter, fuse and leave one each. A pixel of a lower level is a square of
    pixels; the squares begin at multiples of 8.
    """
    radius = (1 << LEVELS) - 1
    for level, blocks in enumerate(config.dense_blocks):
        # The lowest level has no fusion and leaves through a 1x1 convolution; the others enter
        # beside what comes from below, not after it.
        radius += (5 * blocks + 2 + (1 if level == LEVELS else 2)) * (1 << level)
    return radius


#: What the authors call the levels.
_LEVEL_NAMES = ("main", "bot", "mid", "top")


def _key(name: str, config: HRNetConfig) -> str:
    _, number, part, rest = name.split(".", 3)
    level = int(number)
    stem = _LEVEL_NAMES[level]
    lowest = level == LEVELS
    if part != "modules_in_order":
        step = {"enter": 1, "fuse": 2, "leave": 3 if lowest else 4}[part]
        return f"{stem}{step}.{_conv_name(rest)}"
    index, inner = rest.split(".", 1)
    module = f"{stem}{2 if lowest else 3}{int(index) + 1}"
    if found := re.fullmatch(r"convs\.(\d)\.(.*)", inner):
        return f"{module}.conv{int(found[1]) + 1}.{_conv_name(found[2])}"
    if found := re.fullmatch(r"gate\.(\d\.weight)", inner):
        return f"{module}.fc.{found[1]}"
    conv, rest = inner.split(".", 1)
    return f"{module}.{conv}.{_conv_name(rest)}"


def _conv_name(rest: str) -> str:
    return f"conv2d.{rest.removeprefix('0.')}"


def _configure(state: State) -> HRNetConfig:
    def blocks(level: int) -> int:
        stem = f"{_LEVEL_NAMES[level]}{2 if level == LEVELS else 3}"
        return count_matches(state, rf"{stem}(\d+)\.") - 1

    width, channels_in = state["main1.conv2d.weight"].shape[:2]
    return HRNetConfig(
        channels_in=channels_in,
        bands=state["main4.conv2d.weight"].shape[0],
        width=width,
        dense_blocks=(blocks(0), blocks(1), blocks(2), blocks(3)),
        modules="global-first" if "top21.fc.0.weight" in state else "rdb-first",
    )


def _tell_track(state: State, beside: Collection[str]) -> str | None:
    """``exposed`` for files of the 2022 toolbox, whose tensors have the authors' names and shapes.

    The toolbox stores counters beside the weights, the authors store nothing. And its gates,
    which act on nothing, keep the values that they were drawn with, uniform within 1 / sqrt(fan
    in), where those of a trained network leave that range.
    """
    if {"epoch", "iter"} <= set(beside):
        return "exposed"
    gates = [value.float() for key, value in state.items() if ".fc." in key]
    if not gates or any(not torch.isfinite(gate).all() for gate in gates):
        return None
    drawn = torch.cat([(gate * gate.shape[1] ** 0.5).flatten() for gate in gates])
    uniform = bool(drawn.abs().max() <= 1.001) and abs(float(drawn.std()) * 3**0.5 - 1) < 0.05
    # A network that has learned nothing tells nothing: the authors start with tiny convolutions.
    first = state["main1.conv2d.weight"]
    learned = float(first.std()) * first[0].numel() ** 0.5 > 0.1
    return "exposed" if uniform and learned else None


METHOD = NetworkMethod(
    card=Card(
        name="hrnet",
        title="HRNet",
        summary="Hierarchical regression network: four resolutions made by pixel unshuffling, "
        "residual dense blocks for artefacts of the picture and global blocks for its tone. First "
        "on the real-world track in 2020.",
        reference="Zhao et al., Hierarchical Regression Network for Spectral Reconstruction from "
        "RGB Images, CVPR Workshops 2020; NTIRE 2020 report, section 5.3",
        team="OrangeCat",
        year=2020,
        rank={"clean": 3, "real-world": 1},
        reported={
            "clean": Score(mrae=0.03231, rmse=0.01389),
            "real-world": Score(mrae=0.06200, rmse=0.01923),
            "arad-1k": Score(mrae=0.3476, rmse=0.0550),
        },
        decisions=(
            Decision.published(
                "Four resolutions by pixel unshuffling, dense and global residual blocks",
                "report section 5.3 and paper",
            ),
            Decision.code(
                "Widths, residuals scaled by 0.1, leaky ReLU after every convolution and "
                "the last one too, input channels in the order B, G, R",
                "zhaoyuzhi/Hierarchical-Regression-Network-for-Spectral-Reconstruction-"
                "from-RGB-Images: network_code1.py, network_code2.py, dataset.py",
            ),
            Decision.code(
                "In the 2022 toolbox (preset toolbox): zero padding of the convolutions, "
                "and gates that are computed and never applied, so that nothing looks at the "
                "whole image; images in R, G, B order and stretched to their range",
                "caiyuanhao1998/MST-plus-plus: hrnet.py, hsi_dataset.py",
            ),
            Decision.reading(
                "Any height and width: the image is padded to a multiple of 8 by "
                "reflection; the authors blend two crops of 480 rows"
            ),
        ),
        tiling=Tiling.STATISTICS,
        tiling_reason=("Its only view of the whole image are channel means in the global blocks."),
        size_minimum=9,
        memory_gb=2.0,
        size_multiple=8,
        licence_note="The authors' repository states no licence for the network; the toolbox "
        "and its weights are under the MIT licence.",
    ),
    config=HRNetConfig,
    network=HRNet,
    presets={
        "code2": {"modules": "global-first"},
        "toolbox": {"padding": "zero", "gates": "unused"},
        "tiny": {"width": 4, "dense_blocks": (1, 0, 0, 0)},
    },
    halo=_halo,
    official=OfficialLayout(
        configure=_configure,
        key=_key,
        contract={
            "clean": {"channel_order": "BGR"},
            "real-world": {"channel_order": "BGR"},
            "exposed": {"scaling": "min-max", "clip_low": 0.0, "clip_high": 1.0},
        },
        options={"exposed": {"padding": "zero", "gates": "unused"}},
        tell_track=_tell_track,
        source="github.com/zhaoyuzhi/Hierarchical-Regression-Network-for-Spectral-"
        "Reconstruction-from-RGB-Images; track exposed: "
        "github.com/caiyuanhao1998/MST-plus-plus",
    ),
)
