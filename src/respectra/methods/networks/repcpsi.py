"""RepCPSI: convolutions of three branches that merge into one, and gates along rows and columns."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Tiling
from respectra.methods.network import Count, NetworkConfig, NetworkMethod, OfficialLayout
from respectra.methods.networks.blocks import conv2d, count_matches, rename


class RepCPSIConfig(NetworkConfig):
    """Configuration of RepCPSI; the defaults are the authors'."""

    width: Count = 80
    """Channels of the trunk."""
    blocks: Count = 8
    """Residual blocks of two convolutions and a gate."""
    gate_kernel: Count = 7
    """Neighbouring channels that the gates of one look at; an odd number."""
    merged: bool = False
    """Whether each convolution is one kernel instead of three branches: the same answers, less
    than half of the arithmetic. Train with branches, then ``RepCPSI.merge``."""


class Branches(nn.Module):
    """A 1x1 and a 3x3 convolution and a 1x1 after a 3x3, added up."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.point = nn.Conv2d(width, width, 1)
        self.square = conv2d(width, width)
        self.inner = conv2d(width, width)
        self.outer = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        return self.point(x) + self.square(x) + self.outer(self.inner(x))

    def merge(self) -> nn.Conv2d:
        """The one 3x3 convolution that gives the same."""
        width, like = self.square.out_channels, self.square.weight
        merged = nn.Conv2d(width, width, 3, padding=1, device=like.device, dtype=like.dtype)
        convs = (self.point, self.square, self.inner, self.outer)
        point, square, inner, outer = (conv.state_dict() for conv in convs)
        mix = outer["weight"].flatten(1)
        kernel = square["weight"] + F.pad(point["weight"], (1, 1, 1, 1))
        kernel = kernel + torch.einsum("ab,bcyx->acyx", mix, inner["weight"])
        bias = square["bias"] + point["bias"] + mix @ inner["bias"] + outer["bias"]
        merged.load_state_dict({"weight": kernel, "bias": bias})
        return merged


class AxisGate(nn.Module):
    """Gates for each column and for each row of each channel, from their means.

    Each looks at the means of neighbouring channels; one kernel serves all columns, another all
    rows.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.columns = nn.Conv2d(1, 1, (size, 1), padding=(size // 2, 0), bias=False)
        self.rows = nn.Conv2d(1, 1, (1, size), padding=(0, size // 2), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        columns = self.columns(x.mean(dim=2).unsqueeze(1)).transpose(1, 2)
        rows = self.rows(x.mean(dim=3).mT.unsqueeze(1)).permute(0, 3, 2, 1)
        return x * torch.sigmoid(columns) * torch.sigmoid(rows)


class GatedBlock(nn.Module):
    """Two convolutions, a gate, and the input added."""

    def __init__(self, config: RepCPSIConfig) -> None:
        super().__init__()
        self.conv1, self.conv2 = _mixer(config), _mixer(config)
        self.act = nn.PReLU()
        self.gate = AxisGate(config.gate_kernel)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        return x + self.gate(self.conv2(self.act(self.conv1(x))))


def _mixer(config: RepCPSIConfig) -> nn.Module:
    width = config.width
    return conv2d(width, width) if config.merged else Branches(width)


class RepCPSI(nn.Module):
    """Reparameterized coordinate-preserving proximity spectral interaction network (2023)."""

    def __init__(self, config: RepCPSIConfig) -> None:
        super().__init__()
        self.config = config
        self.conv_in = conv2d(config.channels_in, config.width)
        self.blocks = nn.Sequential(*(GatedBlock(config) for _ in range(config.blocks)))
        self.conv_out = conv2d(config.width, config.bands)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, bands, y, x)."""
        x = self.conv_in(x)
        return self.conv_out(self.blocks(x) + x)

    def merge(self) -> RepCPSI:
        """A network that gives the same with every convolution's branches merged into one.

        Its configuration is this one's with ``merged``; a merged network gives a copy of itself.
        """
        merged = RepCPSI(self.config.model_copy(update={"merged": True}))
        state = dict(self.state_dict())
        for name, module in self.named_modules():
            if isinstance(module, Branches):
                branches = [key for key in state if key.startswith(f"{name}.")]
                for key in branches:
                    del state[key]
                for key, tensor in module.merge().state_dict().items():
                    state[f"{name}.{key}"] = tensor
        merged.to(self.conv_in.weight.device, self.conv_in.weight.dtype)
        merged.load_state_dict(state)
        return merged.train(self.training)


_RENAMING = (
    (r"^conv_in\.", "in_conv2D."),
    (r"^conv_out\.", "out_conv2D."),
    (r"^blocks\.(\d+)\.", r"seq_spaspe.\1."),
    (r"conv(\d)\.point\.", r"stage\1_conv.spe_conv."),
    (r"conv(\d)\.square\.", r"stage\1_conv.spa_conv."),
    (r"conv(\d)\.inner\.", r"stage\1_conv.spa_spe_conv.spa."),
    (r"conv(\d)\.outer\.", r"stage\1_conv.spa_spe_conv.spe."),
    (r"\.conv(\d)\.(weight|bias)", r".stage\1_conv.combine_conv.\2"),
    (r"\.act\.", ".relu."),
    (r"gate\.columns\.", "att_spe.gate_h."),
    (r"gate\.rows\.", "att_spe.gate_w."),
)


METHOD = NetworkMethod(
    card=Card(
        name="repcpsi",
        title="RepCPSI",
        summary="Residual blocks whose convolutions have three branches in training and one kernel "
        "afterwards, with gates along rows, columns and neighbouring channels. Merged, it is a "
        "light convolutional network without anything unusual in it.",
        reference="RepCPSI: Coordinate-Preserving Proximity Spectral Interaction Network With "
        "Reparameterization for Lightweight Spectral Super-Resolution, IEEE Transactions on "
        "Geoscience and Remote Sensing, 2023",
        year=2023,
        decisions=(
            Decision.published(
                "Branches that are merged for inference, and gates that keep positions", "paper"
            ),
            Decision.code(
                "8 blocks of 80 channels, gates over 7 channels, biases and zero padding "
                "everywhere, PyTorch's default initialisation",
                "Deep-imagelab/RepCPSI: RepCPSI.py",
            ),
            Decision.code(
                "The merged kernel is that of the 3x3, plus the 1x1 in its middle, plus "
                "the product of the two in a row; exact, as their first has the padding",
                "Deep-imagelab/RepCPSI: RepCPSI.py",
            ),
        ),
        tiling=Tiling.APPROXIMATE,
        tiling_reason="Its gates are means along whole rows and columns of the image.",
        memory_gb=1.1,
        licence_note="The authors' repository states no licence and publishes no weights.",
    ),
    config=RepCPSIConfig,
    network=RepCPSI,
    presets={"merged": {"merged": True}, "tiny": {"width": 8, "blocks": 2}},
    official=OfficialLayout(
        configure=lambda state: RepCPSIConfig(
            channels_in=state["in_conv2D.weight"].shape[1],
            bands=state["out_conv2D.weight"].shape[0],
            width=state["in_conv2D.weight"].shape[0],
            blocks=count_matches(state, r"seq_spaspe\.(\d+)\."),
            gate_kernel=state["seq_spaspe.0.att_spe.gate_h.weight"].shape[2],
            merged="seq_spaspe.0.stage1_conv.combine_conv.weight" in state,
        ),
        key=lambda name, config: rename(name, _RENAMING),
        contract={"clean": {}},
        source="github.com/Deep-imagelab/RepCPSI",
    ),
)
