"""Networks of a set of weights, made ready to run or to be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from respectra.errors import FormatError
from respectra.methods import Weights, get_card, get_network
from respectra.methods.network import NetworkConfig

if TYPE_CHECKING:
    from torch import Tensor, nn


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
