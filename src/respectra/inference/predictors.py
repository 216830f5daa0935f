"""Predictors: a method with its weights, as a function from prepared pixels to spectra."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from respectra.errors import FormatError
from respectra.methods import (
    Weights,
    get_card,
    get_classical,
    get_network,
    is_classical,
)
from respectra.methods.network import NetworkConfig

if TYPE_CHECKING:
    from torch import Tensor, nn

FloatArray = npt.NDArray[np.float32]
#: Methods of a network, besides its forward pass.
Output = Literal["coefficients", "uncertainty"]


class Predictor(Protocol):
    """Spectra of a picture, or of a piece of one."""

    def __call__(self, pixels: FloatArray) -> FloatArray:
        """(y, x, 3) as the contract prepares them -> (y, x, band), float32."""
        ...


class ClassicalPredictor:
    """A fitted classical method."""

    def __init__(self, weights: Weights) -> None:
        self._method = get_classical(weights.method).from_weights(weights)

    def __call__(self, pixels: FloatArray) -> FloatArray:
        """(y, x, 3) -> (y, x, band)."""
        return self._method.predict(pixels)


class TorchPredictor:
    """A network in PyTorch, evaluation mode, channels last.

    Args:
        weights: of a network.
        device: ``cpu``, ``cuda``, ...
        rewritten: on the CPU, replace parts of the network by faster ones of the same function.
            The result is checked against the plain network on noise; where it differs by more than
            1e-5 of its largest value, the plain network runs.

    Raises:
        FormatError: the tensors are not those that the configuration needs.
    """

    def __init__(self, weights: Weights, *, device: str = "cpu", rewritten: bool = True) -> None:
        import torch

        network = build(weights).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network: nn.Module = network
        self.device = device
        if rewritten and device == "cpu":
            from respectra.inference.engines.rewriting import TOLERANCE, deviation, rewrite

            faster = rewrite(build(weights))
            if deviation(network, faster, probe_image(weights)) <= TOLERANCE:
                self.network = faster

    def __call__(self, pixels: FloatArray) -> FloatArray:
        """(y, x, 3) -> (y, x, band); both ends are views of channels-last tensors."""
        import torch

        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]
            spectra: Any = self.network(batch.to(self.device))
            array: FloatArray = spectra[0].permute(1, 2, 0).float().cpu().numpy()
        return array

    @contextlib.contextmanager
    def giving(self, question: str) -> Iterator[None]:
        """The network meanwhile answers by another of its methods, such as ``coefficients``."""
        # Set on the object, where calls find it before the class's, with their hooks.
        network: Any = self.network
        network.forward = getattr(network, question)
        try:
            yield
        finally:
            del network.forward


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


class TablePredictor:
    """A method baked into a look-up table."""

    def __init__(self, weights: Weights) -> None:
        from respectra.inference.tables import Table

        self.table = Table.from_weights(weights)

    def __call__(self, pixels: FloatArray) -> FloatArray:
        """(y, x, 3) -> (y, x, band)."""
        return self.table.apply(pixels)


def make_predictor(weights: Weights, *, device: str = "cpu", engine: str = "torch") -> Predictor:
    """The predictor that fits the kind of method."""
    if weights.baked is not None:
        return TablePredictor(weights)
    if is_classical(weights.method):
        return ClassicalPredictor(weights)
    return TorchPredictor(weights, device=device, rewritten=engine != "plain")
