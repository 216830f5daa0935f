"""Pictures within the page: previews and coloured error maps as small data URIs."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from respectra.errors import OutputError

#: Even steps of lightness, told apart by colour-blind readers too.
COLOUR_MAP = "magma"
#: Share of the map's colours in use: its ends are black and white, which no page's ground may be.
_COLOURS = (0.06, 0.97)
#: Longest sides of pictures, in pixels.
_LARGEST, _SMALLEST = 192, 48
_QUALITY = 78
#: Where a pixel does not count.
_NOTHING = (128, 128, 128)


@dataclass(frozen=True)
class ErrorScale:
    """The one scale of colours of all error maps: logarithmic, from ``low`` to ``high``."""

    low: float
    high: float

    @classmethod
    def of(cls, maps: Iterable[npt.NDArray[np.floating]]) -> ErrorScale:
        """From the 2 % to the 98 % quantile of all maps, a factor of ten at least."""
        kept = [m[np.isfinite(m) & (m > 0)].ravel() for m in maps]
        values = np.concatenate(kept) if kept else np.empty(0)
        if not values.size:
            return cls(0.01, 1.0)
        low, high = np.quantile(values.astype(np.float64), (0.02, 0.98))
        high = max(float(high), 1e-6)
        return cls(min(float(low), high / 10), high)

    def colours(self, errors: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
        """An error map in colours, shape (y, x, 3); grey where there is no error."""
        values = np.asarray(errors, np.float64)
        there = np.isfinite(values)
        span = np.log(self.high / self.low)
        place = np.log(np.where(there, values, 1.0).clip(self.low, self.high) / self.low) / span
        shown = colour_table()[np.rint(place * 255).astype(np.int64)]
        shown[~there] = _NOTHING
        return np.asarray(shown, np.uint8)


def colour_table() -> npt.NDArray[np.uint8]:
    """The 256 colours of error maps."""
    from matplotlib import colormaps

    places = np.linspace(*_COLOURS, 256)
    return np.asarray(np.rint(255 * colormaps[COLOUR_MAP](places)[:, :3]), np.uint8)


def data_uri(picture: npt.NDArray[np.uint8], quota: int) -> str:
    """A picture as a WebP within a data URI of at most ``quota`` characters if possible.

    Args:
        picture: shape (y, x, 3).
        quota: characters; the picture is made smaller until it fits, down to 48 pixels.

    Raises:
        OutputError: the picture cannot be encoded.
    """
    longest = max(picture.shape[:2])
    side = min(_LARGEST, longest)
    while True:
        code = base64.b64encode(_encoded(picture, side / longest)).decode()
        uri = f"data:image/webp;base64,{code}"
        if len(uri) <= quota or side <= _SMALLEST:
            return uri
        # The code grows with the area, somewhat slower where it is large.
        side = max(_SMALLEST, int(side * min(0.9, (quota / len(uri)) ** 0.5)))


def _encoded(picture: npt.NDArray[np.uint8], factor: float) -> bytes:
    import cv2

    shown = picture[:, :, ::-1]
    if factor < 1:
        size = [max(1, round(n * factor)) for n in picture.shape[1::-1]]
        shown = np.asarray(cv2.resize(shown, size, interpolation=cv2.INTER_AREA), np.uint8)
    quality = [cv2.IMWRITE_WEBP_QUALITY, _QUALITY]
    done, code = cv2.imencode(".webp", np.ascontiguousarray(shown), quality)
    if not done:
        raise OutputError(f"a picture of {picture.shape[:2]} pixels cannot be encoded as WebP")
    return code.tobytes()
