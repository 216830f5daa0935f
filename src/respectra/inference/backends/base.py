"""The interface of backends: what runs one set of weights on prepared pixels."""

from __future__ import annotations

import contextlib
import functools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr

from respectra.errors import ConfigError
from respectra.inference.memory import MemoryUse, measure_memory
from respectra.inference.tiling import Layout, Predictor, Tile
from respectra.methods import Card, Contract, Weights, get_method
from respectra.typing import Float32Array, FloatArray

if TYPE_CHECKING:
    from torch import Tensor

#: Means over a picture by number, in the order in which a method asks for them.
Means = Mapping[int, Float32Array]
#: What they are means of: sums over pixels, and how many these are.
Sums = dict[int, tuple[FloatArray, float]]
#: Methods of a network, besides its forward pass.
Output = Literal["coefficients", "uncertainty"]
#: What is said of values that are no codes.
EXACT_BITS = 32
#: Codes of more bits than these are as good as exact values.
CODE_BITS = 16
#: Look-up tables that are consistent are so with codes of this many bits.
TABLE_BITS = 8


def join_sums(parts: Iterable[Sums]) -> Sums:
    """The sums of several parts of a picture."""

    def join(one: Sums, other: Sums) -> Sums:
        return {n: (one[n][0] + other[n][0], one[n][1] + other[n][1]) for n in one}

    return functools.reduce(join, parts)


def means_of(sums: Sums) -> dict[int, Float32Array]:
    """The means."""
    return {n: (total / count).astype(np.float32) for n, (total, count) in sums.items()}


def bits_of(image: xr.DataArray) -> int:
    """Depth of the codes that an image's values came from."""
    return int(image.attrs.get("bits", EXACT_BITS))


@dataclass(frozen=True)
class Factors:
    """A method as coefficients of each pixel and the spectra that they weigh."""

    output: Output | Predictor
    """What gives the coefficients: a method of the network, or a function of pixels."""
    basis: Float32Array
    """Shape (component, band)."""
    mean: Float32Array | None
    """Shape (band,): what is added to the weighted sum."""
    clip: tuple[float | None, float | None]
    """Of the sum."""

    def expand(self, coefficients: Float32Array) -> Float32Array:
        """Spectra (..., band) of coefficients (..., component)."""
        spectra = coefficients.astype(np.float32, copy=False) @ self.basis
        if self.mean is not None:
            spectra += self.mean
        return spectra if self.clip == (None, None) else np.clip(spectra, *self.clip)


class Backend(ABC):
    """One set of weights, ready to run on a device: ``cpu``, ``cuda``, ...

    A call takes pixels (y, x, 3) as the contract prepares them and gives what the method makes of
    them, (y, x, band), float32; the contract finishes it. What only some methods have (means over
    the whole picture, an uncertainty, a basis) is here too, with the answer of those that lack it.
    """

    #: Whether means over the whole picture can be computed first and given to it.
    takes_means = False
    #: Whether its memory is that of its result alone, which cutting would only copy.
    is_light = False

    def __init__(self, weights: Weights, *, device: str = "cpu") -> None:
        self.weights, self.device = weights, device

    @abstractmethod
    def __call__(self, pixels: Float32Array) -> Float32Array:
        """(y, x, 3) -> (y, x, band)."""

    @property
    def on_device(self) -> bool:
        """Whether its answers lie on another device until they are fetched; it then has the
        methods :meth:`there` and :meth:`fetch`."""
        return False

    def there(self, pixels: Float32Array) -> Tensor:
        """The answer on the device."""
        raise NotImplementedError(f"{self.weights.method} runs on the processor")

    def fetch(self, spectra: Tensor) -> Float32Array:
        """Spectra of the device in this machine's memory."""
        raise NotImplementedError(f"{self.weights.method} runs on the processor")

    @property
    def contract(self) -> Contract:
        """What the weights expect and give."""
        return self.weights.contract

    @property
    def card(self) -> Card:
        """What is known of the method."""
        return get_method(self.weights.method).card

    @property
    def halo(self) -> int | None:
        """Radius in pixels of what decides on a pixel, beside means over the whole picture; None
        where it has no bound."""
        return get_method(self.weights.method).halo(self.weights.config)

    @property
    def says_uncertainty(self) -> bool:
        """Whether it has an output for how far off it may be."""
        return False

    @property
    def knows_codes(self) -> bool:
        """Whether it is told how images are quantised, and expects the lower bounds of codes."""
        return False

    @property
    def runs_by_colour(self) -> bool:
        """Whether each colour needs to be computed once only."""
        return self.halo == 0 and self.device == "cpu"

    def for_tiles(self, layout: Layout, bits: int, *, means: bool) -> Predictor:
        """What runs the tiles of a layout fastest, of codes of so many bits.

        ``means`` says whether means over the whole picture are given to it.
        """
        return self

    def kept_guarantees(self, bits: int) -> frozenset[str]:
        """Guarantees that it keeps by itself for pictures of so many bits."""
        return frozenset()

    def memory(self) -> MemoryUse:
        """Peak memory of a piece."""
        return measure_memory(self.weights, engine="torch")

    def conditioned(self, bits: int) -> AbstractContextManager[None]:
        """Within this block it knows of how many bits the values are."""
        return contextlib.nullcontext()

    def mean_passes(self) -> list[frozenset[int]]:
        """The numbers of the means that are taken in each pass over a picture; each pass needs
        those of the passes before it."""
        raise NotImplementedError(f"{self.weights.method} takes no means")

    def sums(
        self,
        pixels: Float32Array,
        tile: Tile,
        layout: Layout,
        *,
        wanted: frozenset[int],
        known: Means,
        weight: Float32Array | None = None,
    ) -> Sums:
        """What a tile adds to the means of one pass.

        Args:
            pixels: what the tile reads, (y, x, 3).
            tile: where it lies.
            layout: of the whole picture.
            wanted: the numbers of the means.
            known: the means of earlier passes.
            weight: how often each pixel that the tile keeps counts, (y, x); once by default.
        """
        raise NotImplementedError(f"{self.weights.method} takes no means")

    def given(self, means: Sequence[Float32Array]) -> AbstractContextManager[None]:
        """Within this block it uses these means in place of those of what it sees."""
        raise NotImplementedError(f"{self.weights.method} takes no means")

    def giving(self, output: Output) -> AbstractContextManager[None]:
        """Within this block it answers with something else than spectra."""
        raise NotImplementedError(f"{self.weights.method} gives spectra alone")

    def factors(self, rank: int | None, tolerance: float) -> Factors:
        """Coefficients and basis, in the scale of the method; see ``low_rank.factorise``.

        A method that is affine in R, G, B (``pca``, ``wiener``, ``pseudo-inverse``) has the pixel
        itself for coefficients.

        Raises:
            ConfigError: it has more to it.
        """
        probes = np.random.default_rng(0).random((1, 60, 3), dtype=np.float32)
        corners = np.concatenate([np.zeros((1, 3)), np.eye(3)]).astype(np.float32)
        found = self(corners[None])[0]
        offset, matrix = found[0], found[1:] - found[0]
        expected = self(probes)[0]
        limit = 1e-5 * np.abs(expected).max()
        if not np.allclose(probes[0] @ matrix + offset, expected, atol=limit):
            raise self._without_basis()
        clip = (self.contract.clip_low, self.contract.clip_high)
        return Factors(np.ascontiguousarray, matrix, offset, clip)

    def _without_basis(self) -> ConfigError:
        return ConfigError(
            f"{self.weights.method} gives spectra, not weights on a basis; bake it into a table "
            "(respectra bake), which gives both"
        )
