"""AWAN, the adaptive weighted attention network of IPIC_SSR, first on the clean track.

Its second-order non-local module asks every pixel of an image quarter about every other one. That
affinity is written here as scaled dot-product attention, so that it is never held as a matrix.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Score, Tiling
from respectra.methods.network import Count, NetworkConfig, NetworkMethod, OfficialLayout, State
from respectra.methods.networks.blocks import count_matches, reflecting


class AWANConfig(NetworkConfig):
    """Configuration of AWAN; the defaults are the clean track's larger model, 8 blocks of 200."""

    width: Count = 200
    """Channels of the trunk, at least ``reduction``."""
    blocks: Count = 8
    """Dual residual attention blocks."""
    reduction: Count = 16
    """The channel attention's hidden layer has width // reduction units."""
    attention: Literal["exact", "table"] = "exact"
    """``table`` evaluates the non-local module on a grid of queries and interpolates, in
    evaluation mode alone. A sample of pixels is evaluated exactly too: where the two differ by
    more than 1e-4 of the range of values, the grid is refined, up to the exact evaluation. It
    needs three attention channels, 24 to 31 bands, and cannot be exported."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.width < self.reduction:
            raise ValueError(
                f"width = {self.width} leaves no hidden unit; it must be at least the "
                f"reduction, {self.reduction}"
            )
        if self.attention == "table" and self.bands // 8 != 3:
            raise ValueError(
                f"attention 'table' works with 24 to 31 bands, got {self.bands}; use 'exact'"
            )
        return self


class WeightedChannelAttention(nn.Module):
    """AWCA: squeeze by a learned weighting of all positions, two linear layers, sigmoid."""

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        self.score = nn.Conv2d(width, 1, 1, bias=False)
        hidden = width // reduction
        self.gate = nn.Sequential(
            nn.Linear(width, hidden, bias=False), nn.PReLU(), nn.Linear(hidden, width, bias=False)
        )

    def gates(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> what each channel is multiplied by, (n, width, 1, 1)."""
        weights = self.score(x).flatten(2).softmax(dim=-1)
        squeezed = (x.flatten(2) @ weights.mT).squeeze(-1)
        return torch.sigmoid(self.gate(squeezed))[:, :, None, None]

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        return x * self.gates(x)


