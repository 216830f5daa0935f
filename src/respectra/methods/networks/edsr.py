"""EDSR as the 2022 toolbox has it: plain residual blocks, without the enlargement at the end."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Score, Tiling
from respectra.methods.network import Count, NetworkConfig, NetworkMethod, OfficialLayout
from respectra.methods.networks.blocks import conv2d, count_matches


class EDSRConfig(NetworkConfig):
    """Configuration of EDSR; the defaults are the toolbox's."""

    width: Count = 64
    """Channels of the trunk."""
    blocks: Count = 32
    """Residual blocks."""


class ResidualBlock(nn.Module):
    """3x3, ReLU, 3x3, plus the input; nothing is scaled."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = conv2d(width, width)
        self.conv2 = conv2d(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        return x + self.conv2(F.relu(self.conv1(x)))


class EDSR(nn.Module):
    """Enhanced deep residual network (Lim et al., 2017), every layer at full resolution."""

    def __init__(self, config: EDSRConfig) -> None:
        super().__init__()
        width = config.width
        self.head = conv2d(config.channels_in, width)
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(config.blocks)))
        self.fuse = conv2d(width, width)
        self.tail = conv2d(width, config.bands)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, bands, y, x)."""
        x = self.head(x)
        return self.tail(self.fuse(self.blocks(x)) + x)


def _key(name: str, config: EDSRConfig) -> str:
    layer, *place, kind = name.split(".")
    if layer == "blocks":
        index, conv = place
        return f"body.{index}.body.{0 if conv == 'conv1' else 2}.{kind}"
    return f"body.{config.blocks}.{kind}" if layer == "fuse" else f"{layer}.0.{kind}"


METHOD = NetworkMethod(
    card=Card(
        name="edsr",
        title="EDSR (2022 toolbox)",
        summary="Residual blocks of two convolutions at full resolution, borrowed from "
        "super-resolution. The plainest network of the 2022 toolbox, and the only one beside "
        "HSCNN+ and its HRNet that looks at a bounded neighbourhood.",
        reference="Lim et al., Enhanced Deep Residual Networks for Single Image Super-Resolution, "
        "CVPR Workshops 2017; as adapted with Cai et al., MST++, CVPR Workshops 2022",
        year=2022,
        reported={"arad-1k": Score(mrae=0.3277, rmse=0.0437)},
        decisions=(
            Decision.published(
                "Residual blocks without normalisation", "paper on super-resolution"
            ),
            Decision.code(
                "32 blocks of 64 channels, residuals not scaled, no enlargement, biases, "
                "zero padding, PyTorch's default initialisation",
                "caiyuanhao1998/MST-plus-plus: train_code/architecture/edsr.py",
            ),
        ),
        tiling=Tiling.EXACT,
        tiling_reason="Only convolutions: every pixel sees a bounded neighbourhood.",
        memory_gb=0.8,
        licence_note="The toolbox and its published weights are under the MIT licence.",
    ),
    config=EDSRConfig,
    network=EDSR,
    presets={"tiny": {"width": 12, "blocks": 3}},
    halo=lambda config: 2 * config.blocks + 3,
    official=OfficialLayout(
        configure=lambda state: EDSRConfig(
            channels_in=state["head.0.weight"].shape[1],
            bands=state["tail.0.weight"].shape[0],
            width=state["head.0.weight"].shape[0],
            blocks=count_matches(state, r"body\.(\d+)\.body\."),
        ),
        key=_key,
        contract={"exposed": {"scaling": "min-max", "clip_low": 0.0, "clip_high": 1.0}},
        source="github.com/caiyuanhao1998/MST-plus-plus",
    ),
)
