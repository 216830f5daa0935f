"""HSCNN-D: parallel branches of dense-fusion blocks, of the 2018 challenge's winners."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Tiling
from respectra.methods.network import Count, NetworkMethod
from respectra.methods.networks.blocks import (
    DenseFusionConfig,
    DenseFusionHead,
    dense_fusion_blocks,
    initialise_dense_fusion,
)

_CODE = "ngchc/HSCNN-Plus: hscnn-d_*/train/model.py, ops.py"


class HscnnDConfig(DenseFusionConfig):
    """Configuration of :class:`HscnnD`. The authors' depth counts two more: their b60 has 58."""

    branches: Count = 3
    """Parallel branches."""


class HscnnD(nn.Module):
    """HSCNN-D (Shi et al., 2018): branches side by side, concatenated into one 1x1 layer.

    (n, channels_in, y, x) -> (n, bands, y, x); zero padding, biases everywhere.
    """

    def __init__(self, config: HscnnDConfig) -> None:
        super().__init__()
        self.branches = dense_branches(config)
        self.tail = nn.Conv2d(sum_of_widths(config), config.bands, 1)
        initialise_dense_fusion(self)
        nn.init.trunc_normal_(self.tail.weight, std=1e-3, a=-2e-3, b=2e-3)

    def forward(self, x: Tensor) -> Tensor:
        """Recover the bands of each pixel."""
        return apply_to_branches(self.tail, self.branches, x)


def sum_of_widths(config: HscnnDConfig) -> int:
    """Channels of all branches together."""
    return config.branches * (4 * config.branch + config.blocks * config.growth)


def dense_branches(config: HscnnDConfig) -> nn.ModuleList:
    """The branches, which have the same input: a head and dense-fusion blocks each."""
    return nn.ModuleList(
        nn.Sequential(
            DenseFusionHead(config, bias=True),
            dense_fusion_blocks(config, config.blocks, bias=True),
        )
        for _ in range(config.branches)
    )


def apply_to_branches(layer: nn.Conv2d, branches: nn.ModuleList, x: Tensor) -> Tensor:
    """A 1x1 layer of the concatenated branches of x.

    The sum is taken branch by branch, so that only one of them is in memory at a time.
    """
    weights = layer.weight.chunk(len(branches), dim=1)
    out = F.conv2d(branches[0](x), weights[0], layer.bias)
    for branch, weight in zip(branches[1:], weights[1:], strict=True):
        out = out + F.conv2d(branch(x), weight)
    return out


METHOD = NetworkMethod(
    card=Card(
        name="hscnn-d",
        title="HSCNN-D",
        summary="Three parallel branches of densely connected blocks, one of the two networks that "
        "won the 2018 challenge. Deep and slow; purely convolutional, tiles exactly.",
        reference="Z. Shi et al., HSCNN+: Advanced CNN-based hyperspectral recovery from RGB "
        "images, CVPR Workshops 2018",
        year=2018,
        decisions=(
            Decision.code(
                "three branches of 58 dense-fusion blocks (widths 64, 16, 8, growth 16) "
                "and a 1x1 tail; biases, zero padding",
                _CODE,
            ),
            Decision.code(
                "He initialisation by fan-in, the tail truncated normal of deviation "
                "0.001; their optional non-local module stays off",
                _CODE,
            ),
            Decision.code(
                "ensemble of the clean track: b60x3 and two b40x3 with weights 0.4, 0.3, "
                "0.3; of the other: b60x3, b40x3 and one wide branch b80; each averaged with "
                "its left-right flipped run",
                "ngchc/HSCNN-Plus: test scripts",
            ),
        ),
        tiling=Tiling.EXACT,
        tiling_reason="Only convolutions: every pixel sees a bounded neighbourhood.",
        memory_gb=3.5,
    ),
    config=HscnnDConfig,
    network=HscnnD,
    presets={
        "b60x3": {},
        "b40x3": {"blocks": 38},
        "b80x1-wide": {
            "branches": 1,
            "blocks": 78,
            "squeeze": 128,
            "branch": 32,
            "projection": 16,
            "growth": 32,
        },
        "tiny": {
            "branches": 2,
            "blocks": 3,
            "squeeze": 32,
            "branch": 8,
            "projection": 4,
            "growth": 8,
        },
    },
    halo=lambda config: config.blocks + 1,
)
