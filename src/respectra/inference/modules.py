"""A reconstructor of any PyTorch module that a user has at hand.

What the registry knows of our own networks is measured on the module: the sizes that it takes, the
radius of its receptive field, and the grid on which tiles have to begin.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import nn

from respectra.config import Config
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.errors import ConfigError
from respectra.inference.backends.base import Backend
from respectra.inference.module_measuring import Measured, measure_module
from respectra.inference.reconstructor import Reconstructor
from respectra.methods import Card, Contract, Decision, Tiling, Weights
from respectra.registry import reason_of


@dataclass(frozen=True)
class ModuleWeights(Weights):
    """The weights of a module that is not in the registry, with the module."""

    module: nn.Module = field(default_factory=nn.Identity)
    card: Card = field(kw_only=True)
    measured: Measured = field(kw_only=True)

    @property
    def registered(self) -> bool:
        """No: the module is known here alone."""
        return False

    def make_backend(self, *, device: str, engine: str) -> Backend:
        """What runs the module."""
        from respectra.inference.backends.module import ModuleBackend

        return ModuleBackend(
            self, self.module, self.card, self.measured, device=device, engine=engine
        )


class ModuleConfig(Config):
    """What tells one module from another whose tensors are the same."""

    structure: str
    """The module as PyTorch prints it."""


def from_module(
    module: nn.Module,
    contract: Contract | None = None,
    *,
    name: str = "module",
    wavelengths_nm: npt.ArrayLike | None = None,
    radius: int | Literal["measured"] | None = "measured",
    **options: Any,
) -> Reconstructor:
    """A reconstructor of a module (n, 3, y, x) -> (n, bands, y, x).

    The module is copied and set to evaluation mode. Its receptive field is measured: where it is
    bounded, large images are cut into tiles with that halo and give what the whole image gives;
    where it is not, an image is one piece. The result works as any reconstructor does, with tiles,
    guarantees, folders and clips; only its weights cannot be saved, as a weights file names a
    method that others can build: for that, put the module into a package (docs/plugins.md).

    Args:
        module: takes linear values in [0, 1] unless the contract says otherwise.
        contract: what goes in and what comes out; by default images of the clean track.
        name: what cubes say that they were made by.
        wavelengths_nm: of the bands, in place of the contract's; those of the challenge by default
            where there are 31.
        radius: of the receptive field in pixels, where it is known; None for unbounded. Given,
            it is taken at its word.
        options: ``tile``, ``max_memory``, ``device``, ``guarantees`` and others of
            :class:`Reconstructor`. The engine is PyTorch, with the module as it is.

    Raises:
        ConfigError: not a module, one that does not take such images or fails on them, or another
            number of bands than the contract's.

    Example:
        >>> import torch, respectra as rs
        >>> rec = from_module(torch.nn.Conv2d(3, 31, 5, padding=2))
        >>> rec.weights.measured.radius
        2
    """
    if not isinstance(module, nn.Module):
        raise ConfigError(f"from_module takes a torch.nn.Module; got a {type(module).__name__}")
    if not (radius is None or radius == "measured" or (isinstance(radius, int) and radius >= 0)):
        raise ConfigError(f"a radius is a number of pixels, None or 'measured'; got {radius!r}")
    try:
        own = copy.deepcopy(module).cpu().eval().requires_grad_(False)
    except Exception as error:  # a module may hold anything
        raise ConfigError(f"the module cannot be copied: {reason_of(error)}") from None
    found = measure_module(own, given=radius)
    agreed = _contract(contract, wavelengths_nm, found.bands)
    tensors = {key: value.float().numpy() for key, value in own.state_dict().items()}
    weights = ModuleWeights(
        method=name,
        config=ModuleConfig(structure=str(own)),
        contract=agreed,
        tensors=tensors,
        module=own,
        card=_card(name, module, found),
        measured=found,
    )
    return Reconstructor(weights, **options)


def _contract(
    contract: Contract | None, wavelengths_nm: npt.ArrayLike | None, bands: int
) -> Contract:
    """The contract with the wavelengths that were given."""
    agreed = contract or Contract()
    if wavelengths_nm is not None:
        grid = tuple(np.asarray(wavelengths_nm, np.float64).ravel().tolist())
        agreed = Contract(**{**agreed.model_dump(), "wavelengths_nm": grid})
    if agreed.bands != bands:
        usual = CHALLENGE_WAVELENGTHS_NM.size
        raise ConfigError(
            f"the module gives {bands} bands, and {agreed.bands} wavelengths are known"
            + ("" if contract or wavelengths_nm is not None else f" (the usual {usual})")
            + "; state them: from_module(module, wavelengths_nm=[...])"
        )
    return agreed


def _card(name: str, module: nn.Module, found: Measured) -> Card:
    if found.radius is None:
        tiling, reason = Tiling.WHOLE, "Measured: an output pixel sees the whole image, or too far."
    else:
        tiling = Tiling.EXACT
        reason = f"Measured: an output pixel sees no farther than {found.radius} pixels."
    return Card(
        name=name,
        title=name,
        kind="network",
        summary=f"A module of the class {type(module).__name__}, as it was given.",
        reference=f"{type(module).__module__}.{type(module).__qualname__}",
        year=0,
        decisions=(Decision.reading("the module as it was given"),),
        tiling=tiling,
        tiling_reason=reason,
        size_multiple=found.grid,
        exports_onnx=False,
    )
