"""LWRDANet: a small U-net of attention blocks beside a densely connected branch (Image Lab)."""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.card import Card, Decision, Score, Tiling
from respectra.methods.keras_hdf5 import read_keras_weights
from respectra.methods.network import Count, NetworkConfig, NetworkMethod, OfficialLayout, State
from respectra.methods.networks.blocks import GlobalMean, conv2d, pad_to_multiple

_REPOSITORY = "dsabarinathan/LightWeightModel"
_PAPER = "arXiv:2004.06930"


class LwrdanetConfig(NetworkConfig):
    """Configuration of :class:`Lwrdanet`."""

    width: Count = 8
    """Channels of the first level of the U-shape; doubled at each of the two levels below."""
    blocks: tuple[Count, Count, Count, Count, Count] = (2, 2, 2, 2, 1)
    """Attention blocks at encoder 1, encoder 2, bottom, decoder 2 and decoder 1."""
    reduction: Count = 8
    """The channel gate's hidden layer has width / reduction channels."""
    dense_width: Count = 16
    """Channels of each layer of the dense branch."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    norm_momentum: float = Field(default=0.0, ge=0, lt=1)
    """Share of the old moving statistics that each training step keeps (the Keras convention;
    PyTorch's momentum is one minus it). At the authors' 0.0, evaluation uses the statistics of
    the last training batch alone."""

    @model_validator(mode="after")
    def _divisible(self) -> LwrdanetConfig:
        if self.width % self.reduction:
            raise ValueError(
                f"width must be a multiple of reduction; got width {self.width} and reduction "
                f"{self.reduction}"
            )
        return self


class AttentionBlock(nn.Module):
    """Residual block with channel and spatial gates in parallel (the authors' RDAB).

    As published, the three 3 x 3 convolutions have biases although batch normalisation, which
    follows at once, removes any constant: in training their gradient is round-off.
    """

    def __init__(self, width: int, config: LwrdanetConfig) -> None:
        super().__init__()
        norm = partial(nn.BatchNorm2d, width, eps=1e-4, momentum=1 - config.norm_momentum)
        self.left_conv = conv2d(width, width)
        self.left_norm = norm()
        self.norm_in = norm()
        self.conv_a = conv2d(width, width)
        self.norm_a = norm()
        self.conv_b = conv2d(width, width)
        self.norm_b = norm()
        self.mean = GlobalMean()
        self.squeeze = nn.Conv2d(width, width // config.reduction, 1)
        self.excite = nn.Conv2d(width // config.reduction, width, 1)
        self.spatial = conv2d(2, 1, 7, bias=False)
        self.norm_out = norm()

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        left = F.relu(self.left_norm(self.left_conv(x)))
        y = F.relu(self.norm_in(x))
        y = F.relu(self.norm_a(self.conv_a(y)))
        y = F.relu(self.norm_b(self.conv_b(y)))
        maximum = y.amax(dim=(2, 3), keepdim=True)
        channels = torch.sigmoid(self._gate(self.mean(y)) + self._gate(maximum))
        maps = torch.cat([y.mean(dim=1, keepdim=True), y.amax(dim=1, keepdim=True)], dim=1)
        positions = torch.sigmoid(self.spatial(maps))
        return F.relu(self.norm_out(y * channels + y * positions + x + left))

    def _gate(self, pooled: Tensor) -> Tensor:
        return self.excite(F.relu(self.squeeze(pooled)))


class UpConv(nn.ConvTranspose2d):
    """Transposed 3x3 convolution of stride 2 with TensorFlow's "same" alignment.

    It keeps the first 2n of the full 2n + 1 rows and columns; PyTorch's ``padding=1`` with
    ``output_padding=1`` would drop the first ones instead and shift the result by a pixel.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 3, stride=2)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(n, channels_in, y, x) -> (n, channels_out, 2 y, 2 x)."""
        return super().forward(x, output_size)[..., :-1, :-1]


class Level(nn.Module):
    """One level of the U-shape: a convolution to its width, then attention blocks."""

    def __init__(self, conv: nn.Module, width: int, blocks: int, config: LwrdanetConfig) -> None:
        super().__init__()
        self.conv = conv
        self.blocks = nn.Sequential(*(AttentionBlock(width, config) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, y, x) -> (n, width, y', x'), y' and x' as the convolution makes them."""
        return self.blocks(self.conv(x))


class DenseBranch(nn.Module):
    """Convolutions of growing size, each fed by the two before it; all of them make the bands."""

    def __init__(self, channels_in: int, width: int, bands: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, width, 1)
        self.conv2 = conv2d(width, width)
        self.conv3 = conv2d(2 * width, width, 5)
        self.conv4 = conv2d(2 * width, width, 7)
        self.project = conv2d(4 * width, bands, 5)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, bands, y, x)."""
        a = F.relu(self.conv1(x))
        b = F.relu(self.conv2(a))
        c = F.relu(self.conv3(torch.cat([a, b], dim=1)))
        d = F.relu(self.conv4(torch.cat([b, c], dim=1)))
        return self.project(torch.cat([a, b, c, d], dim=1))


class Lwrdanet(nn.Module):
    """LWRDANet (Nathan et al., 2020): U-shape of attention blocks plus a dense branch.

    Two coordinate channels (CoordConv) are appended first: rows, then columns, each from -1 at
    the first to 1 at the last position of what the network is given. They make it a method of
    64 x 64 tiles, on which it was trained and is to be used; other sizes work, padded by
    reflection to multiples of 4.
    """

    def __init__(self, config: LwrdanetConfig) -> None:
        super().__init__()
        w1, w2, w4 = config.width, 2 * config.width, 4 * config.width
        level = partial(Level, config=config)
        channels = config.channels_in + 2
        n = config.blocks
        self.encoder1 = level(conv2d(channels, w1), w1, n[0])
        self.encoder2 = level(conv2d(w1, w2), w2, n[1])
        self.bottom = level(conv2d(w2, w4), w4, n[2])
        self.decoder2 = level(UpConv(w4, w2), w2, n[3])
        self.decoder1 = level(UpConv(2 * w2, w1), w1, n[4])
        self.dropout = nn.Dropout(config.dropout)
        self.project = conv2d(2 * w1, config.bands, 5)
        self.dense = DenseBranch(channels, config.dense_width, config.bands)
        self.output = conv2d(config.bands, config.bands, 5)
        self._initialise()

    def _initialise(self) -> None:
        """The authors' initialisers: orthogonal, He, Glorot or normal by the layer's place."""
        for name, module in self.named_modules():
            if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                continue
            if module.bias is not None:
                nn.init.zeros_(module.bias)
            if re.search(r"(left_conv|conv_a|conv_b)$", name):
                nn.init.orthogonal_(module.weight)
            elif re.search(r"(squeeze|excite|spatial)$", name):
                _keras_he_normal_(module.weight)
            elif re.search(r"(encoder|bottom|decoder)\d?\.conv$", name):
                nn.init.xavier_uniform_(module.weight)
            else:
                nn.init.normal_(module.weight, std=0.05)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, bands, y, x), unclipped."""
        height, width = x.shape[-2:]
        x = append_coordinates(pad_to_multiple(x, 4))
        skip1 = self.encoder1(x)
        skip2 = self.encoder2(F.max_pool2d(skip1, 2))
        y = self.bottom(self.dropout(F.max_pool2d(skip2, 2)))
        y = self.dropout(torch.cat([self.decoder2(y), skip2], dim=1))
        y = self.project(torch.cat([self.decoder1(y), skip1], dim=1))
        return self.output(self.dense(x) + y)[..., :height, :width]


