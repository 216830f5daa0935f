"""HDNet as the 2022 toolbox has it: residual blocks around one attention to all pixels."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Score, Tiling
from respectra.methods.network import Count, NetworkConfig, NetworkMethod, OfficialLayout
from respectra.methods.networks.blocks import conv2d, count_matches
from respectra.methods.networks.edsr import ResidualBlock

#: Channels of the feature fusion are cut into this many groups.
GROUPS = 4


class HDNetConfig(NetworkConfig):
    """Configuration of HDNet; the defaults are the toolbox's."""

    width: int = Field(default=48, ge=GROUPS, multiple_of=GROUPS)
    """Channels of the trunk, a multiple of 4."""
    blocks: Count = 32
    """Residual blocks before the attention; one less follows it."""


class PixelAndChannelAttention(nn.Module):
    """Two gates on the same features, one a pixel and one a channel, whose results are added.

    Each begins with a weighing of all positions of the image.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = width // 2
        self.channel_score = nn.Conv2d(width, 1, 1, bias=False)
        self.channel_value = nn.Conv2d(width, hidden, 1, bias=False)
        self.channel_gate = nn.Conv2d(hidden, width, 1, bias=False)
        self.pixel_query = nn.Conv2d(width, hidden, 1, bias=False)
        self.pixel_value = nn.Conv2d(width, hidden, 1, bias=False)
        for conv in (self.channel_score, self.channel_value, self.pixel_query, self.pixel_value):
            nn.init.kaiming_normal_(conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        weights = self.channel_score(x).flatten(2).softmax(dim=-1)
        weighed = self.channel_value(x).flatten(2) @ weights.mT
        channel_gate = torch.sigmoid(self.channel_gate(weighed.unsqueeze(-1)))
        mean = self.pixel_query(x).mean(dim=(2, 3))
        scores = mean.unsqueeze(1) @ self.pixel_value(x).flatten(2)
        pixel_gate = torch.sigmoid(scores.softmax(dim=-1)).reshape(x.shape[0], 1, *x.shape[2:])
        return x * pixel_gate + x * channel_gate


class GroupFusion(nn.Module):
    """One group of channels, plus itself times a map whose values add up to 1 over the image."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Conv2d(width, width, 1, groups=width)
        self.scale_norm = nn.BatchNorm2d(width, momentum=0.9)
        self.point = nn.Conv2d(width, 1, 1)
        self.point_norm = nn.BatchNorm2d(1, momentum=0.9)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        y = F.max_pool2d(F.relu(self.scale_norm(self.scale(x))), 3, stride=1, padding=1)
        y = F.relu(self.point_norm(self.point(y)))
        weights = y.flatten(2).softmax(dim=-1).reshape(y.shape)
        return x * weights + x


class HDNet(nn.Module):
    """High-resolution dual-domain network (Hu et al., 2022) without its loss."""

    def __init__(self, config: HDNetConfig) -> None:
        super().__init__()
        width = config.width
        self.head = conv2d(config.channels_in, width)
        self.before = nn.Sequential(*(ResidualBlock(width) for _ in range(config.blocks)))
        self.attention = PixelAndChannelAttention(width)
        self.fusion = nn.ModuleList(GroupFusion(width // GROUPS) for _ in range(GROUPS))
        self.after = nn.Sequential(*(ResidualBlock(width) for _ in range(config.blocks - 1)))
        self.fuse = conv2d(width, width)
        self.tail = conv2d(width, config.bands)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, bands, y, x)."""
        x = self.head(x)
        y = self.attention(self.before(x))
        groups = zip(self.fusion, y.chunk(GROUPS, dim=1), strict=True)
        y = torch.cat([fusion(group) for fusion, group in groups], dim=1)
        return self.tail(self.fuse(self.after(y)) + x)


#: Our layers of the attention and of a group -> the authors'.
_ATTENTION = {
    "channel_score": "conv_q_right",
    "channel_value": "conv_v_right",
    "channel_gate": "conv_up",
    "pixel_query": "conv_q_left",
    "pixel_value": "conv_v_left",
}
_GROUP = {
    "scale": "conv_dws",
    "scale_norm": "bn_dws",
    "point": "conv_point",
    "point_norm": "bn_point",
}


def _key(name: str, config: HDNetConfig) -> str:
    part, *place, kind = name.split(".")
    if part in ("head", "tail"):
        return f"{part}.0.{kind}"
    if part == "attention":
        return f"body.{config.blocks}.{_ATTENTION[place[0]]}.{kind}"
    if part == "fusion":
        return f"body.{config.blocks + 1}.subspaces.{place[0]}.{_GROUP[place[1]]}.{kind}"
    if part == "fuse":
        return f"body.{2 * config.blocks + 1}.{kind}"
    index = int(place[0]) + (config.blocks + 2 if part == "after" else 0)
    return f"body.{index}.body.{0 if place[1] == 'conv1' else 2}.{kind}"


METHOD = NetworkMethod(
    card=Card(
        name="hdnet",
        title="HDNet (2022 toolbox)",
        summary="Two runs of residual blocks with one attention between them that weighs all "
        "pixels of the image, borrowed from snapshot imaging.",
        reference="Hu et al., HDNet: High-resolution Dual-domain Learning for Spectral Compressive "
        "Imaging, CVPR 2022; as adapted with Cai et al., MST++, CVPR Workshops 2022",
        year=2022,
        reported={"arad-1k": Score(mrae=0.2048, rmse=0.0317)},
        decisions=(
            Decision.published(
                "Spatial and spectral attention at high resolution, feature fusion in groups",
                "paper",
            ),
            Decision.code(
                "32 + 31 residual blocks of 48 channels; gates of a pixel and of a "
                "channel added; batch norm of momentum 0.9 in the fusion; biases, zero padding",
                "caiyuanhao1998/MST-plus-plus: train_code/architecture/HDNet.py",
            ),
            Decision.code(
                "The softmax over pixels of the gates and of the fusion is kept as it is, "
                "though on whole frames its values are so small that the gate of a pixel is "
                "1/2 nearly everywhere and the fusion nearly nothing",
                "caiyuanhao1998/MST-plus-plus: train_code/architecture/HDNet.py",
            ),
            Decision.code(
                "Trained without the loss in the frequency domain that the paper adds",
                "caiyuanhao1998/MST-plus-plus: train_code/train.py",
            ),
        ),
        tiling=Tiling.APPROXIMATE,
        tiling_reason="Its attention and its fusion weigh all pixels of the image.",
        memory_gb=0.9,
        licence_note="The toolbox and its published weights are under the MIT licence.",
    ),
    config=HDNetConfig,
    network=HDNet,
    presets={"tiny": {"width": 8, "blocks": 2}},
    official=OfficialLayout(
        configure=lambda state: HDNetConfig(
            channels_in=state["head.0.weight"].shape[1],
            bands=state["tail.0.weight"].shape[0],
            width=state["head.0.weight"].shape[0],
            blocks=(count_matches(state, r"body\.(\d+)\.body\.") + 1) // 2,
        ),
        key=_key,
        contract={"exposed": {"scaling": "min-max", "clip_low": 0.0, "clip_high": 1.0}},
        source="github.com/caiyuanhao1998/MST-plus-plus",
    ),
)
