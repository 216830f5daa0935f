"""MPRNet as the 2022 toolbox has it: a quarter of the image, then a half, then all of it."""

from __future__ import annotations

import functools
import re
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Score, Tiling
from respectra.methods.network import Count, NetworkConfig, NetworkMethod, OfficialLayout, State
from respectra.methods.networks.blocks import (
    GlobalMean,
    Rule,
    conv2d,
    count_matches,
    from_one,
    pad_to_multiple,
    rename,
)

#: Resolutions of an encoder and its decoder.
LEVELS = 3
Features = list[Tensor]


class MPRNetConfig(NetworkConfig):
    """Configuration of MPRNet; the defaults are the toolbox's."""

    width: Count = 31
    """Channels at full resolution of the first two stages."""
    width_step: Count = 31
    """Channels more at every level down."""
    last_step: Count = 31
    """Channels more in the third stage, which stays at full resolution."""
    blocks: Count = 4
    """Channel-attention blocks in each of the three runs of the third stage."""
    cut: Literal["quarters", "never"] = "quarters"
    """Whether the first stage sees quarters of the image and the second one halves, cut in the
    middle of whatever they are given, as in the toolbox; ``never``: both see all of it."""


_conv = functools.partial(conv2d, bias=False)


class ChannelAttentionBlock(nn.Module):
    """CAB: 3x3, PReLU, 3x3, gated by channel, plus the input.

    ``slope`` is the one PReLU of all these blocks of a network.
    """

    def __init__(self, channels: int, slope: nn.PReLU) -> None:
        super().__init__()
        self.conv1 = _conv(channels, channels)
        self.act = slope
        self.conv2 = _conv(channels, channels)
        self.mean = GlobalMean()
        self.squeeze, self.excite = _conv(channels, channels, 1), _conv(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        y = self.conv2(self.act(self.conv1(x)))
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(self.mean(y)))))
        return x + y * gate


