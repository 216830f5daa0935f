"""StaffsCVL: a U-Net that weighs learned basis functions (NTIRE 2020), in our reading.

The network gives a few coefficients for every pixel; a free matrix turns them into a spectrum. The
cube has therefore no higher rank than there are basis functions.
"""

from __future__ import annotations

import itertools

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Score, Tiling
from respectra.methods.network import Count, NetworkConfig, NetworkMethod
from respectra.methods.networks.blocks import conv2d, pad_to_multiple


class StaffsCVLConfig(NetworkConfig):
    """Options of StaffsCVL; the defaults are our reading of the report."""

    width: Count = 64
    """Channels at full size; doubled at every contracting step."""
    steps: int = Field(default=4, ge=1, le=4)
    """Contracting steps, each to half the size."""
    rank: Count = 10
    """Basis functions, and coefficients a pixel."""
    resize_to: int | None = Field(default=None, ge=16, multiple_of=16)
    """None: images are padded by reflection. A number: they are resized to a square of that side,
    and the coefficients back, as the authors did with 512."""


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions with ReLU: (n, channels, y, x) -> (n, channels_out, y, x)."""

    def __init__(self, channels: int, channels_out: int) -> None:
        super().__init__(
            conv2d(channels, channels_out),
            nn.ReLU(),
            conv2d(channels_out, channels_out),
            nn.ReLU(),
        )


class StaffsCVL(nn.Module):
    """(n, channels_in, y, x) -> (n, bands, y, x), any size: ``coefficients(x)`` times ``basis``.

    It is a :class:`~respectra.methods.network.LowRankNetwork`.
    """

    def __init__(self, config: StaffsCVLConfig) -> None:
        super().__init__()
        widths = [config.width * 2**i for i in range(config.steps + 1)]
        self.resize_to = config.resize_to
        self.enter = DoubleConv(config.channels_in, widths[0])
        self.contract = nn.ModuleList(DoubleConv(a, b) for a, b in itertools.pairwise(widths))
        widths.reverse()
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in itertools.pairwise(widths)
        )
        self.expand = nn.ModuleList(DoubleConv(2 * b, b) for b in widths[1:])
        self.weigh = nn.Conv2d(config.width, config.rank, 1)
        # Behind a property: a protocol with attributes does not see a module's parameters.
        self.basis_functions = nn.Parameter(0.1 * torch.randn(config.rank, config.bands))

    @property
    def basis(self) -> Tensor:
        """The basis functions, (rank, bands)."""
        return self.basis_functions

    def coefficients(self, x: Tensor) -> Tensor:
        """Weights of the basis functions: (n, channels_in, y, x) -> (n, rank, y, x)."""
        size = height, width = x.shape[-2:]
        if self.resize_to is None:
            return self._unet(pad_to_multiple(x, 2 ** len(self.contract)))[..., :height, :width]
        side = (self.resize_to, self.resize_to)
        resized = F.interpolate(x, side, mode="bilinear", align_corners=False)
        weights = self._unet(resized)
        return F.interpolate(weights, size, mode="bilinear", align_corners=False)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct; see the class."""
        return F.conv2d(self.coefficients(x), self.basis.T[:, :, None, None])

    def _unet(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        skips = [x]
        for contract in self.contract:
            # Linear interpolation to half the size is the mean of two by two.
            x = contract(F.avg_pool2d(x, 2))
            skips.append(x)
        x = skips.pop()
        for up, expand in zip(self.up, self.expand, strict=True):
            x = expand(torch.cat([skips.pop(), up(x)], dim=1))
        return self.weigh(x)


def _halo(config: StaffsCVLConfig) -> int | None:
    """Follow the pixels that one pixel can change down the grids and up again."""
    if config.resize_to is not None:
        return None
    reach = 0
    for pixel in range(2**config.steps):
        low = high = pixel
        for _ in range(config.steps):
            low, high = (low - 2) // 2, (high + 2) // 2
        low, high = low - 2, high + 2
        for _ in range(config.steps):
            low, high = 2 * low - 2, 2 * high + 1 + 2
        reach = max(reach, pixel - low, high - pixel)
    return reach


_REPORT = "NTIRE 2020 report, section 5.10"

METHOD = NetworkMethod(
    card=Card(
        name="staffs-cvl",
        title="RGB to spectral reconstruction via learned basis functions and weights",
        summary="A U-Net gives 10 coefficients a pixel, and 10 learned spectra make the cube of "
        "them: little output to write, and smooth spectra by construction.",
        reference=f"{_REPORT}; Fubara, Sedky and Dyke, CVPR Workshops 2020",
        team="StaffsCVL",
        year=2020,
        rank={"clean": 10, "real-world": 8},
        reported={
            "clean": Score(mrae=0.04401, rmse=0.01978),
            "real-world": Score(mrae=0.07141, rmse=0.02173),
        },
        decisions=(
            Decision.published(
                "U-Net of four contracting steps with linear down-sampling and direct "
                "concatenation; 10 coefficients a pixel; a free 10 x 31 matrix",
                _REPORT,
            ),
            Decision.reading(
                "widths 64 to 1024, two 3x3 convolutions with ReLU a level, transposed "
                "convolutions, no activation on the coefficients, start of the basis"
            ),
            Decision.reading(
                "reflection padding to multiples of 16; the authors resized images to "
                "512 x 512 (option resize_to), which changes the scale of what is seen"
            ),
        ),
        tiling=Tiling.EXACT,
        tiling_reason="Only convolutions on grids that halve four times: tiles that start at "
        "multiples of 16 see the same neighbourhoods.",
        size_multiple=16,
        memory_gb=1.2,
    ),
    config=StaffsCVLConfig,
    network=StaffsCVL,
    presets={"tiny": {"width": 6, "steps": 3}, "half-width": {"width": 32}},
    halo=_halo,
)
