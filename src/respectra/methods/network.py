"""The vocabulary in which a network file describes its network to the registry."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Generic,
    Literal,
    Protocol,
    TypeVar,
    runtime_checkable,
)

import numpy.typing as npt
from pydantic import Field

from respectra.config import Config
from respectra.methods.card import Card
from respectra.typing import Float32Array

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Tensors by name, as a state dict has them.
State = Mapping[str, "Tensor"]
#: How many: channels, blocks, stages.
Count = Annotated[int, Field(ge=1)]


@runtime_checkable
class LowRankNetwork(Protocol):
    """A network whose cube is coefficients times a basis, so that few values describe a pixel.

    ``forward(x)`` equals ``einsum("nkyx,kb->nbyx", coefficients(x), basis)``.
    """

    @property
    def basis(self) -> Tensor:
        """Basis spectra, (k, bands)."""
        ...

    def coefficients(self, x: Tensor) -> Tensor:
        """(n, channels_in, y, x) -> (n, k, y, x)."""
        ...


@runtime_checkable
class CameraAware(Protocol):
    """A network that is told which camera made its images; a buffer of its weights keeps it."""

    def set_camera(self, camera: Tensor) -> None:
        """Shape (bands, channels_in); the values of a pixel are its spectrum @ camera."""
        ...


@runtime_checkable
class CaptureAware(Protocol):
    """A network that can be told everything that is known of how its pictures were taken."""

    denoises: bool
    """Whether noise was told, so that the surroundings of a pixel count."""

    def set_capture(
        self,
        camera: Tensor | None = None,
        *,
        step: float | None = None,
        light: Literal["told", "white", "unknown"] = "unknown",
        camera_known: bool = True,
        noise: tuple[float, float] = (0.0, 0.0),
        exposed_noise: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """See :meth:`respectra.methods.networks.respectra.Respectra.set_capture`."""
        ...


@runtime_checkable
class UncertainNetwork(Protocol):
    """A network that says how sure it is."""

    def uncertainty(self, x: Tensor) -> Tensor:
        """Expected absolute error of each value of ``forward``: (n, bands, y, x)."""
        ...


@runtime_checkable
class StandaloneNetwork(Protocol):
    """A network that has an answer for a pixel without the others, which a table can hold."""

    def alone(self, x: Tensor) -> Tensor:
        """As ``forward``, every pixel an image of its own: (n, channels_in, y, x) -> bands."""
        ...


@runtime_checkable
class StepAware(Protocol):
    """A network that is told how exactly the values of its images are known.

    The step is no part of its weights, and 0 or the width of its camera's noise until it is told.
    All of it are methods: a module keeps tensors where ``isinstance`` does not look since Python
    3.12.
    """

    def get_step(self) -> float:
        """What was told."""
        ...

    def set_step(self, step: float) -> None:
        """Values are the lower bounds of cells of this width; 0: they are exact."""
        ...


class PixelNetwork(Protocol):
    """A network of single pixels, and of means over them, in NumPy: it needs no PyTorch.

    Its means are taken one after the other, each from what the ones before it give.
    """

    tensors: dict[str, npt.NDArray[Any]]
    """Its weights, by the names of the network's state dict."""
    denoises: bool
    """Noise was told: more than single pixels counts, and only the network in PyTorch runs."""
    means: int
    """How many means over the picture it takes."""

    @property
    def basis(self) -> Float32Array:
        """Basis spectra, (k, bands)."""
        ...

    def get_step(self) -> float:
        """As of :class:`StepAware`."""
        ...

    def set_step(self, step: float) -> None:
        """As of :class:`StepAware`."""
        ...

    def set_capture(
        self,
        camera: npt.NDArray[Any] | None = None,
        *,
        light: Literal["told", "white", "unknown"] = "unknown",
        camera_known: bool = True,
        noise: tuple[float, float] = (0.0, 0.0),
        exposed_noise: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """As of :class:`CaptureAware`."""
        ...

    def averaged(self, pixels: Float32Array, means: Sequence[Float32Array]) -> Float32Array:
        """Of pixels (n, channels_in), what the mean after these is taken over: (n, values)."""
        ...

    def coefficients(self, pixels: Float32Array, means: Sequence[Float32Array]) -> Float32Array:
        """Of pixels (n, channels_in), given all means: (n, k)."""
        ...

    def uncertainty(self, pixels: Float32Array, means: Sequence[Float32Array]) -> Float32Array:
        """As of :class:`UncertainNetwork`: (n, channels_in), given all means -> (n, bands)."""
        ...


class NetworkConfig(Config):
    """Base of every network's configuration; its defaults are the published configuration.

    Example:
        >>> class SmallNetConfig(NetworkConfig):
        ...     width: int = 48
        >>> SmallNetConfig(width=12).bands
        31
    """

    channels_in: Count = 3
    """Input channels; 3 for R, G, B."""
    bands: Count = 31
    """Bands of the output cube."""


C = TypeVar("C", bound=NetworkConfig)


@dataclass(frozen=True)
class OfficialLayout(Generic[C]):
    """How the authors' own checkpoints are laid out, and what they were fed.

    A checkpoint is accepted only when its keys are exactly those expected: for every tensor of
    our network, ``key(our name)`` names the authors' tensor; ``ignored`` lists patterns of keys
    that the authors stored and never used.
    """

    configure: Callable[[State], C]
    """Reads the configuration off the authors' keys and shapes; raises KeyError, ValueError or
    IndexError when they do not fit."""
    key: Callable[[str, C], str]
    """Our tensor name -> the authors'. The configuration is given for variants."""
    contract: Mapping[str, Mapping[str, object]]
    """By track, for every track that the authors' weights exist for: the fields of the Contract
    that differ from its defaults."""
    source: str
    """Repository of the authors' code."""
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """By track: options that no shape tells, such as the padding of a re-implementation."""
    tell_track: Callable[[State, Collection[str]], str | None] | None = None
    """(tensors, names of what stood beside them in the file) -> the track of the weights, where
    something tells it, else None. Asked when there are several tracks and nobody named one; may
    raise what ``configure`` may."""
    ignored: tuple[str, ...] = ()
    """Regular expressions of stored keys without function."""
    absent: tuple[str, ...] = ()
    """Our tensors that the authors' checkpoints do not hold, such as a camera that they pass at
    each call. They keep their initial values; an imported network that is told its camera gets
    the track's."""
    adapt: Callable[[str, Tensor], Tensor] | None = None
    """(authors' key, tensor) -> tensor in our layout, where the layout differs."""
    read: Callable[[Path], State] | None = None
    """Reads a file that is not a PyTorch checkpoint."""


@dataclass(frozen=True)
class NetworkMethod(Generic[C]):
    """A network as the registry knows it. One a network; variants are presets.

    Example:
        >>> import respectra as rs
        >>> sorted(rs.methods.get_network("hscnn-plus").presets)
        ['tiny']
    """

    card: Card
    config: type[C]
    network: Callable[[C], nn.Module]
    """The module takes (n, channels_in, y, x), any y and x >= the card's minimum, and gives
    (n, bands, y, x); it pads and crops by itself. A card with Tiling.STATISTICS promises that all
    whole-image statistics pass through ``blocks.GlobalMean``."""
    presets: Mapping[str, Mapping[str, object]]
    """Name -> options that differ from the published defaults. Always has ``tiny``: a network
    under 100 000 parameters for tests and small machines."""
    halo: Callable[[C], int | None] = lambda _: None
    """Radius in pixels beyond which input cannot change an output pixel (for Tiling.STATISTICS:
    once the statistics are given); None, as it is by default, when unbounded."""
    official: OfficialLayout[C] | None = None
    untrained: Mapping[str, str] = field(default_factory=dict)
    """Regular expression of parameter names that receive no gradient in training, with the
    reason; dead by design, not by accident."""
    in_numpy: Callable[[C, Mapping[str, npt.NDArray[Any]]], PixelNetwork | None] | None = None
    """The same function of single pixels in NumPy, from a configuration and its weights; it gives
    None for configurations that are more than that."""
