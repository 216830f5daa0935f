"""The image: an RGB picture as a labelled array; its codes as linear values, and their noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.arrays import labelled_array, with_values
from respectra.cameras.codec import Rounding
from respectra.colour import decode_srgb, encode_srgb, space_matrix
from respectra.colour.transfer import decode_srgb_exact
from respectra.errors import ConfigError, DataError, unknown_name
from respectra.typing import Float32Array, FloatArray

#: Dimensions of an image, in order.
DIMS = ("y", "x", "channel")
CHANNELS = ("R", "G", "B")
#: The camera of developed photographs, and the colour space of those that name none: linear sRGB as
#: the 2° observer adapted to the light.
PHOTOGRAPH = "srgb"
#: ``linear``: codes / (2**bits - 1) as the camera gave them. ``srgb``: encoded for a display.
Encoding = Literal["linear", "srgb"]
#: What the values of an image are: a photograph encoded for a display, images of a track as their
#: files hold them, or linear light in the primaries of sRGB (what a raw converter writes without a
#: tone curve), or the codes of a camera that a capture names.
InputKind = Literal["srgb", "clean", "real-world", "exposed", "linear", "camera"]
INPUT_KINDS: tuple[InputKind, ...] = get_args(InputKind)


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


def input_encoding(input_kind: str) -> Encoding:
    """The encoding with which to open an image of this kind.

    Raises:
        ConfigError: unknown kind.

    Example:
        >>> input_encoding("srgb"), input_encoding("clean")
        ('srgb', 'linear')
    """
    if input_kind not in INPUT_KINDS:
        raise unknown_name("kind of input", input_kind, INPUT_KINDS)
    return "srgb" if input_kind == "srgb" else "linear"


def decoded(
    picture: xr.DataArray,
    bits: int,
    *,
    space: str | None = None,
    levels: tuple[float, float] | None = None,
) -> xr.DataArray:
    """A picture of so many bits as linear values in [0, 1]; see :meth:`Capture.linear`.

    ``space`` is that to which a photograph is brought; the values of a camera stay its own. Its
    ``levels`` are black and white as shares of the highest code.
    """
    encoded = picture.attrs.get("encoding") == "srgb"
    values = np.asarray(picture.values, np.float32)
    if encoded:
        values = decode_srgb(values)
    own = str(picture.attrs.get("space", PHOTOGRAPH))
    if space is not None and own != space:
        values = _to_space(values, own, space)
        picture = picture.assign_attrs(space=space)
        encoded, bits = False, 32
    elif levels is not None:
        low, high = levels
        values = np.clip((values - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    computed = encoded or levels is not None
    curve = "srgb" if encoded else "levels" if levels is not None else "linear"
    attrs = {**picture.attrs, "encoding": "linear", "bits": 32 if computed else bits}
    attrs |= {"code_bits": bits, "code_curve": curve}
    return with_values(picture, values).assign_attrs(attrs)


def code_bounds(
    values: FloatArray,
    bits: int,
    rounding: Rounding,
    *,
    curve: str = "linear",
    levels: tuple[float, float] = (0.0, 1.0),
) -> tuple[FloatArray, FloatArray]:
    """Between which linear values each code of a picture lies: low ≤ v < high, float64.

    The highest code has no upper bound (infinity); codes of more than 16 bits are as good as exact.

    Args:
        values: linear, as :func:`decoded` gives them.
        bits, curve: of the codes that they were decoded from.
        rounding: how the codes were made.
        levels: black and white as shares of the highest code, of the curve ``levels``.
    """
    if bits > 16:
        return values, values
    top = float(2**bits - 1)
    start, full = levels
    shares = encode_srgb(values) if curve == "srgb" else start + values * (full - start)
    codes = np.rint(shares.astype(np.float64) * top)
    below, above = (0.5, 0.5) if rounding == "nearest" else (0.0, 1.0)
    bounds = []
    for edge in (codes - below, codes + above):
        share = (edge / top - start) / (full - start)
        bounds.append(decode_srgb_exact(share) if curve == "srgb" else share)
    return np.maximum(bounds[0], 0.0), np.where(codes >= full * top, np.inf, bounds[1])


def middle_of_codes(low: FloatArray, high: FloatArray) -> FloatArray:
    """The linear value in the middle of each code's bounds; full scale for the highest."""
    return np.where(np.isinf(high), 1.0, 0.5 * (low + np.minimum(high, 2.0)))


def check_levels(black: float | None, white: float | None, bits: int | None) -> None:
    """Refuse levels that are not codes, and a black above white."""
    if bits is not None and not (isinstance(bits, int) and 1 <= bits <= 32):
        raise ConfigError(f"bits are a whole number from 1 to 32; got {bits!r}")
    for name, level in (("black", black), ("white", white)):
        if level is not None and not (np.isfinite(level) and level >= 0):
            raise ConfigError(f"the {name} level is a code from 0 on; got {level!r}")
    if black is not None and white is not None and not black < white:
        raise ConfigError(f"the black level lies below the white level; got {black:g}, {white:g}")


def _to_space(values: Float32Array, start: str, end: str) -> Float32Array:
    """Linear light from one colour space to another; what that cannot hold is clipped."""
    matrix = space_matrix(start, end).T.astype(np.float32)
    return np.asarray(np.clip(values @ matrix, 0.0, 1.0), np.float32)


@dataclass(frozen=True)
class Noise:
    """Noise of linear values: their variance is ``gain`` times the value plus ``read`` squared.

    Attributes:
        gain: variance per unit of value, in full scale; one over the electrons at full scale.
        read: standard deviation in the dark, in full scale.

    Example:
        >>> import numpy as np
        >>> Noise(gain=0.01, read=0.002).deviation(np.array([0.0, 0.25])).round(4).tolist()
        [0.002, 0.05]
    """

    gain: float = 0.0
    read: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.gain < 1 and 0 <= self.read < 1):
            raise ConfigError(
                f"noise is stated in full scale, from 0 to 1; got gain {self.gain!r}, "
                f"read {self.read!r}"
            )

    def __bool__(self) -> bool:
        return self.gain > 0 or self.read > 0

    def deviation(self, values: npt.ArrayLike) -> FloatArray:
        """Standard deviation of the noise of linear values, in the shape of them."""
        signal = np.maximum(np.asarray(values, np.float64), 0.0)
        return np.asarray(np.sqrt(self.gain * signal + self.read**2))
