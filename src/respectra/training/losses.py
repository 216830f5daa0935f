"""The terms of the losses, and their weighted sum."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from respectra.errors import ConfigError, FormatError
from respectra.training.recipe import (
    CameraTerm,
    FeatureTerm,
    LossRecipe,
    RelativeTerm,
    Term,
)

if TYPE_CHECKING:
    from respectra.cameras import Track
    from respectra.methods import Contract

#: Half the width of SSIM's window of 11 pixels.
_WINDOW = 11
#: Widths of VGG-16's convolutions; ``None`` is a 2 x 2 maximum.
_LAYOUT = (64, 64, None, 128, 128, None, 256, 256, 256, None, 512, 512, 512, None, 512, 512, 512)
#: Poolings before which features are taken, counted from 1; the end is the fifth.
_FEATURES = (3, 4)


def relative_error(estimate: Tensor, truth: Tensor, floor: float = 0.0) -> Tensor:
    """|estimate - truth| / max(|truth|, floor), elementwise.

    Infinite or NaN where the truth is zero and the floor too, like the official score.
    """
    scale = truth.abs()
    return (estimate - truth).abs() / (scale.clamp_min(floor) if floor > 0 else scale)


def mrae(estimate: Tensor, truth: Tensor, floor: float = 0.0) -> Tensor:
    """Mean relative absolute error over all values (report, eq. 1)."""
    return relative_error(estimate, truth, floor).mean()


def relative_l2(estimate: Tensor, truth: Tensor, floor: float = 0.0) -> Tensor:
    """Mean squared relative error over all values."""
    return relative_error(estimate, truth, floor).square().mean()


def one_minus_ssim(estimate: Tensor, truth: Tensor) -> Tensor:
    """1 - SSIM, averaged over bands and images (n, band, y, x) of at least 11 x 11 pixels.

    Gaussian window of 11 pixels and sigma 1.5, data range 1: the window of Wang et al., 2004, and
    TensorFlow's default, which CI Lab is taken to have used.

    Raises:
        ConfigError: the images are smaller than the window.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    if min(truth.shape[-2:]) < _WINDOW:
        raise ConfigError(
            f"SSIM needs patches of at least {_WINDOW} x {_WINDOW} pixels; "
            f"got {truth.shape[-2]} x {truth.shape[-1]}: raise patches.size"
        )
    similarity = structural_similarity_index_measure(
        estimate, truth, data_range=1.0, sigma=1.5, kernel_size=_WINDOW
    )
    assert isinstance(similarity, Tensor)
    return 1.0 - similarity


def laplacian_l1(estimate: Tensor, truth: Tensor) -> Tensor:
    """L1 between the Laplacians (0 1 0; 1 -4 1; 0 1 0) over space of each band.

    The outermost pixels have no Laplacian and are left out.
    """
    d = estimate - truth
    inner = d[..., 1:-1, 1:-1]
    sides = d[..., :-2, 1:-1] + d[..., 2:, 1:-1] + d[..., 1:-1, :-2] + d[..., 1:-1, 2:]
    return (sides - 4 * inner).abs().mean()


class CameraLoss(nn.Module):
    """AWAN's camera-response term: L1 between the image and the rendered estimate.

    As released (``gradient="none"``): signals divided by 255, clamped to [0, 1], cast to bytes and
    back. The cast has no gradient, so the term watches and teaches nothing. As intended
    (``straight-through``): the track's own scale, the same quantisation, whose backward pass is
    the identity.

    Raises:
        ConfigError: the track's images do not keep the scene's exposure.
    """

    matrix: Tensor

    def __init__(self, camera: Track, contract: Contract, term: CameraTerm) -> None:
        super().__init__()
        if not camera.keeps_exposure:
            raise ConfigError(
                f"the camera term needs images that keep the scene's exposure; those of the track "
                f"{camera.name!r} do not: take loss.camera out"
            )
        signals = camera.signal_matrix(contract.wavelengths_nm)
        released = term.gradient == "none"
        scale = camera.released_scale if released else camera.full_scale
        matrix = torch.as_tensor(signals / scale, dtype=torch.float32)
        self.register_buffer("matrix", matrix, persistent=False)
        self.straight_through = not released

    def forward(self, estimate: Tensor, image: Tensor) -> Tensor:
        """Estimate (n, band, y, x), image (n, 3, y, x) in R, G, B, linear in [0, 1]."""
        linear = torch.einsum("nbyx,bc->ncyx", estimate, self.matrix)
        codes = (linear.clamp(0, 1) * 255).floor() / 255
        seen = linear + (codes - linear).detach() if self.straight_through else codes.detach()
        return F.l1_loss(seen, image)


