"""A basis of spectra that grows until every pixel of a scene is represented well enough."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from respectra.typing import Float32Array

#: Largest error of a value over the scene's largest; rounding to half precision adds about as much.
TOLERANCE = 2.5e-4
MAX_RANK = 32
#: Coefficients are kept this much larger, and the basis smaller: half precision is coarse, and
#: slow to convert, below 6e-5.
_ENLARGED = np.float32(64.0)
#: What is left of a direction of length 1 that is worth a vector of its own.
_NEW = 1e-4
#: Pixels that the first fit looks at.
_SAMPLE = 20_000


class GrowingBasis:
    """Orthonormal spectra; a pixel is its coefficients on them.

    The basis is fitted to a sample by singular values, without a mean, so that k times the light
    has exactly k times the coefficients. Pixels that it does not reach within the tolerance extend
    it; coefficients computed before stay right, with zeros for the vectors that came later.

    Args:
        sample: shape (pixel, band), finite.
        max_rank: vectors at most.
    """

    def __init__(self, sample: Float32Array, *, max_rank: int = MAX_RANK) -> None:
        step = max(1, len(sample) // _SAMPLE)
        some = sample[::step]
        self.scale = float(np.abs(some).max()) or 1.0
        self.max_rank = min(max_rank, sample.shape[1])
        self._vectors = np.zeros((0, sample.shape[1]), np.float32)
        self._extend(some / np.float32(self.scale))

    @property
    def rank(self) -> int:
        """Number of vectors so far."""
        return len(self._vectors)

    @property
    def spectra(self) -> Float32Array:
        """The basis in the units of the cube, shape (rank, band)."""
        return self._vectors * (np.float32(self.scale) / _ENLARGED)

    def encode(self, pixels: Float32Array) -> tuple[npt.NDArray[np.float16], float]:
        """Coefficients of pixels, shape (pixel, rank), and the largest error of a value.

        The basis grows when it has to and may; the error is what then remains, in the cube's
        units, rounding to half precision included.
        """
        values = pixels / np.float32(self.scale)
        stored, worst = self._stored(values)
        if self.rank < self.max_rank and worst.max(initial=0.0) > TOLERANCE:
            # Rounding alone can be that large, so that only the exact residual tells.
            suspects = self._residual(values[worst > TOLERANCE])
            missed = np.abs(suspects).max(axis=1) > TOLERANCE
            if missed.any():
                self._extend(suspects[missed])
                stored, worst = self._stored(values)
        return stored, float(worst.max(initial=0.0)) * self.scale

    def _stored(self, values: Float32Array) -> tuple[npt.NDArray[np.float16], Float32Array]:
        """Coefficients as they are kept, and each pixel's largest error with them."""
        stored = (values @ (self._vectors.T * _ENLARGED)).astype(np.float16)
        gap = stored.astype(np.float32) @ (self._vectors / _ENLARGED)
        gap -= values
        return stored, np.asarray(np.maximum(gap.max(axis=1), -gap.min(axis=1)), np.float32)

    def _residual(self, values: Float32Array) -> Float32Array:
        return np.asarray(values - (values @ self._vectors.T) @ self._vectors, np.float32)

    def _extend(self, values: Float32Array) -> None:
        """Add the leading directions of what the basis misses until the tolerance is met."""
        remaining = values
        while self.rank < self.max_rank and len(remaining):
            exact = remaining.astype(np.float64)
            power, directions = np.linalg.eigh(exact.T @ exact)
            # A direction whose mean strength is visible is needed by some pixel for certain; of
            # the others two at a time, since the worst pixels of the rest may point elsewhere.
            certain = int((power > len(exact) * (TOLERANCE / 2) ** 2).sum())
            count = min(max(2, certain), self.max_rank - self.rank)
            fresh = directions[:, ::-1][:, :count].T
            rank = self.rank
            self._append(fresh.astype(np.float32))
            if self.rank == rank:
                return  # what remains is rounding
            remaining = self._residual(values)
            worst = np.abs(remaining).max(axis=1)
            remaining = remaining[worst > TOLERANCE / 2]

    def _append(self, fresh: Float32Array) -> None:
        known = self._vectors.astype(np.float64)
        for row in fresh.astype(np.float64):
            for _ in range(2):  # twice is enough for orthogonality in double precision
                row = row - (known @ row) @ known
            length = float(np.linalg.norm(row))
            if length > _NEW:
                known = np.concatenate([known, row[None] / length])
        self._vectors = known.astype(np.float32)
