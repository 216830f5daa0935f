"""MSFN, a later peer of MST++: attention between bands, then in windows, fused at every scale."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from respectra.methods.card import Card, Decision, Tiling
from respectra.methods.network import Count, NetworkConfig, NetworkMethod, OfficialLayout, State
from respectra.methods.networks.blocks import (
    GlobalMean,
    conv2d,
    count_matches,
    relative_places,
    rename,
)
from respectra.methods.networks.mst_plus_plus import (
    SPECTRAL_BLOCK,
    FeedForward,
    Frame,
    SpectralAttentionBlock,
)

#: Halvings of the resolution within a U-shape.
LEVELS = 2


class MSFNConfig(NetworkConfig):
    """Configuration of MSFN; the defaults are the authors'."""

    width: Count = 31
    """Channels at full resolution and of one attention head; doubled at every level down."""
    stages: Count = 2
    """Pairs of U-shapes in a row."""
    window: int = Field(default=8, ge=2, multiple_of=2)
    """Rows and columns of the windows of the spatial attention; an even number."""


class Fusion(nn.Module):
    """Features of an encoder and of a decoder, each with gates from means and maxima, joined."""

    encoder_mean: nn.Module
    encoder_max: nn.Module
    decoder_mean: nn.Module
    decoder_max: nn.Module
    join: nn.Conv2d

    def forward(self, encoded: Tensor, decoded: Tensor) -> Tensor:
        """Both (n, channels, y, x) -> the same shape."""
        a = self._gate(encoded, self.encoder_mean, self.encoder_max)
        b = self._gate(decoded, self.decoder_mean, self.decoder_max)
        return self.join(torch.cat([encoded, decoded, encoded * a, decoded * b], 1))

    def _gate(self, x: Tensor, of_mean: nn.Module, of_max: nn.Module) -> Tensor:
        raise NotImplementedError


class SpectralFusion(Fusion):
    """A gate for every channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean = GlobalMean()
        self.encoder_mean = nn.Linear(channels, channels)
        self.encoder_max = nn.Linear(channels, channels)
        self.decoder_mean = nn.Linear(channels, channels)
        self.decoder_max = nn.Linear(channels, channels)
        self.join = nn.Conv2d(4 * channels, channels, 1, bias=False)

    def _gate(self, x: Tensor, of_mean: nn.Module, of_max: nn.Module) -> Tensor:
        mean, largest = self.mean(x).flatten(1), x.amax(dim=(2, 3))
        return torch.sigmoid((of_mean(mean) + of_max(largest)) / 2)[:, :, None, None]


class SpatialFusion(Fusion):
    """A gate for every pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.encoder_mean = conv2d(1, 1)
        self.encoder_max = conv2d(1, 1)
        self.decoder_mean = conv2d(1, 1)
        self.decoder_max = conv2d(1, 1)
        self.join = nn.Conv2d(4 * channels, channels, 1, bias=False)

    def _gate(self, x: Tensor, of_mean: nn.Module, of_max: nn.Module) -> Tensor:
        mean, largest = x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)
        return torch.sigmoid((of_mean(mean) + of_max(largest)) / 2)


