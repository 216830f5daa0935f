"""What every metric shares: a checked pair of arrays, and sums over it in NumPy or torch.

A metric is written once, as a *term* of two arrays in operations that NumPy and torch have in
common. NumPy pairs are walked through in blocks of rows that fit in the processor's cache, each
converted to float64, so that no whole cube is copied and every sum is accurate; torch pairs are
handled whole and in their own precision, so that results can be differentiated and stay on their
device.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import xarray as xr

from respectra.errors import ConfigError, DataError

#: A NumPy array, a torch tensor or a cube (``xarray.DataArray``).
Array: TypeAlias = Any
#: ``mean``: the mean over images, as the challenge ranks. ``none``: one score an image.
Reduction = Literal["mean", "none"]
Term: TypeAlias = Callable[[Array, Array], Array]

#: Values in one NumPy block: 512 KiB as float64, which stays in a core's own cache.
_BLOCK_VALUES = 65_536


def namespace(array: Array) -> Any:
    """The module whose functions act on ``array``: ``numpy`` or ``torch``."""
    return sys.modules["torch"] if is_tensor(array) else np


def is_tensor(array: Array) -> bool:
    """Whether ``array`` is a torch tensor; never imports torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def root(values: Array) -> Array:
    """Square root whose gradient at zero is zero rather than infinite."""
    xp = namespace(values)
    if xp is np:
        return np.sqrt(values)
    zero = values == 0
    return xp.where(zero, 0.0, xp.sqrt(xp.where(zero, 1.0, values)))


