"""HSCNN+ as the 2022 toolbox has it: one wide branch of dense-fusion blocks without biases."""

from __future__ import annotations

from torch import Tensor, nn

from respectra.methods.card import Card, Decision, Score, Tiling
from respectra.methods.network import Count, NetworkMethod, OfficialLayout, State
from respectra.methods.networks.blocks import (
    DenseFusionConfig,
    DenseFusionHead,
    count_matches,
    dense_fusion_blocks,
)

_REPOSITORY = "caiyuanhao1998/MST-plus-plus"
_CODE = f"{_REPOSITORY}: train_code/architecture/HSCNN_Plus.py"


class HscnnPlusConfig(DenseFusionConfig):
    """Configuration of :class:`HscnnPlus`; the defaults are the toolbox's."""

    blocks: Count = 30
    squeeze: Count = 128
    branch: Count = 32
    projection: Count = 16
    growth: Count = 32


class HscnnPlus(nn.Module):
    """The toolbox's HSCNN+: head, dense-fusion blocks, one 1x1 layer; no bias anywhere.

    (n, channels_in, y, x) -> (n, bands, y, x). Without biases it is positively homogeneous:
    twice the input gives twice the spectra.
    """

    def __init__(self, config: HscnnPlusConfig) -> None:
        super().__init__()
        width = 4 * config.branch + config.blocks * config.growth
        self.head = DenseFusionHead(config, bias=False)
        self.blocks = dense_fusion_blocks(config, config.blocks, bias=False)
        self.tail = nn.Conv2d(width, config.bands, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Recover the bands of each pixel."""
        return self.tail(self.blocks(self.head(x)))


_AUTHORS = {
    "squeeze": "conv1",
    "up1": "conv_up1",
    "up2": "conv_up2",
    "down1": "conv_down1",
    "down2": "conv_down2",
    "fuse": "conv_fution",
}


def _official_key(name: str, _: HscnnPlusConfig) -> str:
    if name.startswith("tail."):
        return name.replace("tail", "conv_out")
    *place, layer, kind = name.split(".")
    if place[0] == "head":
        return f"ddfn.{_AUTHORS[layer]}.{kind}"
    return f"ddfn.dfus_blocks.{place[1]}.{_AUTHORS[layer]}.{kind}"


def _official_config(state: State) -> HscnnPlusConfig:
    first = "ddfn.dfus_blocks.0"
    return HscnnPlusConfig(
        channels_in=state["ddfn.conv_up1.weight"].shape[1],
        bands=state["conv_out.weight"].shape[0],
        blocks=count_matches(state, r"ddfn\.dfus_blocks\.(\d+)\."),
        squeeze=state[f"{first}.conv1.weight"].shape[0],
        branch=state[f"{first}.conv_up1.weight"].shape[0],
        projection=state[f"{first}.conv_up2.weight"].shape[0],
        growth=state[f"{first}.conv_fution.weight"].shape[0],
    )


METHOD = NetworkMethod(
    card=Card(
        name="hscnn-plus",
        title="HSCNN+ (2022 toolbox)",
        summary="The 2022 toolbox's reading of HSCNN-D: a single wide dense branch without biases. "
        "Weights from that toolbox stretch every image to its own range, so that exposure is lost.",
        reference="Z. Shi et al., HSCNN+, CVPR Workshops 2018; as re-implemented with Y. Cai et "
        "al., MST++, CVPR Workshops 2022",
        year=2022,
        reported={"arad-1k": Score(mrae=0.3814, rmse=0.0588)},
        decisions=(
            Decision.code(
                "one branch of 30 dense-fusion blocks (widths 128, 32, 16, growth 32), "
                "1x1 tail, no biases, zero padding, PyTorch's default initialisation",
                _CODE,
            ),
            Decision.code(
                "input R, G, B stretched to [0, 1] image by image",
                f"{_REPOSITORY}: train_code/hsi_dataset.py",
            ),
        ),
        tiling=Tiling.EXACT,
        tiling_reason="Only convolutions: every pixel sees a bounded neighbourhood.",
        memory_gb=3.5,
        licence_note="The toolbox and its published weights: MIT.",
    ),
    config=HscnnPlusConfig,
    network=HscnnPlus,
    presets={
        "tiny": {"blocks": 3, "squeeze": 32, "branch": 8, "projection": 4, "growth": 8},
    },
    halo=lambda config: config.blocks + 1,
    official=OfficialLayout(
        configure=_official_config,
        key=_official_key,
        contract={"exposed": {"scaling": "min-max", "clip_low": 0.0, "clip_high": 1.0}},
        source=_REPOSITORY,
    ),
)
