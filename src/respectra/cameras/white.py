"""The white of a picture: told, shown by a part of it, or estimated as the literature does.

Two estimates are made of what is neither clipped nor black, and their geometric mean is taken:

* shades of grey, the Minkowski mean of norm 6 (Finlayson, Trezzi, Shades of Gray and Colour
  Constancy, CIC 2004): between grey-world (norm 1) and the brightest value;
* the mean of the brightest pixels (Joze, Drew, Finlayson, Aurora Troncoso Rey, The Role of Bright
  Pixels in Illumination Estimation, CIC 2012).

Both are guesses: scenes of one colour deceive them.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from respectra.errors import DataError, RespectraWarning
from respectra.typing import FloatArray

White = tuple[float, float, float]
#: x, y, width, height of a part of the picture, in pixels.
Rectangle = tuple[int, int, int, int]

#: A white that is estimated from the picture.
AUTO = "auto"
_NORM, _BRIGHTEST = 6.0, 0.02
_CLIPPED, _BLACK = 0.98, 0.002
_LEAST_PIXELS = 16
#: From this share of full scale on, a told white says only that it was at least so bright; below
#: the other one it says nothing.
_TOLD_CLIPPED, _TOLD_BLACK = 0.995, 0.01
#: Where more than this share of a picture is brighter than its white by this factor, it is none.
_BRIGHTER, _BRIGHTER_SHARE = 1.5, 0.1


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


def check_white(white: Any) -> White | Rectangle | str:
    """A white as told: three values, four numbers of pixels, or auto; a DataError else."""
    if isinstance(white, str) and white == AUTO:
        return AUTO
    try:
        numbers = [float(value) for value in white]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) == 3:
        r, g, b = numbers
        if not all(np.isfinite(value) and value > 0 for value in numbers):
            raise DataError(
                f"a white has three positive values R, G, B; got {r:g}, {g:g}, {b:g}: a black "
                "pixel is no white"
            )
        if max(numbers) > 1:
            raise DataError(
                f"the values of a white are shares of full scale, at most 1; got {max(numbers):g}: "
                "divide codes by 2**bits - 1"
            )
        return r, g, b
    if len(numbers) == 4 and all(value == int(value) for value in numbers):
        x, y, width, height = (int(value) for value in numbers)
        if min(x, y) < 0 or min(width, height) < 1:
            raise DataError(
                f"the rectangle of a white is x, y, width, height in pixels, from 0 and at least "
                f"1 x 1; got {x}, {y}, {width}, {height}"
            )
        return x, y, width, height
    raise DataError(
        f"a white is R, G, B of linear light, or x, y, width, height of a part of the picture; "
        f"got {white!r}"
    )


def measure_white(values: FloatArray, rectangle: Rectangle) -> White:
    """The mean of linear values, shape (y, x, 3), in the rectangle that shows a white.

    It warns where much of the picture is brighter by half.

    Raises:
        DataError: it reaches beyond the picture, or is clipped or black.
    """
    x, y, width, height = rectangle
    rows, columns = values.shape[:2]
    if x + width > columns or y + height > rows:
        raise DataError(
            f"the white {x},{y},{width},{height} reaches beyond the picture of {columns} x {rows} "
            "pixels (x, y, width, height)"
        )
    patch = values[y : y + height, x : x + width].reshape(-1, 3)
    clipped = float((patch >= _TOLD_CLIPPED).any(axis=1).mean())
    if clipped > 0.01:
        raise DataError(
            f"the white {x},{y},{width},{height} is clipped at {clipped:.0%} of its pixels, so "
            "that nobody knows how bright it was; choose a grey or a less exposed one"
        )
    r, g, b = (float(value) for value in patch.mean(axis=0))
    if min(r, g, b) < _TOLD_BLACK:
        raise DataError(
            f"the white {x},{y},{width},{height} is black (R, G, B {r:.4f}, {g:.4f}, {b:.4f} of "
            "full scale); point at a white or light grey surface"
        )
    brighter = float((values.mean(axis=2) > _BRIGHTER * patch.mean()).mean())
    if brighter > _BRIGHTER_SHARE:
        warnings.warn(
            f"{brighter:.0%} of the picture is brighter than the white {x},{y},{width},{height} by "
            "more than half, and would reflect more light than falls on it; point at something "
            "brighter, unless those are lamps",
            RespectraWarning,
            stacklevel=2,
        )
    return r, g, b
