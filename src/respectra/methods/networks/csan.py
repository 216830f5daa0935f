"""CSAN: cross-scale aggregation network of AIDAR (NTIRE 2020), in our reading.

The report describes parts and their order without numbers, and nothing else was published: what
fits its counts (4 stages, 10 groups) is 1 + 2 + 3 + 4 groups on as many scales.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Score, Tiling
from respectra.methods.network import Count, NetworkConfig, NetworkMethod
from respectra.methods.networks.blocks import GlobalMean, conv2d, enlarged, pad_to_multiple


class CSANConfig(NetworkConfig):
    """Options of CSAN; the defaults are our reading of the report."""

    width: Count = 64
    """Channels of every scale."""
    growth: Count = 32
    """Channels that each layer of a residual dense block adds."""
    layers: Count = 4
    """Growing layers of a residual dense block."""
    blocks: Count = 4
    """Residual dense blocks of a group."""
    stages: int = Field(default=4, ge=1, le=4)
    """Stages; stage s has s scales, each half the size of the one before, with a group each."""
    reduction: Count = 8
    """Attention over scales narrows by this factor."""


class ResidualDenseBlock(nn.Module):
    """Layers that see all before them, a 1x1 convolution of all, and a shortcut."""

    def __init__(self, width: int, growth: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(conv2d(width + i * growth, growth) for i in range(layers))
        self.fuse = nn.Conv2d(width + layers * growth, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        features = x
        for layer in self.layers:
            features = torch.cat([features, F.relu(layer(features))], dim=1)
        return x + self.fuse(features)


class ScaleResidualDenseGroup(nn.Module):
    """SRDG: residual dense blocks in series, fused from all of their outputs, and a shortcut."""

    def __init__(self, config: CSANConfig) -> None:
        super().__init__()
        c = config
        self.blocks = nn.ModuleList(
            ResidualDenseBlock(c.width, c.growth, c.layers) for _ in range(c.blocks)
        )
        self.gather = nn.Conv2d(c.width * c.blocks, c.width, 1)
        self.fuse = conv2d(c.width, c.width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        features = [x]
        for block in self.blocks:
            features.append(block(features[-1]))
        return x + self.fuse(self.gather(torch.cat(features[1:], dim=1)))


class ScaleFusion(nn.Module):
    """All scales brought to one, weighted channel by channel, and summed."""

    def __init__(self, width: int, reduction: int, scales: int, target: int) -> None:
        super().__init__()
        self.resample = nn.ModuleList(_resample(width, s, target) for s in range(scales))
        self.mean = GlobalMean()
        self.squeeze = nn.Conv2d(width, max(1, width // reduction), 1)
        self.excite = nn.ModuleList(
            nn.Conv2d(max(1, width // reduction), width, 1) for _ in range(scales)
        )

    def forward(self, scales: Sequence[Tensor]) -> Tensor:
        """One (n, width, y / 2^s, x / 2^s) a scale s -> (n, width, y / 2^t, x / 2^t)."""
        features = [layer(x) for layer, x in zip(self.resample, scales, strict=True)]
        total = features[0]
        for feature in features[1:]:
            total = total + feature
        hidden = F.relu(self.squeeze(self.mean(total)))
        weights = torch.softmax(torch.stack([excite(hidden) for excite in self.excite]), dim=0)
        fused = weights[0] * features[0]
        for weight, feature in zip(weights[1:], features[1:], strict=True):
            fused = fused + weight * feature
        return fused


class CrossScaleAggregation(nn.Module):
    """CSA: every scale, and one coarser where it is new, from all scales; with inner shortcuts."""

    def __init__(self, config: CSANConfig, scales: int, scales_out: int) -> None:
        super().__init__()
        self.fusions = nn.ModuleList(
            ScaleFusion(config.width, config.reduction, scales, target)
            for target in range(scales_out)
        )

    def forward(self, scales: Sequence[Tensor]) -> list[Tensor]:
        """Features by scale, fine to coarse -> features by scale, as many or one more."""
        fused = [fusion(scales) for fusion in self.fusions]
        return [f + scales[i] if i < len(scales) else f for i, f in enumerate(fused)]


class Stage(nn.Module):
    """A group on every scale, then cross-scale aggregation."""

    def __init__(self, config: CSANConfig, scales: int) -> None:
        super().__init__()
        self.groups = nn.ModuleList(ScaleResidualDenseGroup(config) for _ in range(scales))
        self.aggregate = CrossScaleAggregation(config, scales, min(scales + 1, config.stages))

    def forward(self, scales: Sequence[Tensor]) -> list[Tensor]:
        """Features by scale, fine to coarse -> features by scale, as many or one more."""
        refined = [group(f) for group, f in zip(self.groups, scales, strict=True)]
        out: list[Tensor] = self.aggregate(refined)
        return out


class CSAN(nn.Module):
    """(n, channels_in, y, x) -> (n, bands, y, x), any size; pads by reflection, and crops."""

    def __init__(self, config: CSANConfig) -> None:
        super().__init__()
        c = config
        self.enter = nn.Sequential(
            conv2d(c.channels_in, c.width),
            nn.ReLU(),
            conv2d(c.width, c.width),
            nn.ReLU(),
        )
        self.stages = nn.ModuleList(Stage(c, scales) for scales in range(1, c.stages + 1))
        self.refine = nn.ModuleList(conv2d(2 * c.width, c.width) for _ in range(c.stages - 1))
        self.out = conv2d(c.width, c.bands)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct; see the class."""
        height, width = x.shape[-2:]
        entered = self.enter(pad_to_multiple(x, 2 ** (len(self.stages) - 1)))
        scales = [entered]
        for stage in self.stages:
            scales = stage(scales)
        f = scales.pop()
        for refine in self.refine:
            finer = scales.pop()
            f = F.relu(refine(torch.cat([enlarged(f, 2), finer], dim=1)))
        return self.out(f + entered)[..., :height, :width]


