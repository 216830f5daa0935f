"""What every classical method is: fitted on pairs of RGB and spectrum, applied to pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar, cast

import numpy as np
import numpy.typing as npt

from respectra.config import Config
from respectra.errors import ConfigError, DataError, FormatError
from respectra.methods.card import Card, Tiling
from respectra.methods.contract import Contract
from respectra.methods.weights import Weights

Array = npt.NDArray[Any]
#: Why every classical method may be cut anywhere.
PER_PIXEL = "Every pixel is recovered from its own RGB alone: the receptive field is one pixel."
C = TypeVar("C", bound=Config)
#: Pixels predicted at a time: what they need in between stays in the processor's cache.
_BLOCK = 8192


class ClassicalCard(Card):
    """The card of a classical method, with what is true of all of them."""

    kind: Literal["classical", "network"] = "classical"
    tiling: Tiling = Tiling.EXACT
    tiling_reason: str = PER_PIXEL
    exports_onnx: bool = False


class ClassicalMethod(ABC, Generic[C]):
    """A per-pixel method. An instance is one configuration, fitted or not yet.

    Subclasses set ``card``, ``config`` and ``presets``, and implement ``_fit``, ``_predictor``.
    What they learn they keep in ``self.tensors``, float arrays: that is all that is saved.

    Example:
        >>> import respectra as rs
        >>> method = rs.methods.build_classical("pseudo-inverse")
        >>> isinstance(method, ClassicalMethod), method.exposure_equivariant
        (True, True)
    """

    card: ClassVar[Card]
    config: ClassVar[type[Config]] = Config
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    """Name -> options that differ from the defaults, for variants worth a name."""
    needs_response: ClassVar[bool] = False
    """Whether ``fit`` cannot do without the camera's response."""

    def __init__(self, options: C | None = None) -> None:
        self.options = cast("C", self.config()) if options is None else options
        self.tensors: dict[str, Array] = {}

    @property
    def exposure_equivariant(self) -> bool:
        """Whether k times the RGB gives k times the spectrum."""
        return False

    def fit(
        self,
        rgb: npt.ArrayLike,
        spectra: npt.ArrayLike,
        *,
        response: npt.ArrayLike | None = None,
        seed: int = 0,
    ) -> Self:
        """Learn from pairs.

        Args:
            rgb: shape (n, 3), linear values in the units of the track's images.
            spectra: shape (n, bands).
            response: shape (bands, 3), maps a spectrum to the linear values: rgb = s @ response.
            seed: seed of whatever is random in the method.

        Raises:
            DataError: the shapes disagree, values are not finite, or there are too few pairs.
            ConfigError: the method needs a response and got none.
        """
        x = np.asarray(rgb, dtype=np.float64)
        s = np.asarray(spectra, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != 3 or s.ndim != 2 or len(x) != len(s) or len(x) == 0:
            raise DataError(
                f"fit needs rgb of shape (n, 3) and spectra of shape (n, bands); "
                f"got {x.shape} and {s.shape}"
            )
        if not (np.isfinite(x).all() and np.isfinite(s).all()):
            raise DataError("fit needs finite values; remove the pixels that are NaN or infinite")
        if response is None:
            if self.needs_response:
                raise ConfigError(f"{self.card.name} needs the camera's response; pass response=")
            matrix = None
        else:
            matrix = np.asarray(response, dtype=np.float64)
            if matrix.shape != (s.shape[1], 3):
                raise DataError(f"response has shape ({s.shape[1]}, 3); got {matrix.shape}")
        self.tensors = {}
        self._fit(x, s, matrix, np.random.default_rng(seed))
        return self

    def predict(
        self, rgb: npt.ArrayLike, *, out: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[np.float32]:
        """Recover spectra.

        Args:
            rgb: shape (..., 3), linear values in the units of the images it was fitted on.
            out: array of the result's shape, float32 and C-contiguous, to write into.

        Returns:
            Shape (..., bands), float32, unclipped.

        Raises:
            DataError: the last axis does not hold three channels, a value is not finite, or
                ``out`` does not fit.
            ConfigError: the method has not been fitted.
        """
        x = np.asarray(rgb)
        if x.shape[-1:] != (3,):
            raise DataError(f"pixels have 3 channels R, G, B on the last axis; got {x.shape}")
        if not self.tensors:
            raise ConfigError(f"{self.card.name} has not been fitted; call fit or load weights")
        predictor = self._predictor()
        bands = predictor(np.zeros((1, 3))).shape[1]
        shape = (*x.shape[:-1], bands)
        if out is None:
            out = np.empty(shape, dtype=np.float32)
        elif out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
            raise DataError(
                f"out is a C-contiguous float32 array of shape {shape}; got {out.dtype} {out.shape}"
            )
        pixels, spectra = x.reshape(-1, 3), out.reshape(-1, bands)
        for start in range(0, len(pixels), _BLOCK):
            block = pixels[start : start + _BLOCK].astype(np.float64)
            if not np.isfinite(block).all():
                raise DataError("a pixel is NaN or infinite; repair the image first")
            spectra[start : start + _BLOCK] = predictor(block)
        return out

    def to_weights(
        self, contract: Contract, provenance: Mapping[str, Any] | None = None
    ) -> Weights:
        """What was learned, ready for :func:`respectra.methods.save_weights`.

        Raises:
            ConfigError: the method has not been fitted.
            DataError: the contract has another number of bands.
        """
        bands = self.predict(np.zeros((1, 3))).shape[1]
        if bands != contract.bands:
            raise DataError(f"the contract has {contract.bands} bands, the method {bands}")
        return Weights(
            method=self.card.name,
            config=self.options,
            contract=contract,
            tensors=dict(self.tensors),
            provenance=dict(provenance or {}),
        )

    @classmethod
    def from_weights(cls, weights: Weights) -> Self:
        """The fitted method that a weights file holds.

        Raises:
            ConfigError: the weights belong to another method.
            FormatError: the arrays do not fit the method or the contract.
        """
        if weights.method != cls.card.name:
            raise ConfigError(
                f"these weights belong to {weights.method!r}, not to {cls.card.name!r}"
            )
        method = cls(cast("C", weights.config))
        tensors = {name: np.asarray(array) for name, array in weights.tensors.items()}
        if not all(
            np.issubdtype(t.dtype, np.floating) and np.isfinite(t).all() for t in tensors.values()
        ):
            raise FormatError(f"the weights of {weights.method} are not all finite numbers")
        method.tensors = tensors
        try:
            shape = method._predictor()(np.full((2, 3), 0.5)).shape
        except (KeyError, ValueError, IndexError) as error:
            raise FormatError(f"the weights do not fit {weights.method}: {error}") from None
        if shape != (2, weights.contract.bands):
            raise FormatError(
                f"the weights of {weights.method} give {shape[-1]} bands, "
                f"their contract says {weights.contract.bands}"
            )
        return method

    @abstractmethod
    def _fit(
        self, rgb: Array, spectra: Array, response: Array | None, rng: np.random.Generator
    ) -> None:
        """Learn ``self.tensors`` from float64 arrays that have been checked."""

    @abstractmethod
    def _predictor(self) -> Callable[[Array], Array]:
        """Prepare ``self.tensors`` once; the function takes float64 pixels (n, 3) to (n, bands)."""


@dataclass(frozen=True)
class ClassicalEntry:
    """A classical method as the registry knows it."""

    method: type[ClassicalMethod[Any]]

    @property
    def card(self) -> Card:
        """What is known of the method."""
        return self.method.card

    @property
    def config(self) -> type[Config]:
        """Its options, with their defaults."""
        return self.method.config

    @property
    def presets(self) -> Mapping[str, Mapping[str, object]]:
        """Name -> options that differ from the defaults."""
        return self.method.presets

    def halo(self, options: Config) -> int:
        """Radius of the input that an output pixel depends on: none around the pixel itself."""
        return 0

    @property
    def needs_response(self) -> bool:
        """Whether it cannot be fitted without the camera's response."""
        return self.method.needs_response

    def build(self, options: Config) -> ClassicalMethod[Any]:
        """The method with these options, not fitted yet."""
        return self.method(options)

    def from_weights(self, weights: Weights) -> ClassicalMethod[Any]:
        """The fitted method that a weights file holds; raises as ``ClassicalMethod`` does."""
        return self.method.from_weights(weights)
