"""Writing pictures: PNG, JPEG and TIFF."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras import codec
from respectra.cameras.images import require_image
from respectra.cameras.pictures.opening import writable_kind
from respectra.errors import OutputError
from respectra.uploads import writing
from respectra.urls import Url, parse_place


def save_image(
    image: xr.DataArray,
    path: str | os.PathLike[str] | Url,
    *,
    overwrite: bool = False,
    quality: int = 95,
) -> None:
    """Write a picture as PNG, JPEG or TIFF, by the suffix.

    The values are written as they are, as codes of the image's own depth: 8 or 16 bits, or
    floating point (``bits`` above 16; TIFF only, 16 bits in a PNG). JPEG always has 8 bits.

    Args:
        image: dims (y, x, channel).
        path: where to; or a URL, at which it is put when it is whole.
        overwrite: replace an existing file.
        quality: of a JPEG, 1 to 100.

    Raises:
        OutputError: the file exists, cannot be written, or has an unknown suffix.
        DataError: not an image.

    Example:
        >>> import respectra as rs
        >>> rs.save_image(rs.make_image([[[0.2, 0.4, 0.6]]]), "small.tif")
        >>> rs.open_image("small.tif").shape
        (1, 1, 3)
    """
    require_image(image)
    target = parse_place(path)
    kind = writable_kind(target)
    if kind is None:
        raise OutputError(f"cannot write {target}: use one of .png, .jpg, .jpeg, .tif, .tiff")
    bits = int(image.attrs.get("bits", 8))
    with writing(target, overwrite=overwrite) as temporary:
        if kind == "PNG":
            temporary.write_bytes(codec.encode_png(_codes(image, 8 if bits <= 8 else 16)))
        elif kind == "JPEG":
            eight = _codes(image, 8).astype(np.uint8)
            temporary.write_bytes(codec.encode_jpeg(eight, quality))
        else:
            import tifffile

            floating = bits > 16
            values = image.values if floating else _codes(image, 8 if bits <= 8 else 16)
            tifffile.imwrite(temporary, values, photometric="rgb", compression="zlib")


def _codes(image: xr.DataArray, bits: int) -> npt.NDArray[Any]:
    dtype = np.uint8 if bits == 8 else np.uint16
    codes: npt.NDArray[Any] = np.rint(image.values.astype(np.float64) * (2**bits - 1))
    return codes.astype(dtype)
