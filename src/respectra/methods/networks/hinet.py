"""HINet as the 2022 toolbox has it: two U-shapes in a row, half of their channels normalised."""

from __future__ import annotations

import torch
from pydantic import Field
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


class HINetConfig(NetworkConfig):
    """Configuration of HINet; the defaults are the toolbox's."""

    width: Count = 31
    """Channels at full resolution, doubled at every level down."""
    depth: int = Field(default=4, ge=2)
    """Resolutions of a U-shape, each half of the one before."""


class InstanceNorm(nn.Module):
    """Each channel of each image to mean 0 and variance 1, then a gain and an offset.

    The statistics are those of the image in evaluation too. A constant image has no variance; the
    small number beside it then makes the result the offset.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean = GlobalMean()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        x = x - self.mean(x)
        gain = self.weight[:, None, None] * torch.rsqrt(self.mean(x.square()) + 1e-5)
        return x * gain + self.bias[:, None, None]


class ConvBlock(nn.Module):
    """Two 3x3 convolutions beside a 1x1; where ``norm``, half of the channels are normalised."""

    def __init__(self, ci: int, co: int, *, norm: bool) -> None:
        super().__init__()
        self.conv1 = conv2d(ci, co)
        self.norm = InstanceNorm((co + 1) // 2) if norm else None
        self.conv2 = conv2d(co, co)
        self.identity = nn.Conv2d(ci, co, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, ci, y, x) -> (n, co, y, x)."""
        y = self.conv1(x)
        if self.norm is not None:
            half = (y.shape[1] + 1) // 2
            y = torch.cat([self.norm(y[:, :half]), y[:, half:]], dim=1)
        y = F.leaky_relu(self.conv2(F.leaky_relu(y, 0.2)), 0.2)
        return y + self.identity(x)


