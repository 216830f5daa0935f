"""From numbers as they are stored to the values they stand for: missing ones, gain and offset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from respectra.cubes.formats.base import contiguous
from respectra.errors import FormatError
from respectra.typing import FloatArray

_BLOCK_BYTES = 2**24


@dataclass(frozen=True)
class Decoding:
    """What a file says of its numbers: value = stored * gain + offset, then over the divisor.

    Attributes:
        nodata: the number, in the file's own type, that stands for no measurement; of all bands
            or one a band.
        gain: of all bands, shape (1,), or one a band; None for 1.
        offset: likewise; None for 0.
        divisor: of all bands.
    """

    nodata: FloatArray | None = None
    gain: FloatArray | None = None
    offset: FloatArray | None = None
    divisor: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a scale that leaves nothing of any value."""
        if self.gain is not None and not np.any(self.gain):
            raise FormatError("all its gains are 0, with which no value is left; mend the file")

    @property
    def scales(self) -> bool:
        """Whether values are anything but the stored numbers."""
        return self.gain is not None or self.offset is not None or self.divisor != 1.0

    def apply(self, stored: npt.NDArray[Any], bands: slice) -> npt.NDArray[np.float32]:
        """The values of a part (y, x, band), float32; NaN where nothing was measured."""
        if self.nodata is None and not self.scales:
            return contiguous(stored)
        values = np.empty(stored.shape, np.float32)
        rows = max(1, _BLOCK_BYTES // max(1, 8 * stored[:1].size))
        for y in range(0, len(stored), rows):
            values[y : y + rows] = contiguous(self._block(stored[y : y + rows], bands))
        return values

    def _block(self, stored: npt.NDArray[Any], bands: slice) -> npt.NDArray[Any]:
        missing = None
        if self.nodata is not None:
            missing = stored == _of_type(_part(self.nodata, bands), stored.dtype)
        block = stored
        if self.scales:
            block = stored.astype(np.float64)
            if self.gain is not None:
                block = block * _part(self.gain, bands)
            if self.offset is not None:
                block = block + _part(self.offset, bands)
            if self.divisor != 1.0:
                block = block / self.divisor
        if missing is None or not missing.any():
            return block
        block = block.astype(np.float64 if block.dtype.kind != "f" else block.dtype)
        block[missing] = np.nan
        return block


def _part(per_band: FloatArray, bands: slice) -> FloatArray:
    return per_band if per_band.size == 1 else per_band[bands]


def _of_type(nodata: FloatArray, dtype: np.dtype[Any]) -> FloatArray:
    """As the file's type holds it: -3.4e38 in text is a float32 with more digits."""
    if dtype.kind != "f":
        return nodata
    with np.errstate(over="ignore"):
        return nodata.astype(dtype)


def per_band(values: object, bands: int, what: str) -> FloatArray | None:
    """Numbers of a file, one for all bands or one a band; None for none."""
    if values is None:
        return None
    try:
        numbers = np.asarray(values, np.float64).ravel()
    except (TypeError, ValueError):
        raise FormatError(f"{what} are numbers; got {values!r}") from None
    if numbers.size not in (1, bands):
        raise FormatError(f"{what} are {bands}, one a band; got {numbers.size}")
    return numbers


def unless_all(values: FloatArray | None, neutral: float) -> FloatArray | None:
    """None where all numbers do nothing."""
    if values is None or (values == neutral).all():
        return None
    if not np.isfinite(values).all():
        raise FormatError("gains and offsets are finite numbers")
    return values