def append_coordinates(x: Tensor) -> Tensor:
    """Append the row and the column coordinate, each linear in [-1, 1] (Liu et al., 2018)."""
    n, _, height, width = x.shape
    rows = torch.linspace(-1, 1, height, dtype=x.dtype, device=x.device)
    columns = torch.linspace(-1, 1, width, dtype=x.dtype, device=x.device)
    rows = rows.view(1, 1, height, 1).expand(n, 1, height, width)
    columns = columns.view(1, 1, 1, width).expand(n, 1, height, width)
    return torch.cat([x, rows, columns], dim=1)


def _keras_he_normal_(weight: Tensor) -> None:
    """Keras' He normal: truncated at two deviations, widened so that the variance is 2/fan-in."""
    std = math.sqrt(2 / weight[0].numel()) / 0.87962566103423978
    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


# The entrant's file: suffixes of Keras' layer names by block: left convolution, left
# normalisation, first dense layer; the others of a block follow in sequence. The jump before the
# last row is a block that the authors defined and never connected.
_KERAS_BLOCKS = {
    "encoder1.blocks.0": (2, 1, 1),
    "encoder1.blocks.1": (6, 6, 3),
    "encoder2.blocks.0": (11, 11, 5),
    "encoder2.blocks.1": (15, 16, 7),
    "bottom.blocks.0": (20, 21, 9),
    "bottom.blocks.1": (24, 26, 11),
    "decoder2.blocks.0": (28, 31, 13),
    "decoder2.blocks.1": (32, 36, 15),
    "decoder1.blocks.0": (40, 46, 19),
}
_KERAS_LAYERS = {
    "encoder1.conv": "conv2d_1",
    "encoder2.conv": "conv2d_10",
    "bottom.conv": "conv2d_19",
    "decoder2.conv": "conv2d_transpose_1",
    "decoder1.conv": "conv2d_transpose_2",
    "project": "K_x_1",
    "dense.conv1": "conv1",
    "dense.conv2": "conv2",
    "dense.conv3": "conv3",
    "dense.conv4": "conv4",
    "dense.project": "K_x",
    "output": "op0",
} | {
    f"{block}.{ours}": f"{kind}_{first + step}"
    for block, (conv, norm, dense) in _KERAS_BLOCKS.items()
    for ours, kind, first, step in (
        ("left_conv", "conv2d", conv, 0),
        ("conv_a", "conv2d", conv, 1),
        ("conv_b", "conv2d", conv, 2),
        ("spatial", "conv2d", conv, 3),
        ("left_norm", "batch_normalization", norm, 0),
        ("norm_in", "batch_normalization", norm, 1),
        ("norm_a", "batch_normalization", norm, 2),
        ("norm_b", "batch_normalization", norm, 3),
        ("norm_out", "batch_normalization", norm, 4),
        ("squeeze", "dense", dense, 0),
        ("excite", "dense", dense, 1),
    )
}
_KERAS_NORM = {
    "weight": "gamma:0",
    "bias": "beta:0",
    "running_mean": "moving_mean:0",
    "running_var": "moving_variance:0",
    "num_batches_tracked": "num_batches_tracked",
}


