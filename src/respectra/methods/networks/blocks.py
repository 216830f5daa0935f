"""What three or more networks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GlobalMean(nn.Module):
    """Mean over all positions, (n, c, y, x) -> (n, c, 1, 1).

    Every whole-image mean of a network passes through a module of this class: that is how the
    tiler finds it and replaces the mean of a tile with that of the whole image.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Average over the last two axes."""
        return x.mean(dim=(2, 3), keepdim=True)


class SqueezeExcitation(nn.Module):
    """Channel attention: mean, two 1x1 layers, sigmoid, multiply (Hu et al., 2018).

    Args:
        width: channels.
        reduction: width of the hidden layer is max(1, width // reduction).
        bias: whether the two layers have biases.
    """

    def __init__(self, width: int, reduction: int = 16, *, bias: bool = True) -> None:
        super().__init__()
        hidden = max(1, width // reduction)
        self.mean = GlobalMean()
        self.squeeze = nn.Conv2d(width, hidden, 1, bias=bias)
        self.excite = nn.Conv2d(hidden, width, 1, bias=bias)

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
