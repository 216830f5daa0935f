"""Pixxel's feature loss: distances between features of a VGG-16 trained on photographs."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.errors import ConfigError, FormatError
from respectra.training.recipe import FeatureTerm

#: Widths of VGG-16's convolutions; ``None`` is a 2 x 2 maximum.
_LAYOUT = (64, 64, None, 128, 128, None, 256, 256, 256, None, 512, 512, 512, None, 512, 512, 512)
_FEATURES = (3, 4)
"""Poolings before which features are taken, counted from 1; the end is the fifth."""


class FeatureLoss(nn.Module):
    """Weighted L1 of VGG-16 features, and of their Gram matrices (authors' feature_loss_mxr.py).

    Features are the activations before the third, fourth and fifth pooling. The first convolution
    takes all bands: its kernels repeat those of R, G, B over and over.

    Args:
        term: weights of the layers, and the file: a PyTorch state dict of VGG-16 with batch norm
            in the layout of torchvision, which is not shipped.
        bands: bands of the cubes.

    Raises:
        ConfigError: there is no such file.
        FormatError: the file is no such state dict.
    """

    def __init__(self, term: FeatureTerm, bands: int) -> None:
        super().__init__()
        self.layers, self.gram = term.layers, term.gram
        self.slices = nn.ModuleList(_slices(bands))
        _fill(self.slices, term.weights_file, bands)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> FeatureLoss:
        """Stays in evaluation mode: its statistics are those of the photographs."""
        return super().train(False)

    def forward(self, estimate: Tensor, truth: Tensor) -> Tensor:
        """Both (n, band, y, x), at least 16 x 16 pixels."""
        x, y = estimate, truth.detach()
        total = estimate.new_zeros(())
        for piece, weight in zip(self.slices, self.layers, strict=True):
            x, y = piece(x), piece(y)
            total = total + weight * F.l1_loss(x, y)
            total = total + self.gram * weight**2 * F.l1_loss(_gram(x), _gram(y))
        return total


def _gram(x: Tensor) -> Tensor:
    """(n, c, y, x) -> (n, c, c), divided by the number of values."""
    n, c, height, width = x.shape
    flat = x.reshape(n, c, -1)
    return flat @ flat.transpose(1, 2) / (c * height * width)


def _slices(bands: int) -> list[nn.Sequential]:
    """VGG-16 cut after the activations whose features count; rectifiers are not in place."""
    slices, layers, channels, poolings = [], list[nn.Module](), bands, 0
    for width in _LAYOUT:
        if width is None:
            poolings += 1
            if poolings in _FEATURES:
                slices.append(nn.Sequential(*layers))
                layers = []
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
    return [*slices, nn.Sequential(*layers)]


def _fill(slices: nn.ModuleList, file: str, bands: int) -> None:
    """Copy the convolutions and their norms, in the order in which they come."""
    path = Path(file)
    if not path.is_file():
        raise ConfigError(
            f"the feature loss needs a state dict of VGG-16 with batch norm, and there is no file "
            f"{path}; download torchvision's vgg16_bn weights and give loss.feature.weights_file, "
            "or take loss.feature out"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        numbers = sorted({int(m[1]) for key in state if (m := re.match(r"features\.(\d+)\.", key))})
        ours = [m for m in slices.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
        if len(numbers) != len(ours):
            raise KeyError(f"{len(numbers)} layers where {len(ours)} are needed")
        for number, layer in zip(numbers, ours, strict=True):
            prefix = f"features.{number}."
            tensors = {
                key.removeprefix(prefix): value
                for key, value in state.items()
                if key.startswith(prefix)
            }
            if layer is ours[0]:
                kernels = tensors["weight"]
                tensors["weight"] = kernels[:, torch.arange(bands) % kernels.shape[1]]
            layer.load_state_dict(tensors, strict="running_mean" not in tensors)
    except Exception as error:  # whatever a foreign file makes torch raise
        raise FormatError(
            f"{path} is no state dict of VGG-16 with batch norm: {' '.join(str(error).split())}"
        ) from None
