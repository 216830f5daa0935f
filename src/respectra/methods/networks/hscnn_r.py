"""HSCNN-R: a plain residual network, the usual reference since the 2018 challenge."""

from __future__ import annotations

import math
from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Tiling
from respectra.methods.network import Count, NetworkConfig, NetworkMethod, OfficialLayout
from respectra.methods.networks.blocks import conv2d, count_matches, rename

_CODE = "ss-hyun/HSCNN-R: train/resblock.py (keeps the authors' file; theirs is not public)"


class HscnnRConfig(NetworkConfig):
    """Configuration of :class:`HscnnR`."""

    width: Count = 64
    """Channels of every layer between the first and the last."""
    blocks: Count = 16
    """Residual blocks."""


class ResidualBlock(nn.Module):
    """Two 3x3 layers around a rectifier; the sum with the input is rectified too."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = conv2d(width, width)
        self.conv2 = conv2d(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        return F.relu(x + self.conv2(F.relu(self.conv1(x))))


class ResidualNetwork(nn.Module):
    """Blocks between a first and a last 3x3 layer, with the first one's features added.

    (n, channels_in, y, x) -> (n, bands, y, x); zero padding, biases everywhere.
    """

    def __init__(
        self, channels_in: int, width: int, bands: int, blocks: Iterable[nn.Module]
    ) -> None:
        super().__init__()
        self.head = conv2d(channels_in, width)
        self.blocks = nn.Sequential(*blocks)
        self.fuse = conv2d(width, width)
        self.tail = conv2d(width, bands)

    def forward(self, x: Tensor) -> Tensor:
        """Recover the bands of each pixel."""
        head = self.head(x)
        return self.tail(F.relu(head + self.fuse(self.blocks(head))))


class HscnnR(ResidualNetwork):
    """HSCNN-R (Shi et al., 2018)."""

    def __init__(self, config: HscnnRConfig) -> None:
        blocks = (ResidualBlock(config.width) for _ in range(config.blocks))
        super().__init__(config.channels_in, config.width, config.bands, blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=math.sqrt(2 / (9 * module.out_channels)))


_RENAMING = (
    (r"^head\.", "input_conv."),
    (r"^blocks\.", "conv_seq."),
    (r"^fuse\.", "conv."),
    (r"^tail\.", "output_conv."),
)


METHOD = NetworkMethod(
    card=Card(
        name="hscnn-r",
        title="HSCNN-R",
        summary="A plain residual network, one of the two that won the 2018 challenge, and the "
        "usual reference since. Small, purely convolutional, tiles exactly.",
        reference="Z. Shi et al., HSCNN+: Advanced CNN-based hyperspectral recovery from RGB "
        "images, CVPR Workshops 2018",
        year=2018,
        decisions=(
            Decision.code(
                "3x3 head, 16 residual blocks of width 64 with a rectifier after the "
                "sum, a 3x3 layer, plus the head's features, rectifier, 3x3 tail; biases, zero "
                "padding, weights drawn with variance 2 / (9 output channels)",
                _CODE,
            ),
            Decision.reading(
                "sizes 16x64, 16x256 and 14x64 (blocks x width), averaged with weights "
                "0.4, 0.3 and 0.3, each with its left-right flipped run: read off test scripts "
                "that derive from the authors'"
            ),
        ),
        tiling=Tiling.EXACT,
        tiling_reason="Only 3x3 convolutions: every pixel sees a bounded neighbourhood.",
        memory_gb=1.0,
    ),
    config=HscnnRConfig,
    network=HscnnR,
    presets={
        "16x64": {},
        "16x256": {"width": 256},
        "14x64": {"blocks": 14},
        "tiny": {"width": 32, "blocks": 3},
    },
    halo=lambda config: 2 * config.blocks + 3,
    official=OfficialLayout(
        configure=lambda state: HscnnRConfig(
            channels_in=state["input_conv.weight"].shape[1],
            bands=state["output_conv.weight"].shape[0],
            width=state["input_conv.weight"].shape[0],
            blocks=count_matches(state, r"conv_seq\.(\d+)\."),
        ),
        key=lambda name, _: rename(name, _RENAMING),
        contract={"clean": {}, "real-world": {}},
        source="ss-hyun/HSCNN-R, abse4411/hscnn-plus",
    ),
)
