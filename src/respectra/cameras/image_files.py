"""Image files: PNG, JPEG and TIFF, checked before they are believed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras import codec
from respectra.cameras.image_headers import Header, Kind, read_header
from respectra.cameras.images import Encoding, make_image, require_image
from respectra.errors import DataError, FormatError, OutputError, RespectraError
from respectra.files import atomic_path

#: Images above this number of pixels are refused before anything is allocated.
MAX_PIXELS = 2**28
_SUFFIXES: dict[str, Kind] = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
Grey = Literal["refuse", "repeat"]


def open_image(
    path: str | os.PathLike[str],
    *,
    encoding: Encoding = "linear",
    grey: Grey = "refuse",
    max_pixels: int = MAX_PIXELS,
) -> xr.DataArray:
    """Read a picture.

    PNG of 8 or 16 bits, JPEG, and TIFF of 8 or 16 bits or floating point in [0, 1]. Alpha is
    dropped where it is opaque throughout. Colour profiles are not applied. The orientation that a
    photograph's EXIF data states is applied when ``encoding`` is ``srgb``; the pixels of a
    ``linear`` image are left as they lie.

    Args:
        path: the file.
        encoding: ``linear``: codes / (2**bits - 1) as the camera gave them; ``srgb``: a
            photograph encoded for a display. Nothing is decoded here, see
            ``respectra.cameras.to_track_values``.
        grey: what to do with a single channel: ``refuse`` it, or ``repeat`` it three times.
        max_pixels: the largest picture to read.

    Returns:
        dims (y, x, channel), float32 in [0, 1], with attributes ``encoding``, ``bits`` (32 for
        floating point) and ``source``.

    Raises:
        FormatError: no such file, damaged, too large, or another format than its suffix says.
        DataError: transparent, grey, or values outside [0, 1].
    """
    file = Path(path)
    kind = _SUFFIXES.get(file.suffix.lower())
    if kind is None:
        raise FormatError(f"{file} is not a known kind of image; use one of {', '.join(_SUFFIXES)}")
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise FormatError(f"no such file: {file}") from None
    except OSError as error:
        raise FormatError(f"{file} cannot be read: {error.strerror or error}") from error
    try:
        header = read_header(data)
        if header.kind != kind:
            raise FormatError(f"its suffix says {kind}, its contents are {header.kind}; rename it")
        _check_size(header, max_pixels)
        values, bits = _decode(data, header, encoding)
        image = make_image(
            _three_channels(values, grey), encoding=encoding, bits=bits, source=file.name
        )
    except FormatError as error:
        raise FormatError(f"{file}: {error}") from error
    except RespectraError as error:
        raise DataError(f"{file}: {error}") from error
    return image


def save_image(
    image: xr.DataArray,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    quality: int = 95,
) -> None:
    """Write a picture as PNG, JPEG or TIFF, by the suffix.

    The values are written as they are, as codes of the image's own depth: 8 or 16 bits, or
    floating point (``bits`` above 16; TIFF only, 16 bits in a PNG). JPEG always has 8 bits.

    Args:
        image: dims (y, x, channel).
        path: where to.
        overwrite: replace an existing file.
        quality: of a JPEG, 1 to 100.

    Raises:
        OutputError: the file exists, cannot be written, or has an unknown suffix.
        DataError: not an image.
    """
    require_image(image)
    target = Path(path)
    kind = _SUFFIXES.get(target.suffix.lower())
    if kind is None:
        raise OutputError(f"cannot write {target}: use one of {', '.join(_SUFFIXES)}")
    bits = int(image.attrs.get("bits", 8))
    with atomic_path(target, overwrite=overwrite) as temporary:
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


def _check_size(header: Header, max_pixels: int) -> None:
    if header.width == 0 or header.height == 0:
        raise FormatError(f"an image needs a pixel; it has {header.width} × {header.height}")
    if header.width * header.height > max_pixels:
        raise FormatError(
            f"it claims {header.width} × {header.height} pixels, more than {max_pixels}; crop it, "
            "or raise max_pixels if the memory allows"
        )


def _decode(data: bytes, header: Header, encoding: Encoding) -> tuple[npt.NDArray[np.float32], int]:
    """Values in [0, 1] (y, x) or (y, x, channel), in R, G, B(, A) order, and their bits."""
    if header.kind == "TIFF":
        from respectra.cameras.tiff import read_tiff

        array = read_tiff(data, upright=encoding == "srgb")
    else:
        array = _decode_with_opencv(data, header, encoding)
    if np.issubdtype(array.dtype, np.floating):
        return array.astype(np.float32), 32
    bits = 8 * array.dtype.itemsize
    if bits == 8:
        import cv2

        values = (np.arange(256) / np.float64(255)).astype(np.float32)
        return np.asarray(cv2.LUT(np.ascontiguousarray(array), values)), bits
    return (array / np.float64(2**bits - 1)).astype(np.float32), bits


def _decode_with_opencv(data: bytes, header: Header, encoding: Encoding) -> npt.NDArray[Any]:
    import cv2

    flags = cv2.IMREAD_UNCHANGED
    if header.kind == "JPEG":
        flags = cv2.IMREAD_GRAYSCALE if header.channels == 1 else cv2.IMREAD_COLOR
        if encoding != "srgb":
            flags |= cv2.IMREAD_IGNORE_ORIENTATION
    try:
        array = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise FormatError(f"the {header.kind} data cannot be decoded ({error.err})") from None
    if array is None:
        raise FormatError(f"the {header.kind} data cannot be decoded; it is damaged")
    if array.dtype not in (np.uint8, np.uint16):
        raise FormatError(f"holds values of type {array.dtype}; use 8 or 16 bits")
    if array.ndim == 3 and array.shape[2] >= 3:
        array = array[..., [2, 1, 0, *range(3, array.shape[2])]]
    return np.asarray(array)


def _three_channels(values: npt.NDArray[np.float32], grey: Grey) -> npt.NDArray[np.float32]:
    """Drop an opaque alpha channel and settle what to do with grey."""
    if values.ndim == 2:
        values = values[..., None]
    if values.shape[2] in (2, 4):
        if not (values[..., -1] == 1.0).all():
            raise DataError(
                "the image is transparent in places, which has no spectrum; flatten it onto a "
                "background first"
            )
        values = values[..., :-1]
    if values.shape[2] == 1:
        if grey == "refuse":
            raise DataError(
                "the image is grey and says nothing of colour; give an RGB image, or accept "
                "three equal channels with grey='repeat'"
            )
        values = np.repeat(values, 3, axis=2)
    if values.shape[2] != 3:
        raise DataError(f"an image has three channels; got {values.shape[2]}")
    return np.ascontiguousarray(values)
