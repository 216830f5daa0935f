"""The image: an RGB picture as a labelled array."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.arrays import labelled_array
from respectra.errors import DataError

#: Dimensions of an image, in order.
DIMS = ("y", "x", "channel")
CHANNELS = ("R", "G", "B")
#: ``linear``: codes / (2**bits - 1) as the camera gave them. ``srgb``: encoded for a display.
Encoding = Literal["linear", "srgb"]


def make_image(
    values: npt.ArrayLike,
    *,
    encoding: Encoding = "linear",
    bits: int = 8,
    track: str = "unknown",
    **attrs: Any,
) -> xr.DataArray:
    """Label an array as an image.

    Args:
        values: shape (y, x, 3), R, G, B, floating point in [0, 1]; stored as float32.
        encoding: ``linear`` or ``srgb``.
        bits: depth of the codes that the values came from.
        track: name of the track that made it.
        attrs: further facts worth keeping with the image.

    Raises:
        DataError: wrong shape, integer codes, values that are not finite or outside [0, 1].

    Example:
        >>> import respectra as rs
        >>> image = rs.make_image([[[0.2, 0.4, 0.6]]])
        >>> image.dims, image.attrs["encoding"]
        (('y', 'x', 'channel'), 'linear')
    """
    array = np.asarray(values)
    if array.ndim != 3 or array.shape[2] != 3:
        raise DataError(f"an image has shape (y, x, 3); got {array.shape}")
    if array.size == 0:
        raise DataError(f"an image needs at least one pixel; got shape {array.shape}")
    if not np.issubdtype(array.dtype, np.floating):
        raise DataError(
            f"an image holds values in [0, 1]; got {array.dtype}: divide by 2**bits - 1"
        )
    if encoding not in get_args(Encoding):
        raise DataError(f"encoding is 'linear' or 'srgb'; got {encoding!r}")
    low, high = float(array.min()), float(array.max())
    if not (low >= 0.0 and high <= 1.0):  # also catches NaN
        raise DataError(f"an image holds values in [0, 1]; got [{low:g}, {high:g}]")
    return labelled_array(
        array.astype(np.float32, copy=False),
        DIMS,
        channels=CHANNELS,
        attrs={"encoding": encoding, "bits": bits, "track": track, **attrs},
        name="image",
    )


def require_image(image: object) -> xr.DataArray:
    """Return ``image`` when it is one: dims (y, x, channel) with channels R, G, B.

    Raises:
        DataError: it is something else, which the message says, or a value is not finite.

    Example:
        >>> import respectra as rs
        >>> image = rs.make_image([[[0.2, 0.4, 0.6]]])
        >>> require_image(image).identical(image)
        True
    """
    if not isinstance(image, xr.DataArray):
        raise DataError(
            f"an image is an xarray.DataArray, got {type(image).__name__}; "
            "label an array with respectra.make_image(values)"
        )
    if tuple(image.dims) != DIMS or image.sizes["channel"] != 3:
        raise DataError(
            f"an image has dimensions (y, x, channel = R, G, B), got {dict(image.sizes)}"
        )
    values = np.asarray(image.values)
    if values.dtype.kind == "f" and not (np.isfinite(values.min()) and np.isfinite(values.max())):
        bad = int((~np.isfinite(values)).any(axis=2).sum())
        raise DataError(
            f"{bad} of {values.shape[0] * values.shape[1]} pixels of the image hold NaN or "
            "infinite values, which a network would spread; fill or crop them first"
        )
    return image
