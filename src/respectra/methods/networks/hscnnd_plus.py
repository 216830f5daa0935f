"""HSCNND++: two dense branches, merged and refined by a third (CI Lab)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Score, Tiling
from respectra.methods.network import Count, NetworkMethod
from respectra.methods.networks.blocks import dense_fusion_blocks, initialise_dense_fusion
from respectra.methods.networks.hscnn_d import (
    HscnnDConfig,
    apply_to_branches,
    dense_branches,
    sum_of_widths,
)

_REPORT = "NTIRE 2020 report, section 5.9"


class HscnndPlusConfig(HscnnDConfig):
    """Configuration of :class:`HscnndPlus`; heads and merged features have 4 * branch channels."""

    branches: Count = 2
    """Parallel branches."""
    blocks: Count = 30
    """Dense-fusion blocks of a branch."""
    fusion_blocks: Count = 30
    """Dense-fusion blocks after the branches are merged."""


class HscnndPlus(nn.Module):
    """HSCNND++: dense branches side by side, a 1x1 merge, dense blocks again, a 1x1 tail.

    (n, channels_in, y, x) -> (n, bands, y, x); zero padding, biases everywhere.
    """

    def __init__(self, config: HscnndPlusConfig) -> None:
        super().__init__()
        width, blocks = 4 * config.branch, config.fusion_blocks
        self.branches = dense_branches(config)
        self.merge = nn.Conv2d(sum_of_widths(config), width, 1)
        self.fusion = dense_fusion_blocks(config, blocks, bias=True)
        self.tail = nn.Conv2d(width + blocks * config.growth, config.bands, 1)
        initialise_dense_fusion(self)
        nn.init.trunc_normal_(self.tail.weight, std=1e-3, a=-2e-3, b=2e-3)

    def forward(self, x: Tensor) -> Tensor:
        """Recover the bands of each pixel."""
        merged = F.relu(apply_to_branches(self.merge, self.branches, x))
        return self.tail(self.fusion(merged))


METHOD = NetworkMethod(
    card=Card(
        name="hscnnd-plus",
        title="HSCNND++",
        summary="HSCNN-D's dense blocks in two branches and a fusing third, trained with a loss of "
        "differences, structure and edges that its authors found to avoid local minima.",
        reference=_REPORT,
        team="CI Lab",
        year=2020,
        rank={"clean": 9, "real-world": 9},
        reported={
            "clean": Score(mrae=0.03769, rmse=0.01677),
            "real-world": Score(mrae=0.07581, rmse=0.02253),
        },
        decisions=(
            Decision.published(
                "two parallel branches of 30 dense blocks, then a fusion block with 30 more",
                _REPORT,
            ),
            Decision.reading(
                "dense block and head as in HSCNN-D (widths 64, 16, 8, growth 16), which "
                "has six convolutions where the report counts four layers"
            ),
            Decision.reading(
                "the branches are concatenated and merged by a rectified 1x1 layer of 64 "
                "channels; a 1x1 tail gives the bands"
            ),
            Decision.reading("biases, zero padding and initialisation of HSCNN-D"),
        ),
        tiling=Tiling.EXACT,
        tiling_reason="Only convolutions: every pixel sees a bounded neighbourhood.",
        memory_gb=2.5,
    ),
    config=HscnndPlusConfig,
    network=HscnndPlus,
    presets={
        "tiny": {
            "blocks": 3,
            "fusion_blocks": 3,
            "squeeze": 32,
            "branch": 8,
            "projection": 4,
            "growth": 8,
        },
    },
    halo=lambda config: 1 + config.blocks + config.fusion_blocks,
)
