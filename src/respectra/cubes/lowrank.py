"""Low-rank cubes: a few coefficients a pixel, and the spectra that they weigh.

:meth:`LowRankCube.lazy` is an ordinary labelled array on top of the factors, whose values are
computed when and where they are asked for: a band costs a band, a pixel a pixel. ``require_cube``
takes that way; so every function of the package that takes a cube takes a low-rank cube too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from xarray.core import indexing

from respectra.cubes.model import DIMS, LazyArray, check_wavelengths, cube_on, make_cube
from respectra.cubes.resampling import Method, resample
from respectra.errors import DataError

Clip = tuple[float | None, float | None]

#: Values expanded at a time: what they need in between stays in the processor's cache.
_BLOCK_VALUES = 1 << 20


class LowRankCube:
    """A cube as coefficients times basis, plus a mean spectrum, clipped where its method clips.

    Args:
        coefficients: shape (y, x, k), float32 or float16; kept, not copied.
        basis: shape (k, band): the spectra that the coefficients weigh.
        wavelengths_nm: shape (band,), nm, ascending.
        mean: shape (band,), added to every pixel; none by default.
        clip: least and greatest value of an expanded cube; None for no limit.
        attrs: those of a cube: ``quantity``, ``units``, ``source``, ...

    Raises:
        DataError: the shapes disagree, something is empty, or the basis is not finite.

    Example:
        >>> import numpy as np
        >>> cube = LowRankCube(np.ones((2, 3, 1), np.float32), [[1.0, 2.0]], [400.0, 500.0])
        >>> cube.band(500.0).values.tolist()
        [[2.0, 2.0, 2.0], [2.0, 2.0, 2.0]]
    """

    def __init__(
        self,
        coefficients: npt.NDArray[np.floating],
        basis: npt.ArrayLike,
        wavelengths_nm: npt.ArrayLike,
        *,
        mean: npt.ArrayLike | None = None,
        clip: Clip = (None, None),
        attrs: Mapping[str, Any] | None = None,
    ) -> None:
        grid = check_wavelengths(wavelengths_nm)
        spectra = np.ascontiguousarray(basis, dtype=np.float32)
        offset = np.zeros(grid.size, np.float32) if mean is None else np.asarray(mean, np.float32)
        if coefficients.ndim != 3 or coefficients.size == 0:
            raise DataError(f"coefficients have shape (y, x, k); got {coefficients.shape}")
        if coefficients.dtype not in (np.float32, np.float16):
            raise DataError(f"coefficients are float32 or float16; got {coefficients.dtype}")
        if spectra.shape != (coefficients.shape[2], grid.size) or offset.shape != (grid.size,):
            raise DataError(
                f"{coefficients.shape[2]} coefficients at {grid.size} wavelengths need a basis of "
                f"shape {(coefficients.shape[2], grid.size)} and a mean of shape {(grid.size,)}; "
                f"got {spectra.shape} and {offset.shape}"
            )
        if not (np.isfinite(spectra).all() and np.isfinite(offset).all()):
            raise DataError("the basis and the mean hold finite values; got NaN or infinite ones")
        self.coefficients = coefficients
        self.basis = spectra
        self.mean = offset
        self.wavelengths_nm = grid
        self.clip = clip
        plain: dict[str, Any] = {"quantity": "radiance", "units": "relative", "source": ""}
        self.attrs = plain | dict(attrs or {})

    @property
    def shape(self) -> tuple[int, int, int]:
        """(y, x, band) of the cube that it stands for."""
        rows, columns, _ = self.coefficients.shape
        return rows, columns, self.wavelengths_nm.size

    @property
    def rank(self) -> int:
        """Coefficients a pixel."""
        return int(self.coefficients.shape[2])

    @property
    def nbytes(self) -> int:
        """Bytes that the factors take."""
        return self.coefficients.nbytes + self.basis.nbytes + self.mean.nbytes

    def __repr__(self) -> str:
        return f"<LowRankCube {dict(zip(DIMS, self.shape, strict=True))}, rank {self.rank}>"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        values = self._expand((slice(None), slice(None), slice(None)))
        return values if dtype is None else values.astype(dtype, copy=False)

    def band(self, wavelength_nm: float) -> xr.DataArray:
        """The band nearest to a wavelength, dims (y, x)."""
        return self.lazy().sel(wavelength=wavelength_nm, method="nearest").load()

    def pixel(self, y: int, x: int) -> xr.DataArray:
        """The spectrum of one pixel, dims (wavelength,).

        Raises:
            DataError: it lies outside.
        """
        rows, columns, _ = self.shape
        if not (0 <= y < rows and 0 <= x < columns):
            raise DataError(f"pixel ({y}, {x}) lies outside of {rows} x {columns} pixels")
        return self.lazy()[y, x].load()

    def crop(self, y: slice, x: slice) -> LowRankCube:
        """A region, still low-rank; a view of the coefficients.

        Raises:
            DataError: the region is empty.
        """
        return self._with(coefficients=self.coefficients[y, x])

    def resample(
        self,
        wavelengths_nm: npt.ArrayLike,
        method: Method = "linear",
        *,
        extrapolate: bool = False,
    ) -> LowRankCube:
        """At other wavelengths, by resampling the basis: the pixels are not touched.

        The same as ``respectra.cubes.resample`` of the expanded cube, except where the clip cuts:
        here it cuts after resampling.

        Raises:
            DataError, ConfigError: as ``respectra.cubes.resample``.
        """
        spectra = make_cube(np.vstack([self.basis, self.mean])[None], self.wavelengths_nm)
        resampled = resample(spectra, wavelengths_nm, method, extrapolate=extrapolate)
        *basis, mean = resampled.values[0]
        grid = resampled["wavelength"].values
        return self._with(basis=np.stack(basis), mean=mean, wavelengths_nm=grid)

    def to_cube(self) -> xr.DataArray:
        """The ordinary cube, expanded in memory."""
        cube = make_cube(self._expand((slice(None),) * 3), self.wavelengths_nm)
        cube.attrs = dict(self.attrs)
        return cube

    def lazy(self) -> xr.DataArray:
        """An ordinary cube whose values are expanded when, and where, they are asked for."""
        values = LazyArray(self.shape, np.float32, self._expand)
        return cube_on(indexing.LazilyIndexedArray(values), self.wavelengths_nm, self.attrs)

    def _expand(self, key: tuple[Any, Any, Any]) -> npt.NDArray[Any]:
        """Values at an index of integers and slices."""
        rows, columns, bands = key
        basis, mean = self.basis[:, bands], self.mean[bands]
        part = self.coefficients[rows, columns]
        flat = part.reshape(-1, self.rank)
        out = np.empty((len(flat), *basis.shape[1:]), np.float32)
        step = max(1, _BLOCK_VALUES // max(1, self.rank, basis[0].size))
        for start in range(0, len(flat), step):
            block = out[start : start + step]
            np.matmul(flat[start : start + step].astype(np.float32, copy=False), basis, out=block)
            block += mean
            if self.clip != (None, None):
                np.clip(block, *self.clip, out=block)
        return out.reshape((*part.shape[:-1], *basis.shape[1:]))

    def _with(self, **changes: Any) -> LowRankCube:
        factors: dict[str, Any] = {
            "coefficients": self.coefficients,
            "basis": self.basis,
            "wavelengths_nm": self.wavelengths_nm,
            "mean": self.mean,
        }
        return LowRankCube(**(factors | changes), clip=self.clip, attrs=self.attrs)
