"""The improved function-mixture network of MDISL-lab (NTIRE 2020), in our reading.

The report names the changes to FMNet: reach by stacked 3x3 convolutions, channel attention after
every branch and every block, a learned 3x3 lift of R, G, B in place of the interpolation. It gives
no numbers: depths, reduction and the number of blocks are ours.
"""

from __future__ import annotations

import functools
import itertools

from torch import Tensor, nn

from respectra.methods.card import Card, Decision, Score, Tiling
from respectra.methods.network import Count, NetworkMethod
from respectra.methods.networks.blocks import SqueezeExcitation, conv2d
from respectra.methods.networks.fmnet import FMNetConfig, FunctionMixture, Mixing, MixtureNetwork


class FMNetPlusConfig(FMNetConfig):
    """Options of the improved FMNet; the defaults are our reading of the report.

    Branch i of a block stacks 2 + 4 i convolutions of side 3.
    """

    blocks: Count = 3
    """Function-mixture blocks before the fusion."""
    reduction: Count = 16
    """Channel attention narrows by this factor."""


class AttendedMixture(nn.Module):
    """A function-mixture block with channel attention on its branches and on its result."""

    def __init__(self, config: FMNetPlusConfig, channels: int, channels_out: int) -> None:
        super().__init__()
        branches = [
            nn.Sequential(
                *_stack(channels, config.width, channels_out, 2 + 4 * i),
                SqueezeExcitation(channels_out, config.reduction),
            )
            for i in range(config.functions)
        ]
        mixing = Mixing(channels, config.width, config.functions)
        self.mixture = FunctionMixture(branches, mixing)
        self.attention = SqueezeExcitation(channels_out, config.reduction)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> (n, channels_out, y, x)."""
        return self.attention(self.mixture(x))


class FMNetPlus(MixtureNetwork):
    """FMNet with attention and a learned lift of R, G, B."""

    def __init__(self, config: FMNetPlusConfig) -> None:
        lift = conv2d(config.channels_in, config.bands)
        super().__init__(config, lift, functools.partial(AttendedMixture, config))


def _stack(channels: int, width: int, channels_out: int, depth: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    sizes = [channels] + [width] * (depth - 1) + [channels_out]
    for a, b in itertools.pairwise(sizes):
        layers += [conv2d(a, b), nn.ReLU()]
    return layers[:-1]


def _halo(config: FMNetPlusConfig) -> int:
    block = max(2 + 4 * (config.functions - 1), 5)  # mixing is five 3x3 convolutions
    return 2 + config.blocks * (1 + block) + 2 * block


_REPORT = "NTIRE 2020 report, section 5.2"

METHOD = NetworkMethod(
    card=Card(
        name="fmnet-plus",
        title="Improved pixel-aware deep function-mixture network",
        summary="Mixes convolution stacks of reach 5, 13 and 21 with weights chosen for every "
        "pixel, with channel attention. Second on both tracks of 2020, as a mean of ten models.",
        reference=_REPORT,
        team="MDISL-lab",
        year=2020,
        rank={"clean": 2, "real-world": 2},
        reported={
            "clean": Score(mrae=0.03075, rmse=0.01268),
            "real-world": Score(mrae=0.06212, rmse=0.01946),
        },
        decisions=(
            Decision.published(
                "reach by stacked 3x3 convolutions, channel attention after every branch "
                "and every block, a 3x3 convolution that lifts R, G, B, late fusion",
                _REPORT,
            ),
            Decision.code(
                "mixing, fusion and output blocks as in the original FMNet",
                "pppLang/FMNetforSSR : FMNet.py",
            ),
            Decision.reading(
                "3 blocks; branches of 2, 6 and 10 convolutions, the reach of the "
                "original's; attention reduction 16; the lift added to the output"
            ),
        ),
        tiling=Tiling.STATISTICS,
        tiling_reason="Channel attention takes means over the whole image, in several layers one "
        "after the other; all else is convolution.",
        memory_gb=1.5,
    ),
    config=FMNetPlusConfig,
    network=FMNetPlus,
    presets={
        "tiny": {"width": 12, "blocks": 2, "functions": 2, "reduction": 2},
        "2-blocks": {"blocks": 2},
        "4-blocks": {"blocks": 4},
    },
    halo=_halo,
)