@dataclass(frozen=True)
class Pair:
    """Truth and estimate of one shape (..., y, x, band), of one kind, not yet checked for NaN."""

    truth: Array
    estimate: Array
    wavelengths_nm: Array | None = None
    quantity: str | None = None

    @classmethod
    def of(cls, truth: Array, estimate: Array, band_axis: int = -1) -> Pair:
        """Check two arrays and bring them to (..., y, x, band) without copying.

        Args:
            truth: shape (..., y, x, band), or with the bands at ``band_axis``; real numbers.
            estimate: the same shape and kind.
            band_axis: where the bands are, -1 or -3. A cube knows and ignores it.

        Raises:
            DataError: different shapes, kinds or wavelengths, too few dimensions, nothing inside.
            ConfigError: another ``band_axis``.
        """
        if band_axis not in (-1, -3):
            raise ConfigError(f"Expected band_axis -1 or -3, got {band_axis!r}")
        wavelengths_nm, quantity = _labels(truth, estimate)
        arrays = [_values(a, band_axis, n) for a, n in ((truth, "truth"), (estimate, "estimate"))]
        if is_tensor(arrays[0]) != is_tensor(arrays[1]):
            kinds = [type(a).__name__ for a in arrays]
            raise DataError(
                f"Expected truth and estimate of one kind, got {kinds[0]} and {kinds[1]}; "
                "convert one of them"
            )
        shapes = [tuple(a.shape) for a in arrays]
        if shapes[0] != shapes[1]:
            raise DataError(
                f"Expected truth and estimate of one shape (..., y, x, band), got {shapes[0]} "
                f"and {shapes[1]}; crop or resample one of them"
            )
        return cls(arrays[0], arrays[1], wavelengths_nm, quantity)

    @property
    def lead(self) -> tuple[int, ...]:
        """Shape of the leading axes: () for one image."""
        return tuple(self.truth.shape[:-3])

    @property
    def pixels(self) -> int:
        """Pixels of one image."""
        return int(self.truth.shape[-3] * self.truth.shape[-2])

    @property
    def bands(self) -> int:
        """Bands of one image."""
        return int(self.truth.shape[-1])

    @property
    def xp(self) -> Any:
        """``numpy`` or ``torch``."""
        return namespace(self.truth)

    def constant(self, values: Array) -> Array:
        """A small array of numbers in the kind and precision in which terms are computed."""
        if is_tensor(self.truth):
            return self.xp.as_tensor(values, dtype=self.truth.dtype, device=self.truth.device)
        return np.asarray(values, dtype=np.float64)

    def blocks(self) -> Iterator[tuple[tuple[Any, ...], Array, Array]]:
        """Index into (..., y), and truth and estimate there: float64 blocks, or a whole tensor."""
        if is_tensor(self.truth):
            yield (...,), self.truth, self.estimate
            return
        height, width, bands = self.truth.shape[-3:]
        rows = max(1, _BLOCK_VALUES // (width * bands))
        for image in np.ndindex(*self.lead):
            truth, estimate = self.truth[image], self.estimate[image]
            for start in range(0, height, rows):
                block = slice(start, start + rows)
                yield (
                    (*image, block),
                    truth[block].astype(np.float64),
                    estimate[block].astype(np.float64),
                )

    def sums(self, term: Term, *, by_band: bool = False) -> Array:
        """Sum a term over each image: shape lead, or (*lead, band) with ``by_band``."""
        if is_tensor(self.truth):
            return _total(term(self.truth, self.estimate), len(self.lead), by_band)
        out: Array = np.zeros((*self.lead, self.bands) if by_band else self.lead)
        with np.errstate(all="ignore"):  # what is not finite is explained by finish()
            for index, truth, estimate in self.blocks():
                out[index[:-1]] += _total(term(truth, estimate), 0, by_band)
        return out

    def map(self, term: Term) -> Array:
        """A term with one value a pixel, as an array of shape (..., y, x)."""
        if is_tensor(self.truth):
            return term(self.truth, self.estimate)
        out: Array = np.empty(self.truth.shape[:-1])
        with np.errstate(all="ignore"):
            for index, truth, estimate in self.blocks():
                out[index] = term(truth, estimate)
        return out

    def require_finite(self) -> None:
        """Refuse NaN and infinite values.

        Raises:
            DataError: names how many there are, in which array, and where the first one is.
        """
        for name, array in (("truth", self.truth), ("estimate", self.estimate)):
            bad = ~self.xp.isfinite(array)
            count = int(bad.sum())
            if count:
                flat = int(self.xp.argmax(bad.reshape(-1) * 1))
                where = tuple(int(i) for i in np.unravel_index(flat, tuple(array.shape)))
                raise DataError(
                    f"Expected finite values, got {count} NaN or infinite in {name}, the first at "
                    f"{where} (..., y, x, band); replace or mask them before scoring"
                )

    def finish(self, scores: Array, reduction: Reduction) -> Array:
        """Reduce the scores of images (lead axes first), after checking that they are numbers.

        Raises:
            DataError: truth or estimate holds NaN or infinite values, or the result is NaN.
            ConfigError: unknown reduction.
        """
        if reduction not in get_args(Reduction):
            raise ConfigError(f"Expected reduction 'mean' or 'none', got {reduction!r}")
        xp = namespace(scores)
        if not bool(xp.isfinite(scores).all()):
            self.require_finite()
            if bool(xp.isnan(scores).any()):
                raise DataError(
                    "Expected values whose error can be computed, got an overflow; "
                    "bring truth and estimate to a sensible scale"
                )
        if reduction == "mean" and self.lead:
            scores = scores.mean(axis=tuple(range(len(self.lead))))
        return float(scores) if xp is np and np.ndim(scores) == 0 else scores


def _total(values: Array, lead: int, by_band: bool) -> Array:
    axes = tuple(range(lead, values.ndim - by_band))
    return values.sum(axis=axes)


def _labels(truth: Array, estimate: Array) -> tuple[Array | None, str | None]:
    """Wavelengths and quantity where truth or estimate is a cube; both must agree."""
    cubes = [a for a in (truth, estimate) if isinstance(a, xr.DataArray)]
    grids = [np.asarray(c["wavelength"].values) for c in cubes if "wavelength" in c.coords]
    if len(grids) == 2 and not (
        grids[0].shape == grids[1].shape and np.allclose(grids[0], grids[1], rtol=0, atol=1e-6)
    ):
        raise DataError(
            f"Expected truth and estimate at the same wavelengths, got {_span(grids[0])} and "
            f"{_span(grids[1])}; resample one of them (respectra evaluate --resample 400:700:10)"
        )
    quantities = [c.attrs["quantity"] for c in cubes if "quantity" in c.attrs]
    return (grids[0] if grids else None), (quantities[0] if quantities else None)


def _span(grid: Array) -> str:
    return f"{grid.size} bands from {grid[0]:g} to {grid[-1]:g} nm" if grid.size else "no bands"


def _values(array: Array, band_axis: int, name: str) -> Array:
    """The bare array with its bands last; floating point if it is a tensor."""
    if isinstance(array, xr.DataArray):
        if "wavelength" in array.dims:
            others = [d for d in array.dims if d != "wavelength"]
            array, band_axis = array.transpose(*others, "wavelength"), -1
        array = array.values
    if is_tensor(array):
        real = not array.is_complex() and str(array.dtype) != "torch.bool"
    else:
        array = np.asarray(array)
        real = array.dtype.kind in "fiu"
    if not real:
        raise DataError(f"Expected real numbers in {name}, got values of type {array.dtype}")
    if array.ndim < 3:
        raise DataError(
            f"Expected {name} of shape (..., y, x, band), got {tuple(array.shape)}; "
            "a single spectrum s is s[None, None, :]"
        )
    if 0 in array.shape:
        raise DataError(
            f"Expected at least one pixel and one band, got {name} of shape {tuple(array.shape)}"
        )
    if is_tensor(array):
        if not array.is_floating_point():
            array = array.double()
        elif array.element_size() < 4:  # half precision: three digits are too few for a mean
            array = array.float()
        return array.movedim(band_axis, -1)
    return np.moveaxis(array, band_axis, -1)
