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
import torch
from torch import Tensor, nn

from respectra.config import Config
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.errors import ConfigError
from respectra.inference.backends.base import Backend
from respectra.inference.reconstructor import Reconstructor
from respectra.methods import Card, Contract, Decision, Tiling, Weights
from respectra.registry import reason_of

#: Multiples of the image's sides that a module may ask for, or of the place where tiles begin.
_MULTIPLES = (1, 2, 4, 8, 16, 32, 64)
#: A receptive field with a larger radius than this is not looked for: the image is one piece.
LARGEST_RADIUS = 160
#: Tiles are exact where they differ by less than this from the whole, relative to the largest.
_EXACT = 1e-9
_EXACT_SINGLE = 1e-4


@dataclass(frozen=True)
class Measured:
    """What was found out about a module."""

    bands: int
    multiple: int
    """Sides have to be multiples of it; 1: any are taken."""
    radius: int | None
    """Pixels beyond which input does not change an output pixel; None: not bounded, or too far."""
    grid: int
    """Tiles that begin at multiples of it give what the whole image gives."""


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


def measure_module(
    module: nn.Module, *, given: int | Literal["measured"] | None = "measured"
) -> Measured:
    """Find out what a module takes and gives, and how far an output pixel sees.

    Input that is not a number is put at single pixels and comes out wherever they are looked at,
    through weights of zero and rectifiers that are closed; pixels are changed as well, for modules
    that replace what is no number. Then tiles are compared with the whole.

    Args:
        module: in evaluation mode, on the CPU.
        given: the radius where it is known; None for unbounded.

    Raises:
        ConfigError: it fails on images of any size, or does not give (n, bands, y, x).
    """
    bands, multiple = _shape_facts(module)
    if given is None:
        return Measured(bands, multiple, None, 1)
    net, exact = _in_double(module)
    radius = _radius(net, multiple) if given == "measured" else given
    if radius is None:
        return Measured(bands, multiple, None, multiple)
    if given != "measured":
        grid = multiple if radius > LARGEST_RADIUS else _grid(net, radius, multiple, exact)
        return Measured(bands, multiple, radius, grid or multiple)
    grid = _grid(net, radius, multiple, exact)
    if grid is None:  # it depends on where in the image a pixel lies
        return Measured(bands, multiple, None, multiple)
    return Measured(bands, multiple, radius, grid)


def _noise(height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, height, width, generator=generator)


def _shape_facts(module: nn.Module) -> tuple[int, int]:
    """Bands, and the multiple of the sides that the module takes."""
    problem = ""
    for multiple in _MULTIPLES:
        # Odd numbers of the multiple, so that none of the larger ones is met by chance.
        sides = [(odd * multiple, (odd + 2) * multiple) for odd in _odd_sides(multiple)]
        shapes = set()
        for height, width in sides:
            try:
                with torch.inference_mode():
                    out = module(_noise(height, width))
            except Exception as error:  # a module may raise anything
                problem = f"it fails on an image of {height} x {width}: {reason_of(error)}"
                break
            if not isinstance(out, Tensor) or out.ndim != 4 or out.shape[0] != 1:
                got = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
                raise ConfigError(
                    f"a module takes (n, 3, y, x) and gives (n, bands, y, x); one image gives {got}"
                )
            if tuple(out.shape[2:]) != (height, width):
                problem = (
                    f"an image of {height} x {width} gives {out.shape[2]} x {out.shape[3]} pixels; "
                    "it has to give as many as it is given (add padding)"
                )
                break
            shapes.add(int(out.shape[1]))
        else:
            if len(shapes) == 1:
                return shapes.pop(), multiple
            problem = f"the number of bands depends on the image's size: {sorted(shapes)}"
    raise ConfigError(f"the module takes no images (n, 3, y, x): {problem}")


def _odd_sides(multiple: int) -> tuple[int, ...]:
    """Numbers of multiples that make images of 30 pixels and more."""
    least = max(1, 31 // multiple)
    return (least | 1, (least | 1) + 4)


def _in_double(module: nn.Module) -> tuple[nn.Module, float]:
    """The module in double precision where it works in it, and how alike tiles have to be."""
    double = copy.deepcopy(module).double()
    try:
        with torch.inference_mode():
            out = double(_noise(64, 64).double())
        if out.dtype == torch.float64:
            return double, _EXACT
    except Exception:  # it makes single-precision tensors of its own
        pass
    return module, _EXACT_SINGLE


def _typed(net: nn.Module, x: Tensor) -> Tensor:
    """An image in the precision of a network."""
    kinds = [p.dtype for p in net.parameters() if p.is_floating_point()]
    return x.to(kinds[0]) if kinds else x.double()


def _radius(net: nn.Module, multiple: int) -> int | None:
    """Radius of the receptive field; None where it is beyond the largest."""
    side = max(64, 8 * multiple)
    while True:
        side = -(-side // multiple) * multiple
        found = _radius_within(net, side)
        # Offsets of the grid move what is seen by less than 64 pixels.
        if found is not None and found + max(_MULTIPLES) // 2 <= side // 2:
            return found if found <= LARGEST_RADIUS else None
        if side > 2 * LARGEST_RADIUS + 128:
            return None
        side *= 2


def _radius_within(net: nn.Module, side: int) -> int | None:
    """The largest distance at which a pixel near the middle is seen; None if at the border."""
    x = _typed(net, _noise(side, side, seed=1))
    farthest = 0
    with torch.inference_mode():
        before = net(x)
        scale = before.abs().max()
        for shift_y, shift_x in ((0, 0), (1, 3), (5, 2), (7, 15), (14, 9), (31, 20)):
            y, column = side // 2 - 16 + shift_y, side // 2 - 16 + shift_x
            for value in (float("nan"), 3.0):
                changed = x.clone()
                changed[..., y, column] = value
                after = net(changed)
                limit = 1e-13 * scale if x.dtype == torch.float64 else 1e-6 * scale
                seen = (~((after - before).abs() <= limit)).any(dim=1)[0]
                rows, columns = seen.nonzero(as_tuple=True)
                if rows.numel() == 0:
                    continue
                border = (
                    rows.min(),
                    columns.min(),
                    side - 1 - rows.max(),
                    side - 1 - columns.max(),
                )
                if min(int(edge) for edge in border) == 0:
                    return None
                reach = torch.maximum((rows - y).abs(), (columns - column).abs()).max()
                farthest = max(farthest, int(reach))
    return farthest


def _grid(net: nn.Module, radius: int, multiple: int, exact: float) -> int | None:
    """The least grid of tiles that give what the whole gives; None where none does."""
    for grid in (m for m in _MULTIPLES if m >= multiple):
        halo = -(-radius // grid) * grid
        inner = max(grid, -(-16 // grid) * grid)
        size, top, left = inner + 2 * halo, 3 * grid, grid
        x = _typed(net, _noise(size + 5 * grid, size + 3 * grid, seed=2))
        with torch.inference_mode():
            whole = net(x)[..., top : top + size, left : left + size]
            part = net(x[..., top : top + size, left : left + size].contiguous())
        kept = slice(halo, halo + inner)
        difference = (part - whole)[..., kept, kept].abs().max()
        if difference <= exact * whole.abs().max():
            return grid
    return None