def _official_key(name: str, config: LwrdanetConfig) -> str:
    module, _, last = name.rpartition(".")
    layer = _KERAS_LAYERS[module]
    if layer.startswith("batch_normalization"):
        return f"{layer}/{_KERAS_NORM[last]}"
    return f"{layer}/{'kernel' if last == 'weight' else last}:0"


def _official_config(state: State) -> LwrdanetConfig:
    first, gate = state["conv2d_1/kernel:0"], state["dense_1/kernel:0"]
    return LwrdanetConfig(
        channels_in=first.shape[2] - 2,
        bands=state["op0/kernel:0"].shape[3],
        width=first.shape[3],
        reduction=gate.shape[0] // gate.shape[1],
        dense_width=state["conv1/kernel:0"].shape[3],
    )


def _from_keras(key: str, tensor: Tensor) -> Tensor:
    """(kh, kw, in, out) -> (out, in, kh, kw), transposed kernels alike; dense -> 1 x 1."""
    if tensor.ndim == 4:
        return tensor.permute(3, 2, 0, 1)
    return tensor.t()[:, :, None, None] if tensor.ndim == 2 else tensor


def _read_official(path: Path) -> State:
    """The entrant's weights. Keras does not count batches, so the counters PyTorch keeps are 0."""
    state = read_keras_weights(path)
    layers = {name.partition("/")[0] for name in state}
    counters = {
        f"{layer}/num_batches_tracked": torch.zeros((), dtype=torch.long)
        for layer in layers
        if layer.startswith("batch_normalization")
    }
    return state | counters


CARD = Card(
    name="lwrdanet",
    title="LWRDANet",
    summary="Light-weight residual dense attention network: a three-level U-shape of gated blocks "
    "beside a densely connected branch, on 64 x 64 tiles. The one entry of the 2020 challenge "
    "whose trained weights are public under a permissive licence.",
    reference=f"Nathan, Uma, Vinothini, Bama and Roomi, {_PAPER}; challenge report 5.12",
    team="Image Lab",
    year=2020,
    rank={"clean": 12},
    reported={"clean": Score(mrae=0.04577, rmse=0.01595)},
    decisions=(
        Decision.code(
            "Layer graph, widths, initialisers, dropout 0.2, batch normalisation with epsilon 1e-4",
            f"{_REPOSITORY}: the Keras file's layer graph",
        ),
        Decision.code(
            "Batch normalisation keeps nothing of the old moving statistics (Keras momentum "
            "0.0): evaluation uses those of the last training batch; option norm_momentum",
            f"{_REPOSITORY}: the Keras file's layer graph",
        ),
        Decision.code(
            "Tiles of 64 x 64 from the top left without overlap; row and column coordinates "
            "run over the tile; input R, G, B / 255; output not clipped",
            f"{_REPOSITORY}: test.py, coord.py",
        ),
        Decision.code(
            "233 059 parameters as published count 1 520 moving statistics; 231 539 are trained",
            f"{_PAPER}, and counted from the graph",
        ),
        Decision.code(
            "In the published weights the U-shaped branch contributes exactly nothing (its "
            "last convolution gets zeros on natural images, and its kernel is below 5.4e-5): they "
            "amount to the dense branch and the output layer, 114 023 parameters. Rectifiers that "
            "died behind batch normalisation without memory are a likely cause; watch for it when "
            "training anew",
            f"{_REPOSITORY}: measured on the published weights",
        ),
    ),
    tiling=Tiling.NATIVE,
    tiling_reason="The coordinate channels and the gates run over one 64 x 64 tile: tiles are cut "
    "from the top left without overlap, incomplete ones are filled with zeros at the bottom and "
    "right and cropped after prediction.",
    size_multiple=4,
    native_tile=64,
    memory_gb=0.7,
    licence_note="Published weights: MIT, copyright 2022 Sabarinathan.",
)


METHOD = NetworkMethod(
    card=CARD,
    config=LwrdanetConfig,
    network=Lwrdanet,
    presets={"tiny": {"width": 4, "blocks": (1, 1, 1, 1, 1), "reduction": 1, "dense_width": 6}},
    official=OfficialLayout(
        configure=_official_config,
        key=_official_key,
        contract={"clean": {}},
        source=_REPOSITORY,
        adapt=_from_keras,
        read=_read_official,
    ),
)
