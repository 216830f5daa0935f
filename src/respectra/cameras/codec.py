"""The codec: 8-bit codes and the files that hold them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from respectra.errors import FormatError

Codes = npt.NDArray[np.uint8]
#: ``truncate``: towards zero, as a cast does (the challenge). ``nearest``: half to even.
Rounding = Literal["truncate", "nearest"]


def quantise(scaled: npt.NDArray[Any], rounding: Rounding = "truncate") -> Codes:
    """8-bit codes of values on the scale of 0 to 255; what lies outside is clipped to it."""
    clipped = np.clip(scaled, 0.0, 255.0)
    codes: Codes = (clipped if rounding == "truncate" else np.rint(clipped)).astype(np.uint8)
    return codes


def encode_png(codes: npt.NDArray[Any], compression: int = 9) -> bytes:
    """A PNG file of 8 or 16-bit codes, shape (y, x, 3), R, G, B."""
    import cv2

    return _encode(".png", codes, [cv2.IMWRITE_PNG_COMPRESSION, compression])


def encode_jpeg(codes: Codes, quality: int = 80) -> bytes:
    """A JPEG file of 8-bit codes, shape (y, x, 3), R, G, B; OpenCV's tables, 4:2:0 chroma."""
    import cv2

    return _encode(".jpg", codes, [cv2.IMWRITE_JPEG_QUALITY, quality])


def decode(data: bytes) -> Codes:
    """The 8-bit codes that a PNG or JPEG file holds, shape (y, x, 3), R, G, B.

    Raises:
        FormatError: the data is not an image.
    """
    import cv2

    codes = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    if codes is None:
        raise FormatError(f"{len(data)} bytes are not a PNG or JPEG image")
    return np.asarray(codes, dtype=np.uint8)


def _encode(suffix: str, codes: npt.NDArray[Any], parameters: list[int]) -> bytes:
    import cv2

    done, data = cv2.imencode(suffix, np.ascontiguousarray(codes[..., ::-1]), parameters)
    if not done:
        raise FormatError(f"an image of shape {codes.shape} cannot be written as {suffix}")
    return bytes(data)
