"""LFB: a linear estimate of each spectrum from the known camera, refined by a residual network.

The estimate is not learned. With F (bands x 3) the camera's response and B (bands x 3) a smooth
basis, it is B (Fᵀ B)⁻¹ rgb: the one spectrum in the span of B that the camera sees as that rgb.
"""

from __future__ import annotations

import math
from typing import Literal, Self

import torch
from pydantic import Field, FiniteFloat, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.colour.observers import colour_matching
from respectra.methods.card import Card, Decision, Score, Tiling
from respectra.methods.network import Count, NetworkConfig, NetworkMethod
from respectra.methods.networks.blocks import conv2d

_REPORT = "NTIRE 2020 report, section 5.8"
_FIXUP = "H. Zhang, Y. Dauphin, T. Ma, Fixup initialization, ICLR 2019"

#: Where the bands of the observer below lie, nm: those of the challenge.
_WAVELENGTHS_NM = range(400, 701, 10)
#: Responses of the clean track sum to this over the bands.
_WHITE = 255.0


class LfbConfig(NetworkConfig):
    """Configuration of LFB; the defaults are the hybrid for the clean track."""

    widths: tuple[int, ...] = Field(default=(64, 64, 64, 64), min_length=1)
    """Features of each stage of the refinement."""
    blocks: Count = 2
    """Residual blocks of each stage."""
    estimate: bool = True
    """Whether to start from the linear estimate; without it the network sees the image alone."""
    basis: Literal["cosine", "raised-cosine"] = "cosine"
    """Span of the estimate. ``cosine``: constant, half and whole period over the range, so that
    grey gives a flat spectrum. ``raised-cosine``: three overlapping bells."""
    response: tuple[tuple[FiniteFloat, FiniteFloat, FiniteFloat], ...] | None = None
    """The camera's (R, G, B) at each band; None for the clean track's, with the bands equally
    spaced from 400 to 700 nm."""
    gain: float = Field(default=256.0, gt=0, allow_inf_nan=False)
    """What the response gives for a spectrum s is gain * (value + offset), s @ response. The
    default inverts the clean track's coding, floor(255 * s @ response / 256), at code centres."""
    offset: FiniteFloat = 0.5 / 255
    """See ``gain``."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if min(self.widths) < 1:
            raise ValueError(f"widths must be at least 1; got {self.widths}")
        if self.response is not None and len(self.response) != self.bands:
            raise ValueError(
                f"response needs one (R, G, B) for each of the {self.bands} bands; "
                f"got {len(self.response)}"
            )
        if self.estimate and self.channels_in != 3:
            raise ValueError("channels_in must be 3 for the linear estimate; or estimate = False")
        seen = torch.linalg.matrix_rank(response_of(self).T @ _basis(self))
        if self.estimate and seen < min(3, self.bands):
            raise ValueError("response must tell three smooth spectra apart")
        return self


def response_of(config: LfbConfig) -> Tensor:
    """The camera's response of a configuration, (bands, 3), float64."""
    if config.response is not None:
        return torch.tensor(config.response, dtype=torch.float64, device="cpu")
    # What the R, G and B of the clean track are proportional to.
    observer = colour_matching("cie1964", _WAVELENGTHS_NM)
    table = torch.tensor(observer.tolist(), dtype=torch.float64, device="cpu")
    if config.bands == 1:
        table = table.mean(dim=0, keepdim=True)
    elif config.bands != len(table):
        grid = F.interpolate(table.T[None], config.bands, mode="linear", align_corners=True)
        table = grid[0].T
    return _WHITE * table / table.sum(dim=0)


def _basis(config: LfbConfig) -> Tensor:
    """Three smooth functions of the band, (bands, 3), float64."""
    at = torch.linspace(0, 1, config.bands, dtype=torch.float64, device="cpu")[:, None]
    if config.basis == "cosine":
        return torch.cos(math.pi * at * torch.arange(3, device="cpu"))
    centres = torch.tensor([1 / 6, 1 / 2, 5 / 6], dtype=torch.float64, device="cpu")
    return (1 + torch.cos(2 * math.pi * (at - centres).clamp(-0.5, 0.5))) / 2


def estimate_matrix(config: LfbConfig) -> Tensor:
    """Linear map from R, G, B to the estimated spectrum, (bands, 3), float64.

    With three bands or more, ``response.T @ matrix`` is the identity: the camera sees the estimate
    as what it was computed from. With fewer it is the least-squares solution.
    """
    basis = _basis(config)
    return basis @ torch.linalg.pinv(response_of(config).T @ basis)


