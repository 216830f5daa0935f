"""FMNet: pixel-aware deep function mixture (Zhang et al., 2020), as its authors ran it.

Every block mixes the outputs of a few convolution branches of different reach, with weights
that a small network chooses for every pixel.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Tiling
from respectra.methods.network import Count, NetworkConfig, NetworkMethod, OfficialLayout
from respectra.methods.networks.blocks import conv2d, count_matches, rename


class FMNetConfig(NetworkConfig):
    """Options of FMNet; the defaults are the configuration of the authors' published run."""

    width: Count = 64
    """Channels between blocks and inside branches."""
    blocks: Count = 2
    """Function-mixture blocks before the fusion; the authors' class defaults to 4, they ran 2."""
    functions: int = Field(default=3, ge=2, le=8)
    """Branches of a block; branch i has convolutions of side 3 + 4 i."""


class Mixing(nn.Module):
    """Weights of ``functions`` branches for every pixel: positive, summing to 1. No biases.

    Args:
        channels: input channels.
        width: hidden channels.
        functions: branches to be weighed.
    """

    def __init__(self, channels: int, width: int, functions: int) -> None:
        super().__init__()
        self.first = conv2d(channels, width, bias=False)
        self.hidden = nn.ModuleList(conv2d(width, width, bias=False) for _ in range(3))
        self.last = conv2d(width, functions, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> (n, functions, y, x)."""
        x = F.relu(self.first(x))
        for layer in self.hidden:
            x = F.relu(layer(x))
        weights = torch.sigmoid(self.last(x))
        return weights / (weights.sum(dim=1, keepdim=True) + 1e-9)


class FunctionMixture(nn.Module):
    """A function-mixture block: the sum of its branches, weighted pixel by pixel."""

    def __init__(self, branches: Sequence[nn.Module], mixing: Mixing) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.mixing = mixing

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels in, y, x) -> (n, channels out, y, x)."""
        weights = self.mixing(x)
        mixture = weights[:, :1] * self.branches[0](x)
        for i, branch in enumerate(list(self.branches)[1:], start=1):
            mixture = mixture + weights[:, i : i + 1] * branch(x)
        return mixture


def spectral_interpolation(channels_in: int, bands: int) -> Tensor:
    """Matrix (bands, channels_in) that interpolates linearly along the channels.

    The channels sit at equal distances over the range of the bands, the first at band 0: for
    R, G, B, red lies at the *shortest* wavelength, as in the authors' code.
    """
    position = torch.linspace(0, channels_in - 1, bands, dtype=torch.float64)[:, None]
    distance = (position - torch.arange(channels_in, dtype=torch.float64)).abs()
    return (1 - distance).clamp(min=0).float()


class Interpolation(nn.Module):
    """:func:`spectral_interpolation` of every pixel."""

    def __init__(self, channels_in: int, bands: int) -> None:
        super().__init__()
        matrix = spectral_interpolation(channels_in, bands)
        self.register_buffer("matrix", matrix[:, :, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, bands, y, x)."""
        return F.conv2d(x, self.get_buffer("matrix"))


class MixtureNetwork(nn.Module):
    """(n, channels_in, y, x) -> (n, bands, y, x), any size; zero padding throughout.

    Args:
        config: of the network.
        lift: gives each pixel a first spectrum, which the network corrects.
        block: makes a function-mixture block from its channels in and out.
    """

    def __init__(
        self, config: FMNetConfig, lift: nn.Module, block: Callable[[int, int], nn.Module]
    ) -> None:
        super().__init__()
        c = config
        self.lift = lift
        self.stem = conv2d(c.bands, c.width, bias=False)
        self.convs = nn.ModuleList(conv2d(c.width, c.width, bias=False) for _ in range(c.blocks))
        self.blocks = nn.ModuleList(block(c.width, c.width) for _ in range(c.blocks))
        self.fusion = block(c.width * c.blocks, c.width)
        self.out = block(c.width, c.bands)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct; see the class."""
        spectrum = self.lift(x)
        f = self.stem(spectrum)
        features = []
        for conv, block in zip(self.convs, self.blocks, strict=True):
            f = block(F.relu(conv(f)))
            features.append(f)
        return self.out(self.fusion(torch.cat(features, dim=1))) + spectrum


class FMNet(MixtureNetwork):
    """Pixel-aware deep function mixture (Zhang et al., 2020)."""

    def __init__(self, config: FMNetConfig) -> None:
        lift = Interpolation(config.channels_in, config.bands)
        super().__init__(config, lift, functools.partial(_block, config))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _block(config: FMNetConfig, channels: int, channels_out: int) -> FunctionMixture:
    width = config.width
    branches = []
    for i in range(config.functions):
        side = 3 + 4 * i
        branches.append(
            nn.Sequential(
                conv2d(channels, width, side),
                nn.ReLU(),
                conv2d(width, channels_out, side),
            )
        )
    return FunctionMixture(branches, Mixing(channels, width, config.functions))


def _halo(config: FMNetConfig) -> int:
    branch = 2 * ((3 + 4 * (config.functions - 1)) // 2)
    block = max(branch, 5)  # mixing is five 3x3 convolutions
    return 1 + config.blocks * (1 + block) + 2 * block


#: Our names -> the authors', applied in this order.
_RENAMES = (
    (r"^stem\.", "input."),
    (r"^convs\.(\d+)\.", r"convs.\1.0.conv."),
    (r"^blocks\.(\d+)\.branches\.", r"dics.\1.base."),
    (r"^blocks\.(\d+)\.mixing\.", r"reps.\1."),
    (r"^fusion\.branches\.", "cdic.base."),
    (r"^fusion\.mixing\.", "crep."),
    (r"^out\.branches\.", "odic.base."),
    (r"^out\.mixing\.", "orep."),
    (r"base\.(\d+)\.0\.", r"base.\1.input."),
    (r"base\.(\d+)\.2\.", r"base.\1.output."),
    (r"\.first\.", ".input."),
    (r"\.hidden\.(\d+)\.", r".conv2.\1.conv."),
    (r"\.last\.", ".output."),
)


_SOURCE = "pppLang/FMNetforSSR"

METHOD = NetworkMethod(
    card=Card(
        name="fmnet",
        title="FMNet",
        summary="Mixes convolutions of reach 3, 7 and 11 with weights chosen for every pixel. The "
        "original that the MDISL-lab entry of 2020 improves on; see fmnet-plus.",
        reference="Zhang et al., Pixel-aware deep function-mixture network, AAAI 2020",
        year=2020,
        decisions=(
            Decision.code(
                "layers, widths, 2 blocks, zero padding, initialisation",
                f"{_SOURCE} : FMNet.py, main.py",
            ),
            Decision.code(
                "linear interpolation of R, G, B to all bands, red at the first band, "
                "where the paper draws bicubic interpolation",
                f"{_SOURCE} : generate_data.py",
            ),
        ),
        tiling=Tiling.EXACT,
        tiling_reason="Only convolutions: an output pixel sees a bounded neighbourhood.",
        memory_gb=1.6,
    ),
    config=FMNetConfig,
    network=FMNet,
    presets={
        "tiny": {"width": 6},
        "4-blocks": {"blocks": 4},
    },
    halo=_halo,
    official=OfficialLayout(
        configure=lambda state: FMNetConfig(
            width=state["input.weight"].shape[0],
            bands=state["input.weight"].shape[1],
            blocks=count_matches(state, r"convs\.(\d+)\.0\.conv\.weight$"),
            functions=state["orep.output.weight"].shape[0],
        ),
        key=lambda name, config: rename(name, _RENAMES),
        contract={"clean": {}, "real-world": {}},
        source=_SOURCE,
    ),
)
