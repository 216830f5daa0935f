"""What every classical method is: fitted on pairs of RGB and spectrum, applied to pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from respectra.config import Config
from respectra.errors import ConfigError, DataError
from respectra.methods.card import Card

Array = npt.NDArray[Any]


class ClassicalMethod(ABC):
    """A per-pixel method. An instance is one configuration, fitted or not yet.

    Subclasses set ``card``, ``config`` and ``presets``, and implement ``_fit``, ``_predict``. What
    they learn they keep in ``self.tensors``, a dict of float arrays: that is all that is saved.
    """

    card: ClassVar[Card]
    config: ClassVar[type[Config]] = Config
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    """Name -> options that differ from the defaults, for variants worth a name."""
    needs_response: ClassVar[bool] = False
    """Whether ``fit`` cannot do without the camera's response."""

    def __init__(self, options: Config | None = None) -> None:
        self.options = self.config() if options is None else options
        self.tensors: dict[str, Array] = {}

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

    def predict(self, rgb: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Recover spectra.

        Args:
            rgb: shape (..., 3), linear values in the units of the images it was fitted on.

        Returns:
            Shape (..., bands), float32, unclipped.

        Raises:
            DataError: the last axis does not hold three channels.
            ConfigError: the method has not been fitted.
        """
        x = np.asarray(rgb)
        if x.shape[-1:] != (3,):
            raise DataError(f"pixels have 3 channels R, G, B on the last axis; got {x.shape}")
        if not self.tensors:
            raise ConfigError(f"{self.card.name} has not been fitted; call fit or load weights")
        flat = np.ascontiguousarray(x.reshape(-1, 3), dtype=np.float64)
        spectra = self._predict(flat)
        return spectra.astype(np.float32, copy=False).reshape(*x.shape[:-1], -1)

    @abstractmethod
    def _fit(
        self, rgb: Array, spectra: Array, response: Array | None, rng: np.random.Generator
    ) -> None:
        """Learn ``self.tensors`` from float64 arrays that have been checked."""

    @abstractmethod
    def _predict(self, rgb: Array) -> Array:
        """Spectra (n, bands) of pixels (n, 3)."""
