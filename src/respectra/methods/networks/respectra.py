"""Respectra: a small network that predicts only what the camera does not see.

Here is its card. ``respectra_network`` is the network in PyTorch; ``respectra_pixels`` is the same
over single pixels in NumPy, for PyTorch takes a second to load.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from respectra.methods.card import Card, Decision, Tiling
from respectra.methods.network import NetworkConfig, NetworkMethod, PixelNetwork
from respectra.methods.networks.respectra_config import RespectraConfig

if TYPE_CHECKING:
    from torch import nn


def _network(config: RespectraConfig) -> nn.Module:
    from respectra.methods.networks.respectra_network import Respectra

    return Respectra(config)


def _in_numpy(
    config: RespectraConfig, tensors: Mapping[str, npt.NDArray[Any]]
) -> PixelNetwork | None:
    if config.noise or (config.windows and not config.denoiser):
        return None
    from respectra.methods.networks.respectra_pixels import RespectraPixels

    return RespectraPixels(config, tensors)


def _halo(config: NetworkConfig) -> int:
    assert isinstance(config, RespectraConfig)
    idle = config.denoiser and not config.denoises
    return 0 if idle else max(config.windows, default=1) // 2


METHOD = NetworkMethod(
    card=Card(
        name="respectra",
        title="Respectra",
        summary="The project's own: a small network that predicts only what the camera does not "
        "see, pixel by pixel in the light of a code of the whole scene. Made for machines without "
        "a GPU.",
        reference="docs/method.md",
        year=2026,
        decisions=(
            Decision.published(
                "exact linear part P v with P = CA(AᵀCA)⁻¹, and a prediction in the "
                "camera's null space on top: any answer has the pixel's values",
                "range-null-space decomposition; docs/method.md",
            ),
            Decision.published(
                "features are ratios, the scene code is a mean over pixels: exposure "
                "scales the answer, the order of the pixels has no influence",
                "docs/method.md",
            ),
            Decision.published(
                "a code is a cell of values, whose width follows from the picture's bits; "
                "the place within it is predicted and cannot leave it",
                "docs/method.md",
            ),
        ),
        tiling=Tiling.STATISTICS,
        tiling_reason="Pixels are independent once the scene's mean code is known.",
        memory_gb=1.2,
    ),
    config=RespectraConfig,
    network=_network,
    in_numpy=_in_numpy,
    presets={
        "any-camera": {
            "width": 84,
            "rank": 14,
            "told": 24,
            "residual": True,
            "uncertainty_width": 20,
            "windows": (3, 7, 15),
            "denoiser": 32,
        },
        "xs": {"width": 34, "scene": 12},
        "pixel": {"scene": 0},
        "tiny": {"width": 24, "layers": 1, "scene": 8},
    },
    halo=_halo,
    untrained={
        r"uncertainty_head\..*": "trained by its own loss, through uncertainty()",
        r"offset_head\..*": "learns once set_step() has said how coarse values are",
    },
)
