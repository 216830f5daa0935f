"""The white of a picture that nobody told: estimates of the literature.

Two estimates are made of what is neither clipped nor black, and their geometric mean is taken:

* shades of grey, the Minkowski mean of norm 6 (Finlayson, Trezzi, Shades of Gray and Colour
  Constancy, CIC 2004): between grey-world (norm 1) and the brightest value;
* the mean of the brightest pixels (Joze, Drew, Finlayson, Aurora Troncoso Rey, The Role of Bright
  Pixels in Illumination Estimation, CIC 2012).

Both are guesses: scenes of one colour deceive them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from respectra.errors import DataError

_NORM, _BRIGHTEST = 6.0, 0.02
_CLIPPED, _BLACK = 0.98, 0.002
_LEAST_PIXELS = 16


def estimate_white(values: npt.ArrayLike) -> tuple[float, float, float]:
    """R, G, B that a perfect white gives, as far as the picture shows it.

    Its colour is estimated; its brightness is that of the picture's brightest pixels.

    Args:
        values: shape (y, x, 3), linear values in [0, 1].

    Raises:
        DataError: nearly everything is clipped or black.
    """
    pixels = np.asarray(values, np.float64).reshape(-1, 3)
    usable = (pixels.max(axis=1) < _CLIPPED) & (pixels.min(axis=1) > _BLACK)
    if usable.sum() < min(_LEAST_PIXELS, len(pixels)) or not usable.any():
        raise DataError(
            "the white cannot be estimated: nearly all of the picture is clipped or black; state "
            "it as R,G,B, or as a rectangle of the picture"
        )
    kept = pixels[usable]
    grey = (kept**_NORM).mean(axis=0) ** (1 / _NORM)
    bright = kept.sum(axis=1)
    top = kept[bright >= np.quantile(bright, 1 - _BRIGHTEST)].mean(axis=0)
    colour = np.sqrt((grey / grey.max()) * (top / top.max()))
    level = float(np.quantile(pixels.max(axis=1), 0.999))
    r, g, b = (float(v) for v in colour / colour.max() * min(max(level, _BLACK), 1.0))
    return r, g, b