class WindowAttention(nn.Module):
    """Each pixel attends to those of its window, after a layer norm; windows may be shifted.

    Shifted windows reach around the edges of the picture; what meets there does not attend to each
    other.
    """

    def __init__(self, channels: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.heads, self.window, self.shift = heads, window, shift
        self.norm = nn.LayerNorm(channels)
        self.bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        self.to_qkv = nn.Linear(channels, 3 * channels)
        self.project = nn.Linear(channels, channels)
        for weight in (self.bias_table, self.to_qkv.weight, self.project.weight):
            nn.init.trunc_normal_(weight, std=0.02)
        for linear in (self.to_qkv, self.project):
            nn.init.zeros_(linear.bias)
        self.register_buffer("places", relative_places(window), persistent=False)

    places: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x), y and x multiples of the window -> the same shape."""
        n, _, height, width = x.shape
        y = self.norm(x.permute(0, 2, 3, 1))
        if self.shift:
            y = y.roll((-self.shift, -self.shift), dims=(1, 2))
        qkv = self.to_qkv(_windows(y, self.window))
        windows, tokens, _ = qkv.shape
        q, k, v = qkv.view(windows, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = (q * q.shape[-1] ** -0.5) @ k.mT
        scores = scores + self.bias_table[self.places].permute(2, 0, 1)
        if self.shift:
            apart = _apart(height, width, self.window, self.shift, x.device)
            scores = scores.view(n, -1, *scores.shape[1:]) - 100.0 * apart.unsqueeze(1).to(x.dtype)
            scores = scores.flatten(0, 1)
        out = self.project((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))
        out = _unite(out, self.window, (n, height, width))
        if self.shift:
            out = out.roll((self.shift, self.shift), dims=(1, 2))
        return out.permute(0, 3, 1, 2)


def _windows(x: Tensor, side: int) -> Tensor:
    """(n, y, x, channels) -> (n * windows, side², channels)."""
    n, height, width, channels = x.shape
    x = x.reshape(n, height // side, side, width // side, side, channels)
    return x.transpose(2, 3).reshape(-1, side * side, channels)


def _unite(windows: Tensor, side: int, shape: tuple[int, int, int]) -> Tensor:
    """The reverse of :func:`_windows`; ``shape`` is (n, y, x)."""
    n, height, width = shape
    x = windows.reshape(n, height // side, width // side, side, side, -1)
    return x.transpose(2, 3).reshape(n, height, width, -1)


def _apart(height: int, width: int, window: int, shift: int, device: torch.device) -> Tensor:
    """Whether two pixels of a shifted window come from opposite edges, (windows, p, p)."""
    rows = torch.arange(height, device=device)
    columns = torch.arange(width, device=device)
    down = (rows >= height - window).long() + (rows >= height - shift).long()
    right = (columns >= width - window).long() + (columns >= width - shift).long()
    region = _windows((3 * down[:, None] + right)[None, :, :, None], window).squeeze(-1)
    return region.unsqueeze(1) != region.unsqueeze(2)


class SpatialAttentionBlock(nn.Module):
    """Attention in windows and in shifted windows, then the feed-forward part."""

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.attention = WindowAttention(channels, heads, window, 0)
        self.shifted = WindowAttention(channels, heads, window, window // 2)
        self.feed_forward = FeedForward(channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x), y and x multiples of the window -> the same shape."""
        x = x + self.attention(x)
        x = x + self.shifted(x)
        return x + self.feed_forward(x)


def _ladder(width: int) -> tuple[nn.ModuleList, nn.ModuleList]:
    """The ways down and up between the resolutions, both from the first one taken."""
    scales = [width * 2**level for level in range(LEVELS)]
    downs = nn.ModuleList(nn.Conv2d(c, 2 * c, 4, stride=2, padding=1, bias=False) for c in scales)
    ups = nn.ModuleList(nn.ConvTranspose2d(2 * c, c, 2, stride=2) for c in reversed(scales))
    return downs, ups


class SpectralU(nn.Module):
    """A U-shape of attention between bands."""

    def __init__(self, width: int) -> None:
        super().__init__()
        scales = [2**level for level in range(LEVELS)]
        self.encoders = nn.ModuleList(SpectralAttentionBlock(width * s, s) for s in scales)
        self.downs, self.ups = _ladder(width)
        self.bottleneck = SpectralAttentionBlock(width * 2**LEVELS, 2**LEVELS)
        self.fusions = nn.ModuleList(SpectralFusion(width * s) for s in reversed(scales))
        self.decoders = nn.ModuleList(SpectralAttentionBlock(width * s, s) for s in scales[::-1])

    def forward(self, x: Tensor) -> list[Tensor]:
        """(n, width, y, x) -> features of the bottleneck and decoders, coarsest first."""
        kept = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            kept.append(encoder(x))
            x = down(kept[-1])
        features = [self.bottleneck(x)]
        for up, fusion, decoder in zip(self.ups, self.fusions, self.decoders, strict=True):
            features.append(decoder(fusion(kept.pop(), up(features[-1]))))
        return features


