"""Methods without a network: fitted classical ones in NumPy, and look-up tables."""

from __future__ import annotations

from respectra.inference.backends.base import TABLE_BITS, Backend, Factors
from respectra.inference.memory import RESERVE, MemoryUse
from respectra.methods import Weights, get_classical
from respectra.typing import Float32Array


class ClassicalBackend(Backend):
    """A fitted classical method."""

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self._method = get_classical(weights.method).from_weights(weights)

    def __call__(self, pixels: Float32Array) -> Float32Array:
        """(y, x, 3) -> (y, x, band)."""
        return self._method.predict(pixels)


class TableBackend(Backend):
    """A method baked into a look-up table."""

    is_light = True

    def __init__(self, weights: Weights) -> None:
        from respectra.inference.tables.table import Table

        super().__init__(weights)
        self.table = Table.from_weights(weights)

    def __call__(self, pixels: Float32Array) -> Float32Array:
        """(y, x, 3) -> (y, x, band)."""
        return self.table.apply(pixels)

    @property
    def runs_by_colour(self) -> bool:
        """No: looking a pixel up takes less than telling its colour from the others."""
        return False

    def kept_guarantees(self, bits: int) -> frozenset[str]:
        """Those that it was baked with; consistency holds for codes of 8 bits."""
        kept = frozenset(self.table.facts.guarantees)
        return kept if bits == TABLE_BITS else kept - {"consistent"}

    def memory(self) -> MemoryUse:
        """That of picture and cube."""
        return MemoryUse(RESERVE, 4.0 * (3 + self.contract.bands))

    def factors(self, rank: int | None, tolerance: float) -> Factors:
        """The leading spectra of its nodes."""
        table = self.table
        basis = table.basis(rank, tolerance=tolerance)
        clip = (table.facts.clip_low, table.facts.clip_high)
        return Factors(lambda pixels: table.coefficients(pixels, basis), basis, None, clip)
