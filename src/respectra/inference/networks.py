"""Networks of a set of weights, made ready to run or to be looked at, and how precisely they run.

In how many bits a network takes its products: all of float32's, or half where that will do. Half
is float16 on a graphics processor, bfloat16 elsewhere, by PyTorch's autocast: sums, norms and what
else needs it stay in float32. How far the answer is from that of float32 is measured once, on noise
that the network accepts, before any picture.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from respectra.errors import ConfigError, FormatError
from respectra.methods import Weights, get_card, get_network
from respectra.methods.network import NetworkConfig

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Largest difference between half precision and float32 that is accepted, over the largest value.
HALF_TOLERANCE = 0.02
#: Of the noise, or what the network needs: single pixels may be far off, a few do not show them.
_PROBE_SIDE = 64


def build(weights: Weights) -> nn.Module:
    """The network of a set of weights, in evaluation mode.

    Raises:
        FormatError: the tensors are not those that the configuration needs.
    """
    import torch

    network = bare_network(weights)
    state = {name: torch.from_numpy(np.array(t)) for name, t in weights.tensors.items()}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise FormatError(
            f"the weights do not fit {weights.method} as configured: {error}"
        ) from None
    return network.eval()


def bare_network(weights: Weights) -> nn.Module:
    """The network of a set of weights without them: fresh values, evaluation mode."""
    weights.require_registered("building the network")
    network: nn.Module = get_network(weights.method).network(weights.config).eval()
    return network


def probe_image(weights: Weights, height: int | None = None, width: int | None = None) -> Tensor:
    """Noise that the network of a set of weights accepts, (1, channels, y, x); small by default."""
    import torch

    card = get_card(weights.method)
    side = max(card.native_tile or 0, card.size_minimum, 4 * card.size_multiple)
    channels = weights.config.channels_in if isinstance(weights.config, NetworkConfig) else 3
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, channels, height or side, width or side, generator=generator)


@contextlib.contextmanager
def single_precision(device: str) -> Iterator[None]:
    """Within this block a network on a device takes its products in float32.

    Left alone, PyTorch takes those of convolutions on a graphics processor in TF32, which has three
    digits. The setting is one of the process.
    """
    if not device.startswith("cuda"):
        yield
        return
    import torch

    cudnn: Any = torch.backends.cudnn  # which says its settings to nobody that checks types
    places = (cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul)
    before = [place.fp32_precision for place in places]
    try:
        for place in places:
            place.fp32_precision = "ieee"
        yield
    finally:
        for place, wanted in zip(places, before, strict=True):
            place.fp32_precision = wanted


def half_precision(device: str) -> contextlib.AbstractContextManager[object]:
    """Within this block a network on a device takes its products in half precision."""
    import torch

    kind = device.partition(":")[0]
    return torch.autocast(kind, torch.float16 if kind == "cuda" else torch.bfloat16)


def half_deviation(network: nn.Module, weights: Weights, device: str) -> float:
    """Largest difference between half and single precision on noise, over the largest value."""
    import torch

    card = get_card(weights.method)
    side = max(_PROBE_SIDE, card.native_tile or 0, card.size_minimum)
    side = -(-side // card.size_multiple) * card.size_multiple
    image = probe_image(weights, side, side).to(device)
    with torch.inference_mode():
        with single_precision(device):
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
