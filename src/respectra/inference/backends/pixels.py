"""Networks of single pixels in NumPy, which start without PyTorch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from respectra.errors import FormatError
from respectra.inference.backends.base import CODE_BITS, Backend, Factors, Means, Sums
from respectra.inference.memory import MARGIN, RESERVE, MemoryUse
from respectra.inference.tiling import Layout, Tile
from respectra.methods import Weights, get_network
from respectra.methods.network import PixelNetwork
from respectra.threads import for_blocks, one_blas_thread
from respectra.typing import Float32Array

#: Pixels that are computed together: their hidden values stay in the cache.
_TOGETHER = 2048


class PixelBackend(Backend):
    """A network of single pixels and of means over them, in NumPy.

    Args:
        weights: of the network.
        network: it, in NumPy.
    """

    takes_means = True
    knows_codes = True

    def __init__(self, weights: Weights, network: PixelNetwork) -> None:
        super().__init__(weights)
        self._pixels = network
        self._means: Sequence[Float32Array] = ()
        self._output: str | None = None

    def __call__(self, pixels: Float32Array) -> Float32Array:
        """(y, x, 3) -> (y, x, band), by blocks of pixels that are the same for any threads."""
        network, means = self._pixels, self._means or self._own_means(pixels)
        basis = network.basis
        flat = np.ascontiguousarray(pixels, np.float32).reshape(-1, pixels.shape[2])
        values = basis.shape[0 if self._output == "coefficients" else 1]
        out = np.empty((len(flat), values), np.float32)

        def work(start: int, stop: int) -> None:
            block = flat[start:stop]
            if self._output is None:
                np.matmul(network.coefficients(block, means), basis, out=out[start:stop])
            else:
                out[start:stop] = getattr(network, self._output)(block, means)

        with one_blas_thread():
            for_blocks(work, len(flat), _TOGETHER)
        return out.reshape(*pixels.shape[:2], values)

    def _own_means(self, pixels: Float32Array) -> list[Float32Array]:
        """Means over the pixels themselves."""
        means: list[Float32Array] = []
        for _ in range(self._pixels.means):
            total = self._summed(pixels, None, means)
            means.append((total / (pixels.shape[0] * pixels.shape[1])).astype(np.float32))
        return means

    def _summed(self, pixels: Float32Array, weight: Any, means: Sequence[Float32Array]) -> Any:
        """The sum of what the mean after these is over, (1, values, 1, 1), float64."""
        flat = np.ascontiguousarray(pixels, np.float32).reshape(-1, pixels.shape[2])
        weights = None if weight is None else weight.reshape(-1, 1)
        starts = range(0, len(flat), _TOGETHER)
        sums: list[Any] = [None] * len(starts)

        def work(start: int, stop: int) -> None:
            values = self._pixels.averaged(flat[start:stop], means).astype(np.float64)
            if weights is not None:
                values *= weights[start:stop]
            sums[start // _TOGETHER] = values.sum(axis=0)

        with one_blas_thread():
            for_blocks(work, len(flat), _TOGETHER)
        return np.sum(sums, axis=0).reshape(1, -1, 1, 1)

    def mean_passes(self) -> list[frozenset[int]]:
        """One mean after the other."""
        return [frozenset({number}) for number in range(self._pixels.means)]

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
        """Sums over the pixels that the tile keeps."""
        (number,) = wanted
        kept = pixels[
            tuple(
                slice(keep.start - read.start, keep.stop - read.start)
                for keep, read in zip(tile.keep, tile.read, strict=True)
            )
        ]
        total = self._summed(kept, weight, [known[n] for n in range(number)])
        count = kept.shape[0] * kept.shape[1] if weight is None else weight.sum(dtype=np.float64)
        return {number: (total, float(count))}

    @contextlib.contextmanager
    def given(self, means: Sequence[Float32Array]) -> Iterator[None]:
        """Within this block the network uses these means in place of those of what it sees."""
        before, self._means = self._means, means
        try:
            yield
        finally:
            self._means = before

    @contextlib.contextmanager
    def conditioned(self, bits: int) -> Iterator[None]:
        """Within this block the network knows of how many bits its values are."""
        before = self._pixels.get_step()
        self._pixels.set_step(before if bits > CODE_BITS else 1.0 / (2**bits - 1))
        try:
            yield
        finally:
            self._pixels.set_step(before)

    @contextlib.contextmanager
    def giving(self, output: str) -> Iterator[None]:
        """Within this block the network answers by another of its methods: ``coefficients``, ..."""
        self._output = output
        try:
            yield
        finally:
            self._output = None

    @property
    def says_uncertainty(self) -> bool:
        """Yes."""
        return True

    def memory(self) -> MemoryUse:
        """That of the pixels' values and spectra; the rest is of some blocks."""
        return MemoryUse(RESERVE, MARGIN * 4.0 * (self.contract.bands + 2 * 3))

    def factors(self, rank: int | None, tolerance: float) -> Factors:
        """Those of the network."""
        clip = (self.contract.clip_low, self.contract.clip_high)
        return Factors("coefficients", self._pixels.basis, None, clip)


def pixel_backend(weights: Weights) -> PixelBackend | None:
    """A network in NumPy, or None where it has to run in PyTorch.

    Raises:
        FormatError: the tensors are not those that the configuration needs.
    """
    make = get_network(weights.method).in_numpy
    network = make and make(weights.config, weights.tensors)
    if network is None or network.denoises:
        return None
    backend = PixelBackend(weights, network)
    try:
        backend(np.zeros((1, 1, 3), np.float32))
    except (KeyError, ValueError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise FormatError(
            f"the weights do not fit {weights.method} as configured: {what}"
        ) from None
    return backend