class DualResidualBlock(nn.Module):
    """DRAB: two streams with residuals of their own, the second one in front of the attention."""

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        self.conv1, self.act1 = reflecting(width, width), nn.PReLU()
        self.conv2, self.act2 = reflecting(width, width), nn.PReLU()
        self.expand, self.expand_act = reflecting(width, width, 5), nn.PReLU()
        self.attention = WeightedChannelAttention(width, reduction)
        self.contract, self.contract_act = reflecting(width, width), nn.PReLU()

    def forward(self, x: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """Both streams (n, width, y, x) -> the next ones."""
        a = self.act2(self.conv2(self.act1(self.conv1(x))) + x)
        r = self.expand_act(self.expand(a) + r)
        del a  # two of these maps are 0.4 GB at full size
        return self.contract_act(self.contract(self.attention(r)) + x), r


class SecondOrderNonLocal(nn.Module):
    """PSNL: each quarter of the image attends to itself by the covariance of pixel embeddings.

    With T (pixels x c) the embedding, the affinity is softmax((T - mean(T)) T' / c), the mean
    taken over the c channels of a pixel. That is dot-product attention with the queries
    (T - mean(T)) / c, the keys T and scale 1, computed in pieces: memory grows with the number
    of pixels and not with its square.
    """

    def __init__(self, bands: int, attention: str = "exact") -> None:
        super().__init__()
        channels = max(1, bands // 8)
        self.table = attention == "table"
        self.theta = nn.Conv2d(bands, channels, 1, bias=False)
        self.g = nn.Conv2d(bands, channels, 1, bias=False)
        self.project = nn.Conv2d(channels, bands, 1, bias=False)
        nn.init.zeros_(self.project.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(n, bands, y, x) -> the same shape; odd sizes leave the larger part at the end."""
        y, z = x.shape[2] // 2, x.shape[3] // 2
        rows = (x[:, :, :y], x[:, :, y:])
        return torch.cat(
            [
                torch.cat([self._quarter(row[..., :z]), self._quarter(row[..., z:])], dim=3)
                for row in rows
            ],
            dim=2,
        )

    def _quarter(self, x: Tensor) -> Tensor:
        # Contiguous (n, 1, pixels, c): other layouts make PyTorch hold the affinity after all.
        key = self.theta(x).flatten(2).mT.unsqueeze(1).contiguous()
        value = self.g(x).flatten(2).mT.unsqueeze(1).contiguous()
        query = (key - key.mean(dim=-1, keepdim=True)) / key.shape[-1]
        out = self._attend(query, key, value).squeeze(1).mT
        n, _, height, width = x.shape
        return x + self.project(out.reshape(n, -1, height, width))

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        by_table = self.table and not self.training
        return (_attend_by_table if by_table else _attend)(query, key, value)


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(query, key, value, scale=1.0)


def _attend_by_table(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The same from the coarsest table that is good enough; the sharper the attention, the finer.

    Good enough is an error of 1e-4 of the range of values on a sample of 512 pixels. On quarters
    of 128 x 128 pixels the largest error over all of them was 3e-5 or less of that range
    (benchmarks/awan_attention.py).
    """
    pixels = query.shape[2]
    sample = slice(None, None, -(-pixels // 512))
    exact = _attend(query[:, :, sample].contiguous(), key, value)
    tolerance = 1e-4 * (value.amax() - value.amin())
    for cells in (32, 64, 128):
        if (cells + 3) ** 2 >= pixels:
            break
        out = _interpolate(query, key, value, cells)
        if bool((out[:, :, sample] - exact).abs().amax() <= tolerance):
            return out
    return _attend(query, key, value)


def _interpolate(query: Tensor, key: Tensor, value: Tensor, cells: int) -> Tensor:
    """Attention for queries of three channels and zero sum, which are points of a plane.

    Attention is a smooth function of the query. It is evaluated at the nodes of a grid that
    covers the queries, and interpolated by cubic polynomials in both directions.
    """
    n, _, pixels, _ = query.shape
    plane = query.new_tensor([[1.0, 1.0], [-1.0, 1.0], [0.0, -2.0]]) / query.new_tensor(
        [2.0**0.5, 6.0**0.5]
    )
    points = query[:, 0] @ plane
    low, high = points.amin(dim=1, keepdim=True), points.amax(dim=1, keepdim=True)
    step = (high - low).clamp_min(1e-12) / cells
    # One node more on each side: a cubic uses two neighbours on either side of a point.
    nodes = torch.arange(-1, cells + 2, device=query.device, dtype=query.dtype)
    side = nodes.numel()
    u = low[..., 0] + nodes * step[..., 0]
    v = low[..., 1] + nodes * step[..., 1]
    grid = torch.stack(
        [u[:, :, None].expand(n, side, side), v[:, None, :].expand(n, side, side)], dim=-1
    )
    table = _attend((grid.flatten(1, 2) @ plane.T).unsqueeze(1).contiguous(), key, value)
    table = table.squeeze(1)
    position = (points - low) / step
    cell = position.floor().clamp(0, cells - 1)
    weights = _cubic(position - cell)
    first = cell.long()
    out = torch.zeros(n, pixels, value.shape[-1], dtype=value.dtype, device=value.device)
    for i in range(4):
        for j in range(4):
            index = (first[..., 0] + i) * side + first[..., 1] + j
            node = table.gather(1, index.unsqueeze(-1).expand(-1, -1, table.shape[-1]))
            out = out + node * (weights[i][..., :1] * weights[j][..., 1:])
    return out.unsqueeze(1)


def _cubic(t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights of the nodes -1, 0, 1, 2 for the cubic through them, at t in [0, 1]."""
    return (
        -t * (t - 1) * (t - 2) / 6,
        (t + 1) * (t - 1) * (t - 2) / 2,
        -(t + 1) * t * (t - 2) / 2,
        (t + 1) * t * (t - 1) / 6,
    )


class AWAN(nn.Module):
    """Adaptive weighted attention network (Li et al., NTIRE 2020)."""

    def __init__(self, config: AWANConfig) -> None:
        super().__init__()
        width = config.width
        self.stem, self.stem_act = reflecting(config.channels_in, width), nn.PReLU()
        self.head = reflecting(width, width)
        self.blocks = nn.ModuleList(
            DualResidualBlock(width, config.reduction) for _ in range(config.blocks)
        )
        self.tail, self.tail_act = reflecting(width, width), nn.PReLU()
        self.output = reflecting(width, config.bands)
        self.non_local = SecondOrderNonLocal(config.bands, config.attention)

    def forward(self, image: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, bands, y, x), y and x at least 3."""
        h = self.head(self.stem_act(self.stem(image)))
        x = r = h
        for block in self.blocks:
            x, r = block(x, r)
        spectra = self.output(self.tail_act(self.tail(x) + h))
        return self.non_local(spectra)


#: Our module -> the authors', longest first.
_NAMES = {
    "stem": "input_conv2D.conv2d",
    "stem_act": "input_prelu2D",
    "head": "head_conv2D.conv2d",
    "tail": "tail_conv2D.conv2d",
    "tail_act": "output_prelu2D",
    "output": "output_conv2D.conv2d",
    "non_local.theta": "tail_nonlocal.non_local.theta",
    "non_local.g": "tail_nonlocal.non_local.g",
    "non_local.project": "tail_nonlocal.non_local.W",
}
_BLOCK_NAMES = {
    "conv1": "conv1.conv2d",
    "act1": "relu1",
    "conv2": "conv2.conv2d",
    "act2": "relu2",
    "expand": "up_conv.conv2d",
    "expand_act": "up_relu",
    "attention.score": "se.conv",
    "attention.gate.0": "se.fc.0",
    "attention.gate.1": "se.fc.1",
    "attention.gate.2": "se.fc.2",
    "contract": "down_conv.conv2d",
    "contract_act": "down_relu",
}


def _key(name: str, config: AWANConfig) -> str:
    module, _, kind = name.rpartition(".")
    if module.startswith("blocks."):
        _, index, part = module.split(".", 2)
        return f"backbone.{index}.{_BLOCK_NAMES[part]}.{kind}"
    return f"{_NAMES[module]}.{kind}"


def _configure(state: State) -> AWANConfig:
    width, channels_in = state["input_conv2D.conv2d.weight"].shape[:2]
    hidden = state["backbone.0.se.fc.0.weight"].shape[0]
    return AWANConfig(
        channels_in=channels_in,
        bands=state["output_conv2D.conv2d.weight"].shape[0],
        width=width,
        blocks=count_matches(state, r"backbone\.(\d+)\."),
        reduction=16 if width // 16 == hidden else width // max(1, hidden),
    )


def _tell_track(state: State, beside: Collection[str]) -> str | None:
    """``exposed`` for 8 x 96, the size of the 2022 toolbox alone; other files do not tell."""
    config = _configure(state)
    return "exposed" if (config.blocks, config.width) == (8, 96) else None


METHOD = NetworkMethod(
    card=Card(
        name="awan",
        title="AWAN",
        summary="Adaptive weighted attention network: dual residual blocks with channel attention "
        "over weighted positions, and non-local attention at the end. The most accurate method of "
        "the clean track in 2020, and one of the slowest.",
        reference="Li et al., Adaptive Weighted Attention Network with Camera Spectral Sensitivity "
        "Prior for Spectral Reconstruction from RGB Images, CVPR Workshops 2020; NTIRE 2020 "
        "report, section 5.1",
        team="IPIC_SSR",
        year=2020,
        rank={"clean": 1, "real-world": 3},
        reported={
            "clean": Score(mrae=0.03010, rmse=0.01293),
            "real-world": Score(mrae=0.06216, rmse=0.01991),
            "arad-1k": Score(mrae=0.2500, rmse=0.0367),
        },
        decisions=(
            Decision.published(
                "Dual residual attention blocks, weighted channel attention, patch-level "
                "second-order non-local module; 8 x 200, 20 x 128 and 10 x 180",
                "report section 5.1 and paper",
            ),
            Decision.code(
                "Reflection padding, no biases, one shared slope in every PReLU, quarters "
                "of the image in the non-local module, zero start of its projection",
                "Deep-imagelab/AWAN: AWAN.py",
            ),
            Decision.code(
                "The second stream is taken before the attention, not after it",
                "Deep-imagelab/AWAN: AWAN.py",
            ),
            Decision.code(
                "Results are clipped at zero alone: the authors compute an upper clip "
                "and overwrite it",
                "Deep-imagelab/AWAN: test scripts",
            ),
        ),
        tiling=Tiling.APPROXIMATE,
        tiling_reason="Channel attention weighs all positions of the image, and each pixel attends "
        "to its whole quarter.",
        size_minimum=3,
        memory_gb=2.2,
        licence_note="The authors' repository states no licence; the toolbox and its weights "
        "are under the MIT licence.",
    ),
    config=AWANConfig,
    network=AWAN,
    presets={
        "20x128": {"width": 128, "blocks": 20},
        "10x180": {"width": 180, "blocks": 10},
        "8x96": {"width": 96, "blocks": 8},
        "tiny": {"width": 16, "blocks": 2},
    },
    official=OfficialLayout(
        configure=_configure,
        key=_key,
        contract={
            "clean": {"clip_low": 0.0},
            "real-world": {"clip_low": 0.0},
            "exposed": {"scaling": "min-max", "clip_low": 0.0, "clip_high": 1.0},
        },
        tell_track=_tell_track,
        source="github.com/Deep-imagelab/AWAN; track exposed: "
        "github.com/caiyuanhao1998/MST-plus-plus",
    ),
)
