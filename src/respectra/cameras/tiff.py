"""Pictures in TIFF files."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt

from respectra.errors import FormatError

#: EXIF orientation -> (transpose, flip rows, flip columns) that put the picture upright.
_UPRIGHT = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def read_tiff(data: bytes, *, upright: bool) -> npt.NDArray[Any]:
    """The first page, shape (y, x) or (y, x, channel); uint8, uint16 or floating point.

    Args:
        data: a whole TIFF file.
        upright: apply the orientation that the file states.

    Raises:
        FormatError: the file cannot be decoded, or is not a grey or RGB picture of a known type.
    """
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as tiff:
            page = tiff.pages.first
            if page.photometric not in (
                tifffile.PHOTOMETRIC.RGB,
                tifffile.PHOTOMETRIC.MINISBLACK,
            ):
                raise FormatError(f"the TIFF is of type {page.photometric.name}; use RGB")
            orientation = int(page.tags["Orientation"].value) if "Orientation" in page.tags else 1
            planar = page.axes.startswith("S")
            array = _pixels(page, data)
    except FormatError:
        raise
    except Exception as error:  # damaged files raise almost anything inside the reader
        raise FormatError(f"the TIFF cannot be decoded ({error})") from error
    if planar and array.ndim == 3:
        array = np.moveaxis(array, 0, -1)
    if array.ndim not in (2, 3):
        raise FormatError(f"the TIFF holds an array of shape {array.shape}, not a picture")
    if array.dtype not in (np.uint8, np.uint16) and not np.issubdtype(array.dtype, np.floating):
        raise FormatError(f"the TIFF holds {array.dtype}; use 8 or 16 bits or floating point")
    return _turn(array, orientation) if upright else array


def _pixels(page: Any, data: bytes) -> npt.NDArray[Any]:
    """Decode with tifffile, or with OpenCV what tifffile needs a further library for."""
    try:
        return np.asarray(page.asarray())
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
    import cv2

    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None or page.axes.startswith("S"):
        raise FormatError(f"the TIFF's compression {page.compression.name} is not supported")
    if array.ndim == 3:
        array = array[..., [2, 1, 0, *range(3, array.shape[2])]]
    return np.asarray(array)


def _turn(array: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    transpose, rows, columns = _UPRIGHT.get(orientation, _UPRIGHT[1])
    if transpose:
        array = np.swapaxes(array, 0, 1)
    if rows:
        array = array[::-1]
    if columns:
        array = array[:, ::-1]
    return np.ascontiguousarray(array)
