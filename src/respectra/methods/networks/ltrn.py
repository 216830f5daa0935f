"""LTRN: features as products of low-rank terms that attention finds, on tiles of 64 x 64 pixels."""

from __future__ import annotations

import itertools
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Tiling
from respectra.methods.network import Count, NetworkConfig, NetworkMethod, OfficialLayout, State
from respectra.methods.networks.blocks import (
    Rule,
    channel_correlation,
    conv2d,
    from_one,
    reflect_pad,
    rename,
    split_heads,
)

_SLOPE = 0.2
#: Tiles that pass through the network at once: bounds its memory on large pictures.
_AT_ONCE = 16


class LTRNConfig(NetworkConfig):
    """Configuration of LTRN; the defaults are the authors'."""

    width: int = Field(default=32, ge=4)
    """Channels."""
    heads: Count = 4
    """Heads of every attention; they divide the channels and half a tile's sides."""
    tile_height: int = Field(default=64, ge=8, multiple_of=4)
    """Rows of the tiles that the network works on: its layers have this size."""
    tile_width: int = Field(default=64, ge=8, multiple_of=4)
    """Columns of the tiles."""
    overlap: int = Field(default=32, ge=0)
    """Rows and columns that neighbouring tiles share; their answers are averaged there."""
    far_tile: Literal["always", "once"] = "always"
    """``always``: the last tile of a row counts twice where it falls on the grid of the others, as
    in the authors' code; ``once``: it never does."""
    clamp_tiles: bool = True
    """Limit the answer of each tile to [0, 1] before it is averaged, as the authors' code does.
    A picture of one tile is not limited."""

    @model_validator(mode="after")
    def _divisible(self) -> LTRNConfig:
        axes = (self.width, self.tile_height // 2, self.tile_width // 2)
        if any(axis % self.heads for axis in axes):
            raise ValueError(
                f"{self.heads} heads must divide the width {self.width} and half the tile's sides, "
                f"{axes[1]} and {axes[2]}"
            )
        if self.overlap >= min(self.tile_height, self.tile_width):
            raise ValueError(f"an overlap of {self.overlap} is not less than the tile's sides")
        return self


class AxisAttention(nn.Module):
    """Attention between the entries of one axis, which comes last, by their correlation."""

    def __init__(self, length: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(length, length, bias=False)
        self.to_k = nn.Linear(length, length, bias=False)
        self.to_v = nn.Linear(length, length, bias=False)
        self.rescale = nn.Parameter(torch.ones(heads, 1, 1))
        self.project = nn.Linear(length, length)
        self.position = nn.Sequential(
            conv2d(length, length),
            nn.GELU(),
            conv2d(length, length),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, a, b, length) -> the same shape."""
        v = self.to_v(x)
        correlation = channel_correlation(
            split_heads(self.to_k(x), self.heads), split_heads(self.to_q(x), self.heads)
        )
        mixed = (self.rescale * correlation).softmax(dim=-1) @ split_heads(v, self.heads)
        mixed = mixed.permute(0, 3, 1, 2).reshape(x.shape)
        position = self.position(v.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.project(mixed) + position


class AxisVector(nn.Module):
    """One number in (0, 1) for every entry of an axis, which comes last."""

    def __init__(self, length: int, heads: int) -> None:
        super().__init__()
        self.norm_in = nn.LayerNorm(length)
        self.attention = AxisAttention(length, heads)
        self.norm_out = nn.LayerNorm(length)
        self.project = nn.Conv2d(length, length, 1, bias=False)
        self.score = nn.Conv2d(length, 1, 1, bias=False)
        self.gate = nn.Sequential(
            nn.Linear(length, length // 2, bias=False),
            nn.PReLU(),
            nn.Linear(length // 2, length, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, a, b, length) -> (n, length)."""
        x = self.norm_in(x)
        x = self.norm_out(self.attention(x)) + x
        x = F.leaky_relu(self.project(x.permute(0, 3, 1, 2)), _SLOPE)
        weights = self.score(x).flatten(2).softmax(dim=-1)
        return self.gate((x.flatten(2) * weights).sum(dim=-1))


class RankOneTerm(nn.Module):
    """The product of a vector over channels, one over rows and one over columns."""

    def __init__(self, shape: tuple[int, int, int], heads: int) -> None:
        super().__init__()
        self.channels, self.rows, self.columns = (AxisVector(length, heads) for length in shape)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        channels = self.channels(x.permute(0, 3, 2, 1))
        rows = self.rows(x.permute(0, 1, 3, 2))
        columns = self.columns(x.permute(0, 2, 1, 3))
        return channels[:, :, None, None] * rows[:, None, :, None] * columns[:, None, None, :]


def _plain(channels_in: int, channels_out: int, side: int) -> nn.Conv2d:
    return conv2d(channels_in, channels_out, side, bias=False)


class LowRankBlock(nn.Module):
    """Features times a sum of rank-one terms, each found in what the ones before it left."""

    #: Terms; the authors' code has three written out.
    RANK = 3

    def __init__(self, shape: tuple[int, int, int], heads: int) -> None:
        super().__init__()
        width, half = shape[0], shape[0] // 2
        self.embed = nn.Sequential(
            conv2d(width, width),
            nn.LeakyReLU(_SLOPE),
            conv2d(width, width),
        )
        self.terms = nn.ModuleList(RankOneTerm(shape, heads) for _ in range(self.RANK))
        self.join = conv2d(self.RANK * width, width)
        self.refine = nn.Sequential(
            _plain(width, width, 1),
            nn.ReLU(),
            _plain(width, half, 3),
            nn.ReLU(),
            _plain(half, half, 1),
            nn.LeakyReLU(_SLOPE),
            _plain(half, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) -> the same shape."""
        x = self.embed(x)
        found, left = [], x
        for term in self.terms:
            found.append(term(left))
            left = left - found[-1]
        y = self.join(torch.cat(found, dim=1)) * x
        return F.leaky_relu(y + self.refine(y), _SLOPE)


class TileNetwork(nn.Module):
    """LTRN on tiles of exactly the size that its layers have."""

    def __init__(self, config: LTRNConfig) -> None:
        super().__init__()
        width, bands = config.width, config.bands
        shape = (width, config.tile_height // 2, config.tile_width // 2)
        self.embed = conv2d(config.channels_in, width)
        self.skip = conv2d(config.channels_in, bands)
        self.down = nn.Conv2d(width, width, 4, stride=2, padding=1, bias=False)
        self.first = LowRankBlock(shape, config.heads)
        self.bottleneck = nn.Sequential(
            nn.Conv2d(width, width, 4, stride=2, padding=1, bias=False),
            _plain(width, width, 1),
            nn.LeakyReLU(_SLOPE),
            _plain(width, width, 3),
            nn.LeakyReLU(_SLOPE),
            nn.ConvTranspose2d(width, width, 2, stride=2),
        )
        self.join = _plain(2 * width, width, 1)
        self.second = LowRankBlock(shape, config.heads)
        self.project_first, self.project_second, self.project_embedded = (
            _plain(width, width, 1) for _ in range(3)
        )
        self.up_first = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.up_second = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.inner, self.outer = (self._convolutions(width, out) for out in (width, bands))

    @staticmethod
    def _convolutions(width: int, out: int) -> nn.Sequential:
        return nn.Sequential(
            _plain(width, width, 3),
            nn.LeakyReLU(_SLOPE),
            _plain(width, width, 3),
            _plain(width, out, 3),
        )

    def forward(self, tiles: Tensor) -> Tensor:
        """(n, channels_in, tile_height, tile_width) -> (n, bands, tile_height, tile_width)."""
        embedded = self.embed(tiles)
        first = self.first(self.down(embedded))
        second = self.second(self.join(torch.cat([self.bottleneck(first), first], dim=1)))
        coarse = self.up_second(self.project_first(first)) + self.up_first(
            self.project_second(second)
        )
        detail = self.outer(self.project_embedded(embedded) + self.inner(coarse))
        return self.skip(tiles) + detail


class LTRN(nn.Module):
    """Low-rank tensor reconstruction network: :class:`TileNetwork` on overlapping tiles.

    Pictures below the size of a tile are extended by reflection, which is our reading: the
    authors' code takes none.
    """

    def __init__(self, config: LTRNConfig) -> None:
        super().__init__()
        self.config = config
        self.tile = TileNetwork(config)

    def forward(self, image: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, bands, y, x)."""
        config = self.config
        height, width = image.shape[-2:]
        image = reflect_pad(
            image, 0, max(0, config.tile_width - width), 0, max(0, config.tile_height - height)
        )
        rows = self._starts(image.shape[-2], config.tile_height)
        columns = self._starts(image.shape[-1], config.tile_width)
        if len(set(rows)) == len(set(columns)) == 1:
            return self.tile(image)[..., :height, :width]
        return self._mean(image, list(itertools.product(rows, columns)))[..., :height, :width]

    def _starts(self, length: int, side: int) -> list[int]:
        """Where the tiles begin along one axis."""
        starts = list(range(0, length - side + 1, side - self.config.overlap))
        far = length - side
        return starts if self.config.far_tile == "once" and far in starts else [*starts, far]

    def _mean(self, image: Tensor, corners: list[tuple[int, int]]) -> Tensor:
        """The mean of the tiles that begin at the corners."""
        n, _, height, width = image.shape
        tall, wide = self.config.tile_height, self.config.tile_width
        total = image.new_zeros(n, self.config.bands, height, width)
        count = image.new_zeros(height, width)
        for start in range(0, len(corners), _AT_ONCE):
            some = corners[start : start + _AT_ONCE]
            tiles = torch.cat([image[..., y : y + tall, x : x + wide] for y, x in some])
            spectra = self.tile(tiles)
            if self.config.clamp_tiles:
                spectra = spectra.clamp(0, 1)
            for (y, x), answer in zip(some, spectra.split(n), strict=True):
                total[..., y : y + tall, x : x + wide] += answer
                count[y : y + tall, x : x + wide] += 1
        return total / count


#: Our names within the tile network and the authors', in the order of replacement.
_RENAMING: tuple[Rule, ...] = (
    (r"^tile\.", ""),
    (r"^embed\.", "conv0."),
    (r"^skip\.", "conv00."),
    (r"^down\.", "conv_de."),
    (r"^first\.", "cp1."),
    (r"^second\.", "cp2."),
    (r"^bottleneck\.", "bottleneck1."),
    (r"^join\.", "fusion1."),
    (r"^project_embedded\.", "conv1_fu."),
    (r"^project_first\.", "conv1_fu2."),
    (r"^project_second\.", "conv1_fu3."),
    (r"^up_first\.", "conv_up1."),
    (r"^up_second\.", "conv_up2."),
    (r"^inner\.", "conv1."),
    (r"^outer\.", "conv2."),
    (r"^(cp\d)\.embed\.", r"\1.conv."),
    (r"^(cp\d)\.join\.", r"\1.transformer_DRTLM.conv.0."),
    (r"^(cp\d)\.refine\.0\.", r"\1.resnet.conv1.0."),
    (r"^(cp\d)\.refine\.2\.", r"\1.resnet.conv2.0."),
    (r"^(cp\d)\.refine\.4\.", r"\1.resnet.conv3.0."),
    (r"^(cp\d)\.refine\.6\.", r"\1.resnet.conv3.2."),
    (r"terms\.(\d)\.", from_one("transformer_DRTLM.rtgb{1}.")),
    # The authors call rows w and columns h.
    (r"\.channels\.", ".c."),
    (r"\.rows\.", ".w."),
    (r"\.columns\.", ".h."),
    (r"\.([cwh])\.norm_in\.", r".layernorm_\g<1>0."),
    (r"\.([cwh])\.norm_out\.", r".layernorm_\1."),
    (r"\.([cwh])\.attention\.", r".msa_\1.0."),
    (r"\.([cwh])\.project\.", r".conv_\1.0."),
    (r"\.([cwh])\.score\.", r".rtgb_\g<1>1.conv."),
    (r"\.([cwh])\.gate\.", r".rtgb_\g<1>1.fc."),
    (r"\.project\.", ".proj."),
    (r"\.position\.", ".pos_emb."),
)


def _configure(state: State) -> LTRNConfig:
    width, channels_in = state["conv0.weight"].shape[:2]
    term = "cp1.transformer_DRTLM.rtgb1"
    tile_height, tile_width = (
        2 * state[f"{term}.layernorm_{axis}.weight"].shape[0] for axis in ("w", "h")
    )
    return LTRNConfig(
        channels_in=channels_in,
        bands=state["conv00.weight"].shape[0],
        width=width,
        heads=state[f"{term}.msa_c.0.rescale"].shape[0],
        tile_height=tile_height,
        tile_width=tile_width,
        overlap=min(tile_height, tile_width) // 2,
    )


_SOURCE = "renweidian/LTRN: LTRN.py (UDoubleTransformerCP3)"

METHOD = NetworkMethod(
    card=Card(
        name="ltrn",
        title="LTRN",
        summary="Small network whose features are multiplied by sums of rank-one terms: a vector "
        "over channels, one over rows and one over columns, each found by attention along its "
        "axis. Its layers fit tiles of 64 x 64 pixels alone.",
        reference="Dian et al., Spectral super-resolution via deep low-rank tensor representation "
        "(LTRN), IEEE Transactions on Neural Networks and Learning Systems",
        year=2024,
        decisions=(
            Decision.published(
                "Features as a sum of rank-one terms of a tensor, each found in what the "
                "ones before it left",
                "paper",
            ),
            Decision.code(
                "32 channels, 4 heads, 3 terms, tiles of 64 x 64; prediction every 32 pixels and "
                "once more at the far edges, which counts them twice where they fall on the grid "
                "(far_tile); each tile limited to [0, 1] before the mean (clamp_tiles)",
                _SOURCE,
            ),
            Decision.reading("Pictures below the size of a tile are extended by reflection"),
        ),
        tiling=Tiling.APPROXIMATE,
        tiling_reason="Attention sees the whole of a tile of its own, and a picture that is cut "
        "has its tiles at other places.",
        memory_gb=1.5,
        licence_note="The authors' repository states no licence.",
    ),
    config=LTRNConfig,
    network=LTRN,
    presets={"tiny": {"width": 8, "tile_height": 16, "tile_width": 16, "overlap": 8}},
    official=OfficialLayout(
        configure=_configure,
        key=lambda name, config: rename(name, _RENAMING),
        contract={"clean": {"clip_low": 0.0, "clip_high": 1.0}},
        source="github.com/renweidian/LTRN",
    ),
)