class UShape(nn.Module):
    """Encoders, decoders and the way between them; ``fused`` takes in those of a U before it."""

    def __init__(self, width: int, depth: int, *, fused: bool) -> None:
        super().__init__()
        scales = [width * 2**level for level in range(depth)]
        upper = scales[:-1]
        self.encoders = nn.ModuleList(
            ConvBlock(scales[max(0, i - 1)], c, norm=True) for i, c in enumerate(scales)
        )
        self.downs = nn.ModuleList(
            nn.Conv2d(c, c, 4, stride=2, padding=1, bias=False) for c in upper
        )
        self.fuse_encoder = nn.ModuleList(conv2d(c, c) for c in upper if fused)
        self.fuse_decoder = nn.ModuleList(conv2d(c, c) for c in upper if fused)
        # From the lowest level up.
        self.ups = nn.ModuleList(nn.ConvTranspose2d(2 * c, c, 2, stride=2) for c in upper[::-1])
        self.skips = nn.ModuleList(conv2d(c, c) for c in upper[::-1])
        self.decoders = nn.ModuleList(ConvBlock(2 * c, c, norm=False) for c in upper[::-1])

    def forward(
        self, x: Tensor, before: tuple[list[Tensor], list[Tensor]] | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Features of all levels but the lowest from encoders and decoders, the finest first."""
        encoded: list[Tensor] = []
        for level, encoder in enumerate(self.encoders):
            x = encoder(x)
            if level == len(self.downs):
                break
            if before is not None:
                x = x + self.fuse_encoder[level](before[0][level])
                x = x + self.fuse_decoder[level](before[1][level])
            encoded.append(x)
            x = self.downs[level](x)
        decoded: list[Tensor] = []
        for i, decoder in enumerate(self.decoders):
            kept = self.skips[i](encoded[-1 - i])
            x = decoder(torch.cat([self.ups[i](x), kept], dim=1))
            decoded.insert(0, x)
        return encoded, decoded


class HINet(nn.Module):
    """Half instance normalization network (Chen et al., 2021)."""

    def __init__(self, config: HINetConfig) -> None:
        super().__init__()
        width, bands = config.width, config.bands
        self.multiple = max(16, 2 ** (config.depth - 1))
        self.conv_in = conv2d(config.channels_in, bands, bias=False)
        self.enter1, self.enter2 = conv2d(bands, width), conv2d(bands, width)
        self.stage1 = UShape(width, config.depth, fused=False)
        self.features, self.image = conv2d(width, width), conv2d(width, bands)
        self.gate = conv2d(bands, width)
        self.join = nn.Conv2d(2 * width, width, 1)
        self.stage2 = UShape(width, config.depth, fused=True)
        self.last = conv2d(width, bands)

    def forward(self, image: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, bands, y, x)."""
        height, width = image.shape[-2:]
        image = self.conv_in(pad_to_multiple(image, self.multiple))
        first = self.stage1(self.enter1(image))
        x = first[1][0]
        # Supervised attention: a first answer gates the features that are handed on.
        gate = torch.sigmoid(self.gate(self.image(x) + image))
        x = self.features(x) * gate + x
        x = self.join(torch.cat([self.enter2(image), x], dim=1))
        x = self.stage2(x, first)[1][0]
        return (self.last(x) + image)[..., :height, :width]


def _halo(config: HINetConfig) -> int:
    """Radius once the statistics are given; positions are counted at full resolution.

    At level i a block reaches 2 * 2**i, a strided 4x4 convolution 2 * 2**i, a transposed 2x2
    convolution 2**i. The longest way is through the lowest level of both U-shapes.
    """
    lowest = config.depth - 1
    u_shape = sum((2 + 2 + 1 + 2) << i for i in range(lowest)) + (2 << lowest)
    # conv_in, enter1, the image and its gate, last.
    return 1 + 1 + u_shape + 2 + u_shape + 1


_RENAMING = (
    (r"^enter([12])\.", r"conv_0\1."),
    (r"^features\.", "sam12.conv1."),
    (r"^image\.", "sam12.conv2."),
    (r"^gate\.", "sam12.conv3."),
    (r"^join\.", "cat12."),
    (r"^stage(\d)\.encoders\.", r"down_path_\1."),
    (r"^stage(\d)\.downs\.(\d+)\.", r"down_path_\1.\2.downsample."),
    (r"^stage(\d)\.fuse_encoder\.(\d+)\.", r"down_path_\1.\2.csff_enc."),
    (r"^stage(\d)\.fuse_decoder\.(\d+)\.", r"down_path_\1.\2.csff_dec."),
    (r"^stage(\d)\.ups\.(\d+)\.", r"up_path_\1.\2.up."),
    (r"^stage(\d)\.skips\.", r"skip_conv_\1."),
    (r"^stage(\d)\.decoders\.(\d+)\.", r"up_path_\1.\2.conv_block."),
    (r"\.conv([12])\.", r".conv_\1."),
    (r"^sam12\.conv_", "sam12.conv"),
)


METHOD = NetworkMethod(
    card=Card(
        name="hinet",
        title="HINet (2022 toolbox)",
        summary="Two U-shapes in a row whose encoders normalise half of their channels image by "
        "image, borrowed from picture restoration. Fast for its size.",
        reference="Chen et al., HINet: Half Instance Normalization Network for Image Restoration, "
        "CVPR Workshops 2021; as adapted with Cai et al., MST++, CVPR Workshops 2022",
        year=2022,
        reported={"arad-1k": Score(mrae=0.2032, rmse=0.0303)},
        decisions=(
            Decision.published(
                "Half instance normalisation, two U-shapes, supervised attention and "
                "fusion of features between them",
                "paper on restoration",
            ),
            Decision.code(
                "31 channels and four levels, padding to a multiple of 16 where 8 would "
                "do, statistics of each image in evaluation too, no orthogonal start",
                "caiyuanhao1998/MST-plus-plus: train_code/architecture/hinet.py",
            ),
            Decision.code(
                "The first U-shape's answer is not supervised",
                "caiyuanhao1998/MST-plus-plus: train_code/train.py",
            ),
        ),
        tiling=Tiling.STATISTICS,
        tiling_reason="Its only view of the whole image are means and variances of channels in the "
        "encoders.",
        size_multiple=16,
        memory_gb=1.2,
        licence_note="The toolbox and its published weights are under the MIT licence.",
    ),
    config=HINetConfig,
    network=HINet,
    presets={"tiny": {"width": 4, "depth": 3}},
    halo=_halo,
    official=OfficialLayout(
        configure=lambda state: HINetConfig(
            channels_in=state["conv_in.weight"].shape[1],
            bands=state["last.weight"].shape[0],
            width=state["conv_01.weight"].shape[0],
            depth=count_matches(state, r"down_path_1\.(\d+)\."),
        ),
        key=lambda name, config: rename(name, _RENAMING),
        contract={"exposed": {"scaling": "min-max", "clip_low": 0.0, "clip_high": 1.0}},
        source="github.com/caiyuanhao1998/MST-plus-plus",
    ),
)