class SpatialU(nn.Module):
    """A U-shape of attention in windows, which takes in the spectral one's features on its way."""

    def __init__(self, width: int, window: int) -> None:
        super().__init__()
        scales = [2**level for level in range(LEVELS)]

        def block(scale: int) -> SpatialAttentionBlock:
            return SpatialAttentionBlock(width * scale, scale, window)

        self.encoders = nn.ModuleList(block(s) for s in scales)
        self.downs, self.ups = _ladder(width)
        self.joins = nn.ModuleList(
            nn.Conv2d(4 * width * s, 2 * width * s, 1, bias=False) for s in scales
        )
        self.bottleneck = block(2**LEVELS)
        self.fusions = nn.ModuleList(SpatialFusion(width * s) for s in reversed(scales))
        self.decoders = nn.ModuleList(block(s) for s in reversed(scales))

    def forward(self, spectral: list[Tensor]) -> Tensor:
        """Features of :class:`SpectralU` -> (n, width, y, x)."""
        spectral = spectral.copy()
        x = spectral.pop()
        kept = []
        for encoder, down, join in zip(self.encoders, self.downs, self.joins, strict=True):
            kept.append(encoder(x))
            x = join(torch.cat([down(kept[-1]), spectral.pop()], dim=1))
        x = self.bottleneck(x)
        for up, fusion, decoder in zip(self.ups, self.fusions, self.decoders, strict=True):
            x = decoder(fusion(kept.pop(), up(x)))
        return x


class Stage(nn.Module):
    """A spectral U-shape, a spatial one on its output, and a residual around both."""

    def __init__(self, width: int, window: int) -> None:
        super().__init__()
        self.embedding = conv2d(width, width, bias=False)
        self.spectral = SpectralU(width)
        self.spatial = SpatialU(width, window)
        self.mapping = conv2d(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x), y and x multiples of 4 windows -> the same shape."""
        return self.mapping(self.spatial(self.spectral(self.embedding(x)))) + x


class MSFN(Frame):
    """Multistage spatial-spectral fusion network (2025)."""

    def __init__(self, config: MSFNConfig) -> None:
        width, window = config.width, config.window
        stages = (Stage(width, window) for _ in range(config.stages))
        super().__init__(config, stages, window * 2**LEVELS, width=width)


def _u_shape(ours: str, theirs: str, mean: str, largest: str) -> tuple[tuple[str, str], ...]:
    """Our names within a U-shape and the authors', who number what goes down and up in one."""
    return (
        (rf"{ours}\.encoders\.(\d)\.", rf"{theirs}_Block_\1.blocks.0."),
        (rf"{ours}\.decoders\.0\.", f"{theirs}_Block_2.blocks.0."),
        (rf"{ours}\.decoders\.1\.", f"{theirs}_Block_3.blocks.0."),
        (rf"{ours}\.bottleneck\.", f"bottleneck_{theirs}.blocks.0."),
        (rf"{ours}\.downs\.(\d)\.", rf"{theirs}_down_\1."),
        (rf"{ours}\.ups\.(\d)\.", rf"{theirs}_up_\1."),
        (rf"{ours}\.joins\.(\d)\.", rf"{theirs}_conv_\1."),
        (rf"{ours}\.fusions\.(\d)\.(en|de)coder_mean\.", rf"{theirs}FM_\1.{mean}."),
        (rf"{ours}\.fusions\.(\d)\.(en|de)coder_max\.", rf"{theirs}FM_\1.{largest}."),
        (rf"{ours}\.fusions\.(\d)\.join\.", rf"{theirs}FM_\1.conv."),
    )


