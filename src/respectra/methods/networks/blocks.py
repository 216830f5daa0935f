"""What several networks share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.methods.network import Count, NetworkConfig


def conv2d(ci: int, co: int, size: int = 3, *, bias: bool = True) -> nn.Conv2d:
    """A convolution that keeps the size of the picture, with zeros around it."""
    return nn.Conv2d(ci, co, size, padding=size // 2, bias=bias)


def reflecting(ci: int, co: int, size: int = 3) -> nn.Conv2d:
    """The same with the picture reflected at its edges, without biases."""
    return nn.Conv2d(ci, co, size, padding=size // 2, padding_mode="reflect", bias=False)


def depthwise(channels: int, size: int = 3, *, bias: bool = True) -> nn.Conv2d:
    """The same as :func:`conv2d` for each channel by itself."""
    return nn.Conv2d(channels, channels, size, padding=size // 2, groups=channels, bias=bias)


#: What is replaced in the names of tensors, and by what.
Rule = tuple[str, str | Callable[[re.Match[str]], str]]


class GlobalMean(nn.Module):
    """Mean over all positions, (n, c, y, x) -> (n, c, 1, 1).

    Every whole-image mean of a network passes through a module of this class: that is how the
    tiler finds it and replaces the mean of a tile with that of the whole image.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Average over the last two axes."""
        return x.mean(dim=(2, 3), keepdim=True)


def enlarged(x: Tensor, factor: int) -> Tensor:
    """Bilinear interpolation to a multiple of the size, between the centres of pixels."""
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)


def three_layer_gate(width: int, hidden: int) -> nn.Sequential:
    """Means of channels (n, width) -> what is turned into gates, through two hidden layers."""
    return nn.Sequential(
        nn.Linear(width, hidden, bias=False),
        nn.ReLU(),
        nn.Linear(hidden, hidden, bias=False),
        nn.ReLU(),
        nn.Linear(hidden, width, bias=False),
    )


def smooth_camera(bands: int, channels: int) -> Tensor:
    """Smooth lobes (bands, channels) of sum 1, which stand in until the camera is told."""
    peaks, grid = torch.linspace(0.75, 0.15, channels), torch.linspace(0, 1, bands)
    lobes = torch.exp(-(((grid[:, None] - peaks) / 0.15) ** 2))
    return lobes / lobes.sum(dim=0)


class SqueezeExcitation(nn.Module):
    """Channel attention: mean, two 1x1 layers, sigmoid, multiply (Hu et al., 2018).

    Args:
        width: channels.
        reduction: width of the hidden layer is max(1, width // reduction).
    """

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        hidden = max(1, width // reduction)
        self.mean = GlobalMean()
        self.squeeze = nn.Conv2d(width, hidden, 1)
        self.excite = nn.Conv2d(hidden, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> the same shape."""
        return x * torch.sigmoid(self.excite(F.relu(self.squeeze(self.mean(x)))))


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Reflect the right and bottom edges until height and width are multiples of ``multiple``.

    Works for images smaller than the padding too, by reflecting as often as needed. Crop the
    result of a network with ``[..., :height, :width]``.
    """
    height, width = x.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    return reflect_pad(x, 0, right, 0, bottom) if bottom or right else x


def reflect_pad(x: Tensor, left: int, right: int, top: int, bottom: int) -> Tensor:
    """Reflection padding of any amount; a single row or column is repeated."""
    while left or right or top or bottom:
        height, width = x.shape[-2:]
        step_x = (min(left, width - 1), min(right, width - 1))
        step_y = (min(top, height - 1), min(bottom, height - 1))
        if width == 1 and (left or right):
            x = F.pad(x, (left, right, 0, 0), mode="replicate")
            left = right = 0
            continue
        if height == 1 and (top or bottom):
            x = F.pad(x, (0, 0, top, bottom), mode="replicate")
            top = bottom = 0
            continue
        x = F.pad(x, (*step_x, *step_y), mode="reflect")
        left, right = left - step_x[0], right - step_x[1]
        top, bottom = top - step_y[0], bottom - step_y[1]
    return x


class DenseFusionConfig(NetworkConfig):
    """Options of the networks of dense-fusion blocks; the defaults are HSCNN-D's."""

    blocks: Count = 58
    """Dense-fusion blocks of a branch."""
    squeeze: Count = 64
    """Channels after the first layer of a block."""
    branch: Count = 16
    """Channels of each of the two parallel 3x3 layers of a block and of the head, which gives four
    times as many."""
    projection: Count = 8
    """Channels of the 1x1 layer behind each 3x3 layer of a block."""
    growth: Count = 16
    """Channels that a block adds."""


class DenseFusionHead(nn.Module):
    """First layers of the HSCNN-D family: two parallel paths whose four maps are concatenated."""

    def __init__(self, config: DenseFusionConfig, *, bias: bool) -> None:
        super().__init__()
        channels_in, branch = config.channels_in, config.branch
        self.up1 = conv2d(channels_in, branch, bias=bias)
        self.up2 = nn.Conv2d(branch, branch, 1, bias=bias)
        self.down1 = conv2d(channels_in, branch, bias=bias)
        self.down2 = nn.Conv2d(branch, branch, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, 4 * branch, y, x)."""
        up, down = F.relu(self.up1(x)), F.relu(self.down1(x))
        return torch.cat([up, F.relu(self.up2(up)), down, F.relu(self.down2(down))], dim=1)


class DenseFusionBlock(nn.Module):
    """Dense block of the HSCNN-D family (Shi et al., 2018): the input, and ``growth`` maps more."""

    def __init__(self, width: int, config: DenseFusionConfig, *, bias: bool) -> None:
        super().__init__()
        squeeze, branch, projection = config.squeeze, config.branch, config.projection
        self.squeeze = nn.Conv2d(width, squeeze, 1, bias=bias)
        self.up1 = conv2d(squeeze, branch, bias=bias)
        self.up2 = nn.Conv2d(branch, projection, 1, bias=bias)
        self.down1 = conv2d(squeeze, branch, bias=bias)
        self.down2 = nn.Conv2d(branch, projection, 1, bias=bias)
        self.fuse = nn.Conv2d(2 * (branch + projection), config.growth, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) -> (n, width + growth, y, x)."""
        y = F.relu(self.squeeze(x))
        up, down = F.relu(self.up1(y)), F.relu(self.down1(y))
        maps = [up, F.relu(self.up2(up)), down, F.relu(self.down2(down))]
        return torch.cat([x, F.relu(self.fuse(torch.cat(maps, dim=1)))], dim=1)


def dense_fusion_blocks(config: DenseFusionConfig, blocks: int, *, bias: bool) -> nn.Sequential:
    """Blocks behind a head: (n, 4 * branch, y, x) -> (n, 4 * branch + blocks * growth, y, x)."""
    widths = (4 * config.branch + i * config.growth for i in range(blocks))
    return nn.Sequential(*(DenseFusionBlock(width, config, bias=bias) for width in widths))


def initialise_dense_fusion(net: nn.Module) -> None:
    """HSCNN-D's initialisation: He normal by fan-in, biases zero."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def split_heads(pixels: Tensor, heads: int) -> Tensor:
    """(n, y, x, channels) -> (n, heads, channels of a head, pixels)."""
    n, height, width, channels = pixels.shape
    return pixels.reshape(n, height * width, heads, channels // heads).permute(0, 2, 3, 1)


def channel_correlation(k: Tensor, q: Tensor) -> Tensor:
    """Products of all channels of k with all of q, each scaled to length 1 over the pixels.

    (n, heads, d, pixels) twice -> (n, heads, d, d), rows of k. The products are scaled rather
    than the factors: they are few.
    """
    k_length = torch.linalg.vector_norm(k, dim=-1).clamp_min(1e-12)
    q_length = torch.linalg.vector_norm(q, dim=-1).clamp_min(1e-12)
    return (k @ q.mT) / k_length.unsqueeze(-1) / q_length.unsqueeze(-2)


def relative_places(window: int) -> Tensor:
    """Row of a table of relative positions for each pair of pixels of a window: (w², w²)."""
    at = torch.arange(window * window)
    down = at[:, None] // window - at // window + window - 1
    right = at[:, None] % window - at % window + window - 1
    return down * (2 * window - 1) + right


def count_matches(state: Iterable[str], pattern: str) -> int:
    """How many values the group of a regular expression has at the beginning of tensor names."""
    return len({found[1] for name in state if (found := re.match(pattern, name))})


def from_one(template: str) -> Callable[[re.Match[str]], str]:
    """A replacement for names whose last group is a number, from 0 here, from 1 by the authors.

    ``template`` is formatted with the groups of the match, that number and the next one.
    """

    def replacement(found: re.Match[str]) -> str:
        number = int(found[found.re.groups]) + 1
        return template.format(*found.groups(), number, number + 1)

    return replacement


def rename(name: str, renaming: Iterable[Rule]) -> str:
    """Replace each (regular expression, replacement) in turn; for the authors' tensor names."""
    for pattern, replacement in renaming:
        name = re.sub(pattern, replacement, name)
    return name
