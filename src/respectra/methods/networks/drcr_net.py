"""DRCR-Net, third in the 2022 challenge: dense residuals, and channels weighed again and again."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Tiling
from respectra.methods.network import Count, NetworkConfig, NetworkMethod, OfficialLayout, State
from respectra.methods.networks.blocks import (
    GlobalMean,
    conv2d,
    count_matches,
    enlarged,
    pad_to_multiple,
    reflecting,
    rename,
    three_layer_gate,
)


class DRCRNetConfig(NetworkConfig):
    """Configuration of DRCR-Net; the defaults are the authors' in the challenge."""

    width: Count = 100
    """Channels of the trunk."""
    blocks: Count = 10
    """Dense residual blocks."""
    reduction: Count = 8
    """The hidden layers of a channel gate have width // reduction units."""


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


class ChannelGate(nn.Module):
    """CRM: channels times gates from their means, through two hidden layers."""

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        self.mean = GlobalMean()
        self.gate = three_layer_gate(width, max(1, width // reduction))

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        return x * torch.sigmoid(self.gate(self.mean(x).flatten(1)))[:, :, None, None]


class Pair(nn.Module):
    """A 3x3 and a 1x1 convolution side by side."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv3 = conv2d(width, width)
        self.conv1 = conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> (n, 2 * width, y, x)."""
        return torch.cat([self.conv3(x), self.conv1(x)], dim=1)


class Purification(nn.Module):
    """Features at three resolutions, joined and added.

    The lowest resolution uses the convolutions of the middle one, as its authors' code does; its
    own pair stands in their checkpoints without function.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.at_full, self.at_half, self.unused_quarter = Pair(width), Pair(width), Pair(width)
        self.fuse_full = conv2d(2 * width, width)
        self.fuse_half = conv2d(2 * width, width)
        self.fuse_quarter = conv2d(2 * width, width)
        self.join = conv2d(3 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x), y and x multiples of 4 -> the same shape."""
        half = F.avg_pool2d(x, 2)
        full = _leaky(self.fuse_full(self.at_full(x)))
        quarter = _leaky(self.fuse_quarter(self.at_half(F.avg_pool2d(half, 2))))
        half = _leaky(self.fuse_half(self.at_half(half)))
        parts = [full, enlarged(half, 2), enlarged(quarter, 4)]
        return _leaky(self.join(torch.cat(parts, dim=1))) + x


class DenseResidualBlock(nn.Module):
    """Three convolutions down and three up again, with what was before beside it."""

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = (conv2d(width, width) for _ in range(3))
        self.conv4, self.conv5, self.conv6 = (conv2d(2 * width, width) for _ in range(3))
        self.gate1, self.gate2 = (ChannelGate(width, reduction) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        x1 = _leaky(self.conv1(x))
        x2 = _leaky(self.conv2(x1))
        x3 = _leaky(self.conv3(x2))
        gated = self.gate1(x)
        x4 = _leaky(self.conv4(torch.cat([x3, gated], dim=1)))
        x5 = _leaky(self.conv5(torch.cat([x2, x4], dim=1)))
        return _leaky(self.conv6(torch.cat([x1, x5], dim=1))) + self.gate2(gated)


class DRCRNet(nn.Module):
    """Dense residual channel re-calibration network (Li et al., NTIRE 2022)."""

    def __init__(self, config: DRCRNetConfig) -> None:
        super().__init__()
        width = config.width
        self.stem, self.stem_act = reflecting(config.channels_in, width), nn.PReLU()
        self.head = reflecting(width, width)
        self.purify = Purification(width)
        self.blocks = nn.Sequential(
            *(DenseResidualBlock(width, config.reduction) for _ in range(config.blocks))
        )
        self.tail, self.tail_act = reflecting(width, width), nn.PReLU()
        self.output = reflecting(width, config.bands)

    def forward(self, image: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, bands, y, x)."""
        height, width = image.shape[-2:]
        x = self.head(self.stem_act(self.stem(pad_to_multiple(image, 4))))
        x = self.blocks(self.purify(x))
        out = self.output(self.tail_act(self.tail(x)))
        return out[..., :height, :width]


_RENAMING = (
    (r"^stem\.", "input_conv2D.conv2d."),
    (r"^stem_act\.", "input_prelu2D."),
    (r"^head\.", "head_conv2D.conv2d."),
    (r"^tail\.", "tail_conv2D.conv2d."),
    (r"^tail_act\.", "output_prelu2D."),
    (r"^output\.", "output_conv2D.conv2d."),
    (r"^purify\.at_full\.conv(\d)\.", r"denosing.conv0_\1\1."),
    (r"^purify\.at_half\.conv(\d)\.", r"denosing.conv2_\1\1."),
    (r"^purify\.unused_quarter\.conv(\d)\.", r"denosing.conv4_\1\1."),
    (r"^purify\.fuse_full\.", "denosing.conv_0_cat."),
    (r"^purify\.fuse_half\.", "denosing.conv_2_cat."),
    (r"^purify\.fuse_quarter\.", "denosing.conv_4_cat."),
    (r"^purify\.join\.", "denosing.conv_cat."),
    (r"^blocks\.(\d+)\.conv(\d)\.", r"backbone.\1.conv\2.conv2d."),
    (r"^blocks\.(\d+)\.gate(\d)\.gate\.", r"backbone.\1.se\2.fc."),
)


def _configure(state: State) -> DRCRNetConfig:
    width, channels_in = state["input_conv2D.conv2d.weight"].shape[:2]
    hidden = state["backbone.0.se1.fc.0.weight"].shape[0]
    return DRCRNetConfig(
        channels_in=channels_in,
        bands=state["output_conv2D.conv2d.weight"].shape[0],
        width=width,
        blocks=count_matches(state, r"backbone\.(\d+)\."),
        reduction=8 if max(1, width // 8) == hidden else width // hidden,
    )


def _halo(config: DRCRNetConfig) -> int:
    """Two convolutions, 14 of the purification, six convolutions a block, two convolutions.

    At a quarter of the resolution two convolutions and the enlargement reach 13 pixels; the
    convolution that joins the resolutions adds one.
    """
    return 2 + 14 + 6 * config.blocks + 2


METHOD = NetworkMethod(
    card=Card(
        name="drcr-net",
        title="DRCR-Net",
        summary="Dense residual blocks whose channels are weighed again and again by their means, "
        "after features of three resolutions have been purified of noise. Third in the 2022 "
        "challenge.",
        reference="Li et al., DRCR Net: Dense Residual Channel Re-calibration Network with "
        "Non-local Purification for Spectral Super Resolution, CVPR Workshops 2022",
        year=2022,
        decisions=(
            Decision.published(
                "Dense residual blocks with channel re-calibration, and a purification of "
                "features before them",
                "paper",
            ),
            Decision.code(
                "10 blocks of 100 channels; no skip around everything; reflection padding "
                "without biases at the ends, zero padding with biases between",
                "jojolee6513/DRCR-net: train/DRCR.py",
            ),
            Decision.code(
                "The quarter resolution of the purification uses the convolutions of the "
                "half one; its own (100 200 values) are kept without function",
                "jojolee6513/DRCR-net: train/DRCR.py",
            ),
            Decision.reading(
                "Sides that are no multiples of 4 are padded by reflection. The authors "
                "run rows 0-479 and 2-481 of a frame and take the last two from the second; "
                "the means of the two differ"
            ),
            Decision.code(
                "Every image is divided by its own maximum; results are not clipped: the "
                "authors compute a clip and save the cube without it",
                "jojolee6513/DRCR-net: train and test scripts",
            ),
        ),
        tiling=Tiling.STATISTICS,
        tiling_reason="Its only views of the whole image are the means of channels.",
        size_multiple=4,
        memory_gb=1.8,
        licence_note="The authors' repository states no licence.",
    ),
    config=DRCRNetConfig,
    network=DRCRNet,
    presets={"tiny": {"width": 8, "blocks": 1, "reduction": 2}},
    halo=_halo,
    official=OfficialLayout(
        configure=_configure,
        key=lambda name, config: rename(name, _RENAMING),
        contract={"exposed": {"scaling": "maximum"}},
        source="github.com/jojolee6513/DRCR-net",
    ),
    untrained={r"\.unused_quarter\.": "the quarter resolution uses the half one's, as released"},
)