def _resample(width: int, scale: int, target: int) -> nn.Module:
    """From one scale to another: strided convolutions down, 1x1 and interpolation up."""
    if scale == target:
        return nn.Identity()
    if scale > target:
        return nn.Sequential(
            nn.Conv2d(width, width, 1),
            nn.Upsample(scale_factor=2 ** (scale - target), mode="bilinear"),
        )
    steps: list[nn.Module] = []
    for _ in range(target - scale):
        steps += [nn.Conv2d(width, width, 3, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*steps)


def _halo(config: CSANConfig) -> int:
    """An upper bound: the path that goes one scale coarser at every stage reaches farthest."""
    group = config.blocks * config.layers + 1
    reach = 2 + 1  # the first two convolutions and the last
    for stage in range(config.stages):
        reach += group * 2**stage
    for finer in range(config.stages - 1):
        # A strided convolution down; interpolation over two pixels and a convolution up.
        reach += (1 + 2 + 1) * 2**finer
    return reach


_REPORT = "NTIRE 2020 report, section 5.4"

METHOD = NetworkMethod(
    card=Card(
        name="csan",
        title="Cross-scale aggregation network",
        summary="Residual dense groups on up to four scales in parallel, every scale fed from all "
        "after each stage. Fourth on the real-world track of 2020.",
        reference=_REPORT,
        team="AIDAR",
        year=2020,
        rank={"real-world": 4},
        reported={"real-world": Score(mrae=0.06514, rmse=0.02065)},
        decisions=(
            Decision.published(
                "10 scale-wise residual dense groups in 4 stages, cross-scale aggregation "
                "after each, scales added as stages proceed, inner shortcuts, global skip, "
                "stepwise reconstruction from all scales",
                _REPORT,
            ),
            Decision.reading(
                "1 + 2 + 3 + 4 groups on as many scales; widths, depths and growth; softmax "
                "attention over scales; how scales are resampled; where the global skip joins"
            ),
        ),
        tiling=Tiling.STATISTICS,
        tiling_reason="Attention over scales takes means over the whole image, in several layers "
        "one after the other; all else is convolution on grids that halve three times.",
        size_multiple=8,
        memory_gb=1.6,
    ),
    config=CSANConfig,
    network=CSAN,
    presets={"tiny": {"width": 8, "growth": 8, "layers": 2, "blocks": 1, "reduction": 1}},
    halo=_halo,
    untrained={
        r"^stages\.0\.aggregate\.fusions\.\d\.(squeeze|excite)": (
            "the first stage has one scale, and the softmax over one scale is 1"
        )
    },
)
