"""The colour filter array: one channel a pixel, and back."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from respectra.errors import DataError

#: How the missing channels are filled in; the names of OpenCV's algorithms.
Demosaic = Literal["edge-aware", "bilinear"]

#: Channel at [row parity, column parity]: the RGGB pattern.
RGGB = ((0, 1), (1, 2))


def mosaic(rgb: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What an RGGB sensor keeps of an image: shape (y, x, 3) to (y, x).

    [even row, even column] = R, [even, odd] and [odd, even] = G, [odd, odd] = B.
    """
    raw = np.empty(rgb.shape[:2], rgb.dtype)
    for row in (0, 1):
        for column in (0, 1):
            raw[row::2, column::2] = rgb[row::2, column::2, RGGB[row][column]]
    return raw


def demosaic(
    raw: npt.NDArray[np.uint16], algorithm: Demosaic = "edge-aware"
) -> npt.NDArray[np.uint16]:
    """Fill in the channels that an RGGB mosaic lacks: shape (y, x) to (y, x, 3).

    OpenCV names the pattern by its second row and columns, so that RGGB is its ``BayerBG``. The
    outermost pixels repeat their neighbours.

    Args:
        raw: 16-bit codes.
        algorithm: ``edge-aware`` is the challenge's.

    Raises:
        DataError: the mosaic is too small to have neighbours.
    """
    import cv2

    if min(raw.shape) < 4:
        raise DataError(f"a mosaic needs at least 4 × 4 pixels to be filled in; got {raw.shape}")
    codes = {"edge-aware": cv2.COLOR_BayerBG2BGR_EA, "bilinear": cv2.COLOR_BayerBG2BGR}
    bgr = cv2.cvtColor(raw, codes[algorithm])
    return np.asarray(bgr[..., ::-1], dtype=np.uint16)