class PhysicalLoss(nn.Module):
    """Relative error between the camera's signals of estimate and truth (report, section 3.4)."""

    matrix: Tensor

    def __init__(self, camera: Track, contract: Contract, term: RelativeTerm) -> None:
        super().__init__()
        matrix = torch.as_tensor(
            camera.response_matrix(contract.wavelengths_nm), dtype=torch.float32
        )
        self.register_buffer("matrix", matrix, persistent=False)
        self.floor = term.floor

    def forward(self, estimate: Tensor, truth: Tensor) -> Tensor:
        """Both (n, band, y, x)."""
        seen = torch.einsum("nbyx,bc->ncyx", estimate, self.matrix)
        return mrae(seen, torch.einsum("nbyx,bc->ncyx", truth, self.matrix), self.floor)


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


class Loss(nn.Module):
    """The weighted sum that a recipe names.

    Args:
        recipe: which terms, with which weights.
        camera: the track's camera, for the terms that render.
        contract: its wavelengths are those of the cubes.

    Raises:
        ConfigError: a term cannot be had for this track, or lacks its weights file.
    """

    def __init__(self, recipe: LossRecipe, camera: Track, contract: Contract) -> None:
        super().__init__()
        self.weights = {name: term.weight for name, term in recipe.terms()}
        self._simple: dict[str, Callable[[Tensor, Tensor], Tensor]] = {}
        self._modules_by_name = nn.ModuleDict()
        for name, term in recipe.terms():
            if name in _SIMPLE:
                self._simple[name] = _SIMPLE[name]
            elif name in _RELATIVE and isinstance(term, RelativeTerm):
                self._simple[name] = functools.partial(_RELATIVE[name], floor=term.floor)
            else:
                self._modules_by_name[name] = _module(term, camera, contract)

    def forward(
        self, estimate: Tensor, truth: Tensor, image: Tensor
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The sum, and each term before its weight.

        Args:
            estimate: (n, band, y, x).
            truth: the same shape.
            image: (n, 3, y, x), R, G, B, linear values in [0, 1] as the camera gave them.
        """
        terms: dict[str, Tensor] = {}
        for name in self.weights:
            if name in self._simple:
                terms[name] = self._simple[name](estimate, truth)
            else:
                against = image if name == "camera" else truth
                terms[name] = self._modules_by_name[name](estimate, against)
        total = torch.stack([self.weights[name] * value for name, value in terms.items()]).sum()
        return total, terms


_RELATIVE: Mapping[str, Callable[..., Tensor]] = {
    "mrae": mrae,
    "relative_l2": relative_l2,
}
_SIMPLE: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": F.l1_loss,
    "l2": F.mse_loss,
    "ssim": one_minus_ssim,
    "laplacian": laplacian_l1,
}


def _module(term: Term, camera: Track, contract: Contract) -> nn.Module:
    """The terms that hold tensors of their own."""
    if isinstance(term, CameraTerm):
        return CameraLoss(camera, contract, term)
    if isinstance(term, FeatureTerm):
        return FeatureLoss(term, contract.bands)
    if isinstance(term, RelativeTerm):
        return PhysicalLoss(camera, contract, term)
    raise ConfigError(f"no loss belongs to {type(term).__name__}")
