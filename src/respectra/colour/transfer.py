"""Encodings of displays: linear light to the values of a file and back, one curve a space."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from respectra.colour.observers import bradford
from respectra.errors import unknown_name
from respectra.threads import for_blocks
from respectra.typing import Float32Array, FloatArray

#: Linear sRGB to XYZ of the 2° observer, as IEC 61966-2-1 prints it.
SRGB_TO_XYZ: FloatArray = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)
SRGB_TO_XYZ.setflags(write=False)

#: Values that are decoded together: what they become stays in the cache.
_BLOCK = 1 << 17

#: Our name -> colour-science's name of a colour space.
_SPACES = {
    "srgb": "sRGB",
    "display-p3": "Display P3",
    "adobe-rgb": "Adobe RGB (1998)",
    "prophoto": "ROMM RGB",
    "rec2020": "ITU-R BT.2020",
    "rec709": "ITU-R BT.709",
    "aces": "ACES2065-1",
}


#: Chromaticities of red, green and blue (SMPTE EG 432-1, ITU-R BT.2020); white is D65.
_PRIMARIES = {
    "display-p3": ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),
    "rec2020": ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046)),
}
_D65_XY = (0.3127, 0.3290)


def decode_srgb(values: npt.NDArray[np.floating]) -> Float32Array:
    """Linear light of sRGB's values, both in [0, 1] (IEC 61966-2-1).

    Example:
        >>> import numpy as np
        >>> decode_srgb(np.array([0.0, 1.0], np.float32)).tolist()
        [0.0, 1.0]
    """
    encoded = np.ascontiguousarray(values, dtype=np.float32)
    linear = np.empty_like(encoded)
    flat, out = encoded.reshape(-1), linear.reshape(-1)

    def decode(start: int, stop: int) -> None:
        part = flat[start:stop]
        power = ((part + np.float32(0.055)) / np.float32(1.055)) ** np.float32(2.4)
        out[start:stop] = np.where(part <= 0.04045, part / np.float32(12.92), power)

    for_blocks(decode, len(flat), _BLOCK)
    return linear.reshape(np.shape(values))


def encode_srgb(linear: npt.NDArray[np.floating]) -> Float32Array:
    """sRGB's values of linear light, both in [0, 1] (IEC 61966-2-1); what is beyond is clipped.

    Computed in the precision of ``linear``.

    Example:
        >>> import numpy as np
        >>> encode_srgb(np.array([0.0, 1.0], np.float32)).tolist()
        [0.0, 0.9999999403953552]
    """
    light = np.asarray(linear)
    if light.dtype not in (np.float32, np.float64):
        light = light.astype(np.float64)
    power = 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055
    encoded = np.where(light <= 0.0031308, 12.92 * light, power)
    return np.clip(encoded, 0.0, 1.0).astype(np.float32)


def decode_srgb_exact(values: npt.ArrayLike) -> FloatArray:
    """As :func:`decode_srgb`, in double precision, for the bounds of codes; not clipped."""
    encoded = np.asarray(values, dtype=np.float64)
    power = (np.maximum(encoded, 0.04045) + 0.055) / 1.055
    return np.where(encoded <= 0.04045, encoded / 12.92, power**2.4)


@dataclass(frozen=True)
class RGBSpace:
    """A colour space of displays or of pictures.

    Attributes:
        name: ours.
        to_xyz: shape (3, 3), linear R, G, B to XYZ of the 2° observer, white's Y = 1.
    """

    name: str
    to_xyz: FloatArray

    @property
    def to_xyz_d65(self) -> FloatArray:
        """Linear R, G, B to XYZ of an eye that is adapted to D65 (Bradford), white's Y = 1."""
        if self.name == "srgb":
            return SRGB_TO_XYZ
        return _adapted(self.name, *SRGB_TO_XYZ.sum(axis=1))

    @property
    def to_xyz_d50(self) -> FloatArray:
        """Linear R, G, B to XYZ adapted to D50, as colour profiles hold it."""
        return _adapted(self.name, 0.9642, 1.0, 0.8249)

    def decode(self, values: npt.NDArray[np.floating]) -> Float32Array:
        """Linear light of the space's values, both in [0, 1]."""
        if self.name in ("srgb", "display-p3"):  # which share their curve
            return decode_srgb(values)
        return np.asarray(_table(self.name).cctf_decoding(values), np.float32)

    def encode(self, linear: npt.NDArray[np.floating]) -> Float32Array:
        """The space's values of linear light, both in [0, 1]."""
        if self.name in ("srgb", "display-p3"):
            return encode_srgb(linear)
        return np.asarray(_table(self.name).cctf_encoding(np.clip(linear, 0.0, 1.0)), np.float32)


def list_rgb_spaces() -> list[str]:
    """Names of the colour spaces that are known.

    Example:
        >>> list_rgb_spaces()
        ['srgb', 'display-p3', 'adobe-rgb', 'prophoto', 'rec2020', 'rec709', 'aces']
    """
    return list(_SPACES)


@functools.cache
def rgb_space(name: str) -> RGBSpace:
    """A colour space by name.

    Raises:
        ConfigError: there is no such space.

    Example:
        >>> rgb_space("srgb").name
        'srgb'
    """
    if name not in _SPACES:
        raise unknown_name("colour space", name, _SPACES)
    if name == "srgb":
        return RGBSpace(name, SRGB_TO_XYZ)
    if name in _PRIMARIES:  # of phones: these need no library
        return RGBSpace(name, _to_xyz(np.array(_PRIMARIES[name])))
    matrix = np.array(_table(name).matrix_RGB_to_XYZ, np.float64)
    matrix.setflags(write=False)
    return RGBSpace(name, matrix)


@functools.cache
def space_matrix(start: str, end: str) -> FloatArray:
    """Linear R, G, B of one colour space to those of another, shape (3, 3), white to white.

    Example:
        >>> (space_matrix("srgb", "aces") @ [1, 1, 1]).round(4).tolist()  # white to white
        [1.0, 1.0, 1.0]
    """
    to_xyz = (rgb_space(name).to_xyz_d65 for name in (end, start))
    matrix = np.asarray(np.linalg.solve(*to_xyz), np.float64)
    matrix.setflags(write=False)
    return matrix


@functools.cache
def _adapted(name: str, *white: float) -> FloatArray:
    own = rgb_space(name).to_xyz
    matrix: FloatArray = bradford(own.sum(axis=1), np.array(white)) @ own
    matrix.setflags(write=False)
    return matrix


def _to_xyz(primaries: FloatArray) -> FloatArray:
    """Linear R, G, B to XYZ, of chromaticities of primaries, shape (3, 2)."""
    x, y = _D65_XY
    columns = np.column_stack([primaries, 1 - primaries.sum(axis=1)]).T
    matrix: FloatArray = columns * np.linalg.solve(columns, [x / y, 1.0, (1 - x - y) / y])
    matrix.setflags(write=False)
    return matrix


def _table(name: str) -> Any:
    import colour

    return colour.RGB_COLOURSPACES[_SPACES[name]]