_RENAMING = (
    (r"^stages\.(\d+)\.", r"body.\1."),
    *_u_shape("spectral", "Spectral", r"mlp_gap_\2c.1", r"mlp_gmp_\2c.1"),
    *_u_shape("spatial", "Spatial", r"conv_gap_\2c", r"conv_gmp_\2c"),
)
#: Within the blocks of the spatial U-shape.
_SPATIAL_BLOCK = (
    (r"blocks\.0\.attention\.", "blocks.0.0.attn."),
    (r"blocks\.0\.shifted\.", "blocks.0.1.attn."),
    (r"attn\.norm\.", "norm1."),
    (r"attn\.bias_table", "attn.relative_position_bias_table"),
    (r"attn\.to_qkv\.", "attn.qkv."),
    (r"attn\.project\.", "attn.proj."),
    (r"feed_forward\.norm\.", "2.norm."),
    (r"feed_forward\.expand\.", "2.fn.net.0."),
    (r"feed_forward\.mix\.", "2.fn.net.2."),
    (r"feed_forward\.reduce\.", "2.fn.net.4."),
)


def _key(name: str, config: MSFNConfig) -> str:
    key = rename(name, _RENAMING)
    return rename(key, _SPATIAL_BLOCK if "patial" in key else SPECTRAL_BLOCK)


def _configure(state: State) -> MSFNConfig:
    width, channels_in = state["conv_in.weight"].shape[:2]
    table = "body.0.Spatial_Block_0.blocks.0.0.attn.relative_position_bias_table"
    return MSFNConfig(
        channels_in=channels_in,
        bands=state["conv_out.weight"].shape[0],
        width=width,
        stages=count_matches(state, r"body\.(\d+)\."),
        window=(round(state[table].shape[0] ** 0.5) + 1) // 2,
    )


_INPUT = {"scaling": "min-max", "clip_low": 0.0, "clip_high": 1.0}

METHOD = NetworkMethod(
    card=Card(
        name="msfn",
        title="MSFN",
        summary="Multistage network of two U-shapes a stage: one of attention between bands, as in "
        "MST++, and one of attention in windows that takes in the features of the first; skips are "
        "fused with gates instead of being put side by side.",
        reference="Multistage spatial-spectral fusion network for spectral super-resolution, IEEE "
        "Transactions on Neural Networks and Learning Systems 36(7), 2025",
        year=2025,
        decisions=(
            Decision.published(
                "Spectral and spatial U-shapes in turn, with fusion modules between "
                "encoder and decoder",
                "paper",
            ),
            Decision.code(
                "2 stages of 31 channels, windows of 8 x 8 shifted by 4, no MLP within a window "
                "block but one feed-forward part after both; padding to a multiple of 32 by "
                "reflection; no biases but in the transposed convolutions and the window attention",
                "Matsuri247/MSFN-for-Spectral-Super-Resolution: train_code/architecture/MSFN.py",
            ),
            Decision.code(
                "The mask of shifted windows is made for the picture at hand; the "
                "authors' files hold those of 128 x 128 pixels, which are left out",
                "Matsuri247/MSFN-for-Spectral-Super-Resolution: train_code/architecture/MSFN.py",
            ),
        ),
        tiling=Tiling.APPROXIMATE,
        tiling_reason="Attention between bands correlates them over the whole image, and the gates "
        "of channels look at its largest values.",
        size_multiple=32,
        memory_gb=2.0,
        licence_note="The authors' repository states no licence.",
    ),
    config=MSFNConfig,
    network=MSFN,
    presets={"tiny": {"width": 6, "stages": 1}},
    official=OfficialLayout(
        configure=_configure,
        key=_key,
        contract={"clean": _INPUT, "exposed": _INPUT},
        source="github.com/Matsuri247/MSFN-for-Spectral-Super-Resolution",
        ignored=(r"\.attn_mask$", r"\.relative_position_index$"),
    ),
)
