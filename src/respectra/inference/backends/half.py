"""Half precision: a network whose products are taken in 16 bits, where that is accurate enough.

float16 on a graphics processor, bfloat16 elsewhere, by PyTorch's autocast: sums, norms and what
else needs it stay in float32. How far the answer is from that of float32 is measured once, on noise
that the network accepts, before any picture.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from respectra.errors import ConfigError
from respectra.inference.networks import probe_image

if TYPE_CHECKING:
    from torch import Tensor, nn

    from respectra.methods import Weights

#: Largest difference to float32 that is accepted, over the largest value.
HALF_TOLERANCE = 0.02


def half_precision(device: str) -> contextlib.AbstractContextManager[object]:
    """Within this block a network on a device takes its products in half precision."""
    import torch

    kind = device.partition(":")[0]
    return torch.autocast(kind, torch.float16 if kind == "cuda" else torch.bfloat16)


def half_deviation(network: nn.Module, weights: Weights, device: str) -> float:
    """Largest difference between half and single precision on noise, over the largest value."""
    import torch

    image = probe_image(weights).to(device)
    with torch.inference_mode():
        expected: Tensor = network(image).float()
        with half_precision(device):
            got: Tensor = network(image).float()
    return float((got - expected).abs().max() / expected.abs().max().clamp_min(1e-30))


def require_accurate(network: nn.Module, weights: Weights, device: str) -> float:
    """The deviation, where it is small enough.

    Raises:
        ConfigError: it is not.
    """
    found = half_deviation(network, weights, device)
    if not found <= HALF_TOLERANCE:  # NaN is none
        raise ConfigError(
            f"in half precision {weights.method} is off by {found:.2g} of its largest value, and "
            f"at most {HALF_TOLERANCE:g} is accepted; use the engine torch"
        )
    return found
