"""Parts of Respectra's own network: what it is told, and how it takes off noise."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Hidden units of the encoder of what is told.
_UNITS = 32
#: Smallest light that anything is divided by.
_TINY = 1e-6


class CaptureEncoder(nn.Module):
    """A code of the effective response and of what is said of the picture.

    Pixels are described by the values that a standard camera would have in the linear estimate of
    their spectra. Those are functions of the spectrum: its products with ``analysis`` (bands,
    channels). They are all that a method can know of a response whose channels may be mixed and
    scaled at will.

    (bands, channels), (flags,) -> (1, length, 1, 1).
    """

    def __init__(self, bands: int, channels: int, flags: int, length: int) -> None:
        super().__init__()
        self.into = nn.Linear(bands * channels + flags, _UNITS)
        self.out = nn.Linear(_UNITS, length)

    def forward(self, analysis: Tensor, said: Tensor) -> Tensor:
        """The code."""
        size = analysis.abs().mean(dim=0).clamp_min(1e-9)
        seen = torch.cat([(analysis / size).flatten(), said])
        code = F.relu(self.out(F.relu(self.into(seen))))
        return code[None, :, None, None]


class Denoiser(nn.Module):
    """Values with less noise: a mean, weighted pixel by pixel, of what the surroundings suggest.

    Each window suggests three values: its mean; the linear estimate of least squares from mean,
    variance and the noise that was told; and the mean's colour at the light of that estimate. The
    pixel itself is the last suggestion. Weights are positive and sum to one, channel by channel;
    k times the light with k times the noise gives k times the values.

    Args:
        channels: of the picture.
        windows: odd sides.
        width: channels of the hidden layer.
    """

    def __init__(self, channels: int, windows: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.windows = windows
        self.count = 3 * len(windows) + 1
        inputs = channels * (2 * len(windows) + 1)
        self.into = nn.Conv2d(inputs, width, 1)
        self.between = nn.Conv2d(width, width, 1)
        self.out = nn.Conv2d(width, channels * self.count, 1)

    def forward(self, x: Tensor, variance: Tensor) -> Tensor:
        """Values (n, channels, y, x) and the variance of their noise -> values."""
        sigma = variance.clamp_min(1e-12).sqrt()
        seen = [torch.log((x.clamp_min(0.0) + sigma) / sigma) - 2.0]
        offered = [x]
        light: Tensor | None = None
        for side in self.windows:
            mean, square = means_around(x, side), means_around(x * x, side)
            spread = (square - mean * mean).clamp_min(0.0)
            signal = (spread - variance).clamp_min(0.0)
            least = mean + signal / (signal + variance + 1e-12) * (x - mean)
            if light is None:
                light = least.clamp_min(0.0).sum(dim=1, keepdim=True)
            whole = mean.clamp_min(0.0).sum(dim=1, keepdim=True).clamp_min(_TINY)
            offered += [mean, least, mean * (light / whole)]
            seen += [
                ((x - mean) / sigma).clamp(-6.0, 6.0) / 2,
                torch.log(spread.sqrt() / sigma + 0.1),
            ]
        hidden = F.relu(self.into(torch.cat(seen, dim=1)), inplace=True)
        hidden = F.relu(self.between(hidden), inplace=True)
        n, channels, height, width = x.shape
        weights = self.out(hidden).view(n, self.count, channels, height, width).softmax(dim=1)
        result = weights[:, 0] * offered[0]
        for i, values in enumerate(offered[1:], start=1):
            result = result + weights[:, i] * values
        return result


def means_around(x: Tensor, side: int) -> Tensor:
    """Means over squares, as far as they lie within the image: over rows, then over columns."""
    half = side // 2
    rows = F.avg_pool2d(x, (1, side), 1, (0, half), count_include_pad=False)
    return F.avg_pool2d(rows, (side, 1), 1, (half, 0), count_include_pad=False)