class Resize(nn.Module):
    """Bilinear interpolation by a factor of 2 or 1/2, then a 1x1 convolution."""

    def __init__(self, ci: int, co: int, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.conv = _conv(ci, co, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, ci, y, x) -> (n, co, factor * y, factor * x)."""
        x = F.interpolate(x, scale_factor=self.factor, mode="bilinear", align_corners=False)
        return self.conv(x)


class Encoder(nn.Module):
    """Two blocks at each of three levels; ``fused`` takes in the features of the stage before."""

    def __init__(self, scales: list[int], slope: nn.PReLU, *, fused: bool) -> None:
        super().__init__()
        self.levels = nn.ModuleList(_blocks(c, 2, slope) for c in scales)
        self.downs = nn.ModuleList(Resize(scales[i], scales[i + 1], 0.5) for i in range(LEVELS - 1))
        self.fuse_encoder = nn.ModuleList(_conv(c, c, 1) for c in scales if fused)
        self.fuse_decoder = nn.ModuleList(_conv(c, c, 1) for c in scales if fused)

    def forward(self, x: Tensor, before: tuple[Features, Features] | None = None) -> Features:
        """Features of all levels, the finest first."""
        features = []
        for i, level in enumerate(self.levels):
            x = level(x if i == 0 else self.downs[i - 1](x))
            if before is not None:
                x = x + self.fuse_encoder[i](before[0][i]) + self.fuse_decoder[i](before[1][i])
            features.append(x)
        return features


class Decoder(nn.Module):
    """Two blocks at each of three levels, from the lowest up, with skips through a block."""

    def __init__(self, scales: list[int], slope: nn.PReLU) -> None:
        super().__init__()
        self.levels = nn.ModuleList(_blocks(c, 2, slope) for c in scales)
        self.skips = nn.ModuleList(ChannelAttentionBlock(c, slope) for c in scales[:-1])
        self.ups = nn.ModuleList(Resize(scales[i + 1], scales[i], 2) for i in range(LEVELS - 1))

    def forward(self, encoded: Features) -> Features:
        """Features of all levels, the finest first, from those of the encoder."""
        features = [self.levels[-1](encoded[-1])]
        for i in reversed(range(LEVELS - 1)):
            x = self.ups[i](features[0]) + self.skips[i](encoded[i])
            features.insert(0, self.levels[i](x))
        return features


class SupervisedAttention(nn.Module):
    """SAM: an answer of the stage gates the features that it hands on."""

    def __init__(self, width: int, bands: int) -> None:
        super().__init__()
        self.features, self.image = _conv(width, width, 1), _conv(width, bands, 1)
        self.gate = _conv(bands, width, 1)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        """(n, width, y, x) and (n, bands, y, x) -> (n, width, y, x)."""
        gate = torch.sigmoid(self.gate(self.image(x) + image))
        return self.features(x) * gate + x


class FullResolution(nn.Module):
    """ORSNet: runs of blocks at full resolution; behind each, a level of the stage before."""

    def __init__(self, config: MPRNetConfig, scales: list[int], slope: nn.PReLU) -> None:
        super().__init__()
        wide = config.width + config.last_step
        self.runs = nn.ModuleList(
            nn.Sequential(*_blocks(wide, config.blocks, slope), _conv(wide, wide))
            for _ in range(LEVELS)
        )

        def ways() -> nn.ModuleList:
            return nn.ModuleList(
                nn.Sequential(
                    *(Resize(scales[i], scales[i - 1], 2) for i in range(level, 0, -1)),
                    _conv(config.width, wide, 1),
                )
                for level in range(LEVELS)
            )

        self.from_encoder, self.from_decoder = ways(), ways()

    def forward(self, x: Tensor, encoded: Features, decoded: Features) -> Tensor:
        """(n, width + last_step, y, x) -> the same shape."""
        for i, run in enumerate(self.runs):
            x = x + run(x)
            x = x + self.from_encoder[i](encoded[i]) + self.from_decoder[i](decoded[i])
        return x


def _blocks(channels: int, count: int, slope: nn.PReLU) -> nn.Sequential:
    return nn.Sequential(*(ChannelAttentionBlock(channels, slope) for _ in range(count)))


class MPRNet(nn.Module):
    """Multi-stage progressive restoration network (Zamir et al., 2021)."""

    def __init__(self, config: MPRNetConfig) -> None:
        super().__init__()
        width, bands = config.width, config.bands
        scales = [width + level * config.width_step for level in range(LEVELS)]
        slope = nn.PReLU()
        self.cut = config.cut == "quarters"
        self.conv_in = _conv(config.channels_in, bands)
        self.shallow = nn.ModuleList(
            nn.Sequential(_conv(bands, width), ChannelAttentionBlock(width, slope))
            for _ in range(3)
        )
        self.encoder1 = Encoder(scales, slope, fused=False)
        self.decoder1 = Decoder(scales, slope)
        self.attention1 = SupervisedAttention(width, bands)
        self.join1 = _conv(2 * width, width)
        self.encoder2 = Encoder(scales, slope, fused=True)
        self.decoder2 = Decoder(scales, slope)
        self.attention2 = SupervisedAttention(width, bands)
        self.join2 = _conv(2 * width, width + config.last_step)
        self.last = FullResolution(config, scales, slope)
        self.tail = _conv(width + config.last_step, bands)

    def forward(self, image: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, bands, y, x)."""
        height, width = image.shape[-2:]
        image = self.conv_in(pad_to_multiple(image, 8))
        halves = [self._encode_half(half) for half in self._parts(image, 2)]
        encoded = [torch.cat(levels, dim=2) for levels in zip(*halves, strict=True)]
        decoded = self.decoder2(encoded)
        x = torch.cat([self.shallow[2](image), self.attention2(decoded[0], image)], dim=1)
        out = self.tail(self.last(self.join2(x), encoded, decoded)) + image
        return out[..., :height, :width]

    def _encode_half(self, half: Tensor) -> Features:
        """The first stage and the second one's encoder, on the upper or the lower half."""
        quarters = [self.encoder1(self.shallow[0](part)) for part in self._parts(half, 3)]
        encoded = [torch.cat(levels, dim=3) for levels in zip(*quarters, strict=True)]
        decoded = self.decoder1(encoded)
        x = torch.cat([self.shallow[1](half), self.attention1(decoded[0], half)], dim=1)
        features: Features = self.encoder2(self.join1(x), (encoded, decoded))
        return features

    def _parts(self, x: Tensor, axis: int) -> tuple[Tensor, ...]:
        return x.chunk(2, dim=axis) if self.cut else (x,)


def _way(m: re.Match[str]) -> str:
    kind, level, rest = m[1], int(m[2]), m[3]
    if (step := re.match(r"(\d)\.conv\.(.*)", rest)) is None:
        return f"stage3_orsnet.conv_{kind}{level + 1}.{rest.partition('.')[2]}"
    place = f"{step[1]}." if level > 1 else ""
    return f"stage3_orsnet.up_{kind}{level}.{place}up.1.{step[2]}"


_RENAMING: tuple[Rule, ...] = (
    (r"^encoder(\d)\.downs\.(\d)\.conv\.", from_one("stage{0}_encoder.down{2}{3}.down.1.")),
    (r"^decoder(\d)\.ups\.(\d)\.conv\.", from_one("stage{0}_decoder.up{3}{2}.up.1.")),
    (r"^(en|de)coder(\d)\.levels\.(\d)\.", from_one("stage{1}_{0}coder.{0}coder_level{3}.")),
    (r"^decoder(\d)\.skips\.(\d)\.", from_one("stage{0}_decoder.skip_attn{2}.")),
    (r"^encoder(\d)\.fuse_(enc|dec)oder\.(\d)\.", from_one("stage{0}_encoder.csff_{1}{3}.")),
    (r"^shallow\.(\d)\.", from_one("shallow_feat{1}.")),
    (r"^last\.runs\.(\d)\.", from_one("stage3_orsnet.orb{1}.body.")),
    (r"^last\.from_(enc|dec)oder\.(\d)\.(.*)", _way),
    (r"\.conv1\.", ".body.0."),
    (r"\.act\.", ".body.1."),
    (r"\.conv2\.", ".body.2."),
    (r"\.squeeze\.", ".CA.conv_du.0."),
    (r"\.excite\.", ".CA.conv_du.2."),
    (r"^attention1\.", "sam12."),
    (r"^attention2\.", "sam23."),
    (r"^(sam\d\d)\.features\.", r"\1.conv1."),
    (r"^(sam\d\d)\.image\.", r"\1.conv2."),
    (r"^(sam\d\d)\.gate\.", r"\1.conv3."),
    (r"^join1\.", "concat12."),
    (r"^join2\.", "concat23."),
)


def _configure(state: State) -> MPRNetConfig:
    pattern = r"stage3_orsnet\.orb1\.body\.(\d+)\.body\."
    bands, channels_in = state["conv_in.weight"].shape[:2]
    width = state["concat12.weight"].shape[0]
    return MPRNetConfig(
        channels_in=channels_in,
        bands=bands,
        width=width,
        width_step=state["stage1_encoder.down12.down.1.weight"].shape[0] - width,
        last_step=state["concat23.weight"].shape[0] - width,
        blocks=count_matches(state, pattern),
    )


METHOD = NetworkMethod(
    card=Card(
        name="mprnet",
        title="MPRNet (2022 toolbox)",
        summary="Three stages: U-shapes on quarters and on halves of the image, then blocks at "
        "full resolution on all of it; borrowed from picture restoration. Its answer depends on "
        "where the image is cut.",
        reference="Zamir et al., Multi-Stage Progressive Image Restoration, CVPR 2021; as adapted "
        "with Cai et al., MST++, CVPR Workshops 2022",
        year=2022,
        reported={"arad-1k": Score(mrae=0.1817, rmse=0.0270)},
        decisions=(
            Decision.published(
                "Three stages on quarters, halves and the whole image, supervised "
                "attention and fusion of features between them",
                "paper on restoration",
            ),
            Decision.code(
                "31 channels and 31 more at every level, no biases, one PReLU slope for "
                "all blocks, channel attention without a bottleneck",
                "caiyuanhao1998/MST-plus-plus: train_code/architecture/MPRNet.py",
            ),
            Decision.code(
                "Quarters of whatever image it is given, so that crops, tiles and shifts "
                "change the answer (option cut)",
                "caiyuanhao1998/MST-plus-plus: train_code/architecture/MPRNet.py",
            ),
            Decision.code(
                "The answers of the first two stages are not supervised",
                "caiyuanhao1998/MST-plus-plus: train_code/train.py",
            ),
        ),
        tiling=Tiling.APPROXIMATE,
        tiling_reason="It cuts its image in the middle and takes means of quarters and halves.",
        size_multiple=8,
        memory_gb=1.5,
        licence_note="The toolbox and its published weights are under the MIT licence.",
    ),
    config=MPRNetConfig,
    network=MPRNet,
    presets={"tiny": {"width": 4, "width_step": 2, "last_step": 2, "blocks": 1}},
    official=OfficialLayout(
        configure=_configure,
        key=lambda name, config: rename(name, _RENAMING),
        contract={"exposed": {"scaling": "min-max", "clip_low": 0.0, "clip_high": 1.0}},
        source="github.com/caiyuanhao1998/MST-plus-plus",
    ),
)