class LinearEstimate(nn.Module):
    """The estimate of every pixel, from values as the contract of the clean track gives them."""

    weight: Tensor

    def __init__(self, config: LfbConfig) -> None:
        super().__init__()
        self.gain, self.offset = config.gain, config.offset
        # Not saved: it follows from the configuration, which is.
        weight = torch.tensor(estimate_matrix(config).tolist(), dtype=torch.float64)
        self.register_buffer("weight", weight[:, :, None, None], persistent=False)

    def forward(self, rgb: Tensor) -> Tensor:
        """(n, 3, y, x) -> (n, bands, y, x)."""
        return F.conv2d(self.gain * (rgb + self.offset), self.weight.to(rgb.dtype))


class FixupBlock(nn.Module):
    """Basic block of a residual network without normalisation, with Fixup's scalars."""

    def __init__(self, width_in: int, width: int, branches: int) -> None:
        super().__init__()
        self.first = conv2d(width_in, width, bias=False)
        self.second = conv2d(width, width, bias=False)
        self.shortcut = (
            nn.Conv2d(width_in, width, 1, bias=False) if width != width_in else nn.Identity()
        )
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(1)) for _ in range(4))
        self.scale = nn.Parameter(torch.ones(1))
        _normal(self.first, gain=branches**-0.5)
        nn.init.zeros_(self.second.weight)
        if isinstance(self.shortcut, nn.Conv2d):
            _normal(self.shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width_in, y, x) -> (n, width, y, x)."""
        shifted = x + self.biases[0]
        out = F.relu(self.first(shifted) + self.biases[1])
        out = self.scale * self.second(out + self.biases[2]) + self.biases[3]
        identity = self.shortcut(shifted) if isinstance(self.shortcut, nn.Conv2d) else x
        return F.relu(out + identity)


def _normal(layer: nn.Conv2d, gain: float = 1.0) -> None:
    fan_out = layer.out_channels * math.prod(layer.kernel_size)
    nn.init.normal_(layer.weight, std=gain * math.sqrt(2 / fan_out))


class Lfb(nn.Module):
    """Linear estimate plus refinement; input (n, 3, y, x), output (n, bands, y, x)."""

    def __init__(self, config: LfbConfig) -> None:
        super().__init__()
        self.estimate = LinearEstimate(config) if config.estimate else None
        widths = [width for width in config.widths for _ in range(config.blocks)]
        channels_in = config.bands if config.estimate else config.channels_in
        self.stem = conv2d(channels_in, widths[0])
        self.blocks = nn.Sequential(
            *(
                FixupBlock(width_in, width, len(widths))
                for width_in, width in zip([widths[0], *widths], widths, strict=False)
            )
        )
        self.tail = conv2d(widths[-1], config.bands)
        _normal(self.stem)
        nn.init.zeros_(self.tail.weight)
        for layer in (self.stem, self.tail):
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, rgb: Tensor) -> Tensor:
        """Recover the bands of each pixel."""
        x = rgb if self.estimate is None else self.estimate(rgb)
        refinement = self.tail(self.blocks(F.relu(self.stem(x))))
        return refinement if self.estimate is None else x + refinement


METHOD = NetworkMethod(
    card=Card(
        name="lfb",
        title="LFB",
        summary="Starts from a smooth spectrum that the known camera sees exactly as the image, "
        "and refines it with a small residual network.",
        reference="LFB in Arad et al., NTIRE 2020 challenge on spectral reconstruction",
        team="LFB",
        year=2020,
        rank={"clean": 8, "real-world": 5},
        reported={
            "clean": Score(mrae=0.03633, rmse=0.01690),
            "real-world": Score(mrae=0.06732, rmse=0.02124),
        },
        decisions=(
            Decision.published(
                "a linear estimate from the camera's response and a basis made by hand, "
                "not trained, refined by a ResNet-18",
                _REPORT,
            ),
            Decision.published(
                "Fixup: no normalisation, scalar biases and multipliers, zero last layers",
                f"{_REPORT}; {_FIXUP}",
            ),
            Decision.reading(
                "basis: cosines of zero, half and one period over the bands; the one "
                "combination that the camera sees as the pixel, codes taken at centres"
            ),
            Decision.reading(
                "ResNet-18 without strides, pooling or classifier: 3x3 stem, 8 basic "
                "blocks of width 64, 3x3 tail, added to the estimate; the preset "
                "resnet-widths has 64, 128, 256, 512"
            ),
            Decision.reading(
                "real-world: the network alone on the image, as the report says that the "
                "hybrid is limited to the clean track yet lists a score"
            ),
        ),
        tiling=Tiling.EXACT,
        tiling_reason="The estimate is per pixel and the refinement is convolutions only.",
        memory_gb=1.2,
    ),
    config=LfbConfig,
    network=Lfb,
    presets={
        "resnet-widths": {"widths": (64, 128, 256, 512)},
        "real-world": {"estimate": False},
        "tiny": {"widths": (16, 24)},
    },
    halo=lambda config: 2 + 2 * config.blocks * len(config.widths),
)
