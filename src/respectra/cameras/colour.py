"""Colour: photographs as the clean track's camera would have seen them, and back.

The clean track's camera is a colorimetric observer, so a photograph whose colours are known can
take the place of its images. What is approximated:

* **Observer.** sRGB is defined with the CIE 1931 2° observer, the camera is the CIE 1964 10° one.
  ``OBSERVER_2_TO_10`` maps one to the other: the matrix that keeps white and has the least
  relative error over 147 measured reflectances under D65. On 1 269 Munsell chips it leaves mean
  errors of 0.5 % in R and G and 0.8 % in B, where taking one observer for the other leaves
  1.3 %, 2.2 % and 1.3 %. Narrow-band lights and very saturated violets are further off.
* **White.** The photograph is taken as a scene under D65: its white becomes D65 as the camera
  sees it. The camera that took it has balanced the real light to that white, and with it the
  light's own spectrum is lost.
* **Exposure.** How bright the scene was is not in a photograph. Display white becomes
  ``exposure`` times the signal of a perfect white reflector; at 0.9 no colour of sRGB is clipped.
* **Rendering.** Tone curves and saturation that the camera applied for beauty are not undone.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import xarray as xr

from respectra.cameras.images import InputKind, input_encoding, make_image, require_image
from respectra.colour.transfer import SRGB_TO_XYZ, decode_srgb, encode_srgb, rgb_space
from respectra.errors import ConfigError, DataError, unknown_name
from respectra.typing import FloatArray

#: What to do with colours that sRGB cannot show.
Gamut = Literal["desaturate", "clip", "refuse"]

#: Signal of display white over that of a perfect white reflector.
EXPOSURE = 0.9

#: XYZ over white's XYZ, 2° observer to 10° observer, under D65. The rows sum to one.
OBSERVER_2_TO_10: FloatArray = np.array(
    [
        [0.88173200, 0.10543714, 0.01283086],
        [-0.02511450, 0.96524655, 0.05986795],
        [0.04370438, -0.05318114, 1.00947676],
    ]
)
#: D65 in the clean track's camera at 400, 410, ..., 700 nm, over its G.
CLEAN_WHITE_D65: FloatArray = np.array([0.94843583, 1.0, 1.07421292])

for _matrix in (OBSERVER_2_TO_10, CLEAN_WHITE_D65):
    _matrix.setflags(write=False)


def to_track_values(
    image: xr.DataArray, input_kind: InputKind, *, exposure: float = EXPOSURE
) -> xr.DataArray:
    """An image as a method for a track expects it.

    * ``srgb``: a photograph, encoding ``srgb`` or linear light of the colour space that its
      attribute ``space`` names: turned into clean-track values.
    * ``linear``: linear light in sRGB's primaries, encoding ``linear``: turned into clean-track
      values without decoding.
    * ``clean``, ``real-world``, ``exposed``: values of that track, encoding ``linear``: passed on
      as they are.

    Args:
        image: dims (y, x, channel).
        input_kind: what its values are.
        exposure: signal of display white over that of a perfect white reflector; of no account
            for images of a track.

    Returns:
        linear, with the attribute ``track``; ``bits`` is 32 where values were computed.

    Raises:
        ConfigError: unknown kind.
        DataError: the image's encoding does not fit its kind, or the exposure clips it.

    Example:
        >>> import respectra as rs
        >>> photo = rs.make_image([[[0.2, 0.4, 0.6]]], encoding="srgb")
        >>> to_track_values(photo, "srgb").attrs["track"]
        'clean'
    """
    wanted = input_encoding(input_kind)
    encoding = require_image(image).attrs.get("encoding", "linear")
    if encoding != wanted and not (input_kind == "srgb" and "space" in image.attrs):
        raise DataError(
            f"input {input_kind!r} needs an image of encoding {wanted!r}, got {encoding!r}; "
            f"open it with encoding={wanted!r}"
        )
    if input_kind == "camera":
        raise ConfigError(
            "codes of a camera mean something once it is known which one; state it: "
            "respectra.Capture(camera=...), or --camera"
        )
    if input_kind in ("srgb", "linear"):
        return srgb_to_clean(image, exposure=exposure)
    return image.assign_attrs(track=input_kind)


def srgb_to_clean(image: xr.DataArray, *, exposure: float = EXPOSURE) -> xr.DataArray:
    """A photograph in sRGB as values of the clean track; see this module's text.

    The values are not quantised to the track's codes, which would coarsen the shadows.

    Args:
        image: encoding ``srgb``, or ``linear`` light in the primaries of sRGB, or of the colour
            space that its attribute ``space`` names.
        exposure: signal of display white over that of a perfect white reflector.

    Returns:
        dims (y, x, channel), linear, ``track`` clean, ``bits`` 32.

    Raises:
        DataError: not an image, or a value exceeds full scale at this exposure.
        ConfigError: the exposure is not positive.

    Example:
        >>> import respectra as rs
        >>> photo = rs.make_image([[[0.2, 0.4, 0.6]]], encoding="srgb")
        >>> srgb_to_clean(photo).attrs["encoding"]
        'linear'
    """
    require_image(image)
    values = np.asarray(image.values, dtype=np.float32)
    if image.attrs.get("encoding", "linear") == "srgb":
        values = decode_srgb(values)
    space = str(image.attrs.get("space", "srgb"))
    clean = values @ _to_clean_matrix(exposure, space).T.astype(np.float32)
    high = float(clean.max())
    if high > 1.0:
        raise DataError(
            f"at exposure {exposure:g} the image reaches {high:.3f} of full scale; "
            f"use at most {exposure / high:.2f}"
        )
    attrs = {key: value for key, value in image.attrs.items() if key not in _OWN_ATTRS}
    return make_image(
        np.maximum(clean, 0.0),
        encoding="linear",
        bits=32,
        track="clean",
        exposure=exposure,
        **attrs,
    )


def clean_to_srgb(
    image: xr.DataArray, *, exposure: float = EXPOSURE, gamut: Gamut = "desaturate"
) -> xr.DataArray:
    """Values of the clean track as a picture for a display; undoes ``srgb_to_clean``.

    Args:
        image: linear, of the clean track.
        exposure: signal of display white over that of a perfect white reflector.
        gamut: what to do with colours that sRGB cannot show: ``desaturate`` mixes in grey of the
            same luminance, ``clip`` cuts each channel, ``refuse`` raises.

    Returns:
        encoding ``srgb``; the attribute ``out_of_gamut`` is the share of pixels that were changed
        by more than half an 8-bit code of linear light.

    Raises:
        DataError: not a linear image, or out of gamut where that is refused.
        ConfigError: unknown way of mapping, or an exposure that is not positive.

    Example:
        >>> import respectra as rs
        >>> photo = rs.make_image([[[0.2, 0.4, 0.6]]], encoding="srgb")
        >>> bool(abs(clean_to_srgb(srgb_to_clean(photo)) - photo).max() < 1e-3)
        True
    """
    if require_image(image).attrs.get("encoding") != "linear":
        raise DataError("values of the clean track are linear; got an image encoded as sRGB")
    if gamut not in get_args(Gamut):
        raise unknown_name("way of mapping the gamut", gamut, get_args(Gamut))
    inverse = np.linalg.inv(_to_clean_matrix(exposure))
    linear = image.values.astype(np.float64) @ inverse.T
    inside = np.clip(linear, 0.0, 1.0) if gamut == "clip" else _desaturate(linear)
    share = float((np.abs(inside - linear) > 0.5 / 255).any(axis=-1).mean())
    if gamut == "refuse" and share > 0:
        raise DataError(
            f"{share:.2%} of the pixels have colours that sRGB cannot show; choose "
            "gamut='desaturate' or 'clip'"
        )
    attrs = {key: value for key, value in image.attrs.items() if key not in _OWN_ATTRS}
    return make_image(encode_srgb(inside), encoding="srgb", bits=32, out_of_gamut=share, **attrs)


_OWN_ATTRS = ("encoding", "bits", "track", "recipe", "exposure", "out_of_gamut", "space")


def _to_clean_matrix(exposure: float, space: str = "srgb") -> FloatArray:
    """Linear light of a colour space to clean-track values; of sRGB, no element is negative."""
    if not (np.isfinite(exposure) and exposure > 0):
        raise ConfigError(f"exposure is a positive number; got {exposure}")
    to_xyz = rgb_space(space).to_xyz_d65
    over_white = to_xyz / to_xyz.sum(axis=1, keepdims=True)
    # A perfect reflector in the light that gives G = 255 reaches 255 / 256 of full scale.
    scale = exposure * 255.0 / 256.0
    matrix: FloatArray = scale * CLEAN_WHITE_D65[:, None] * (OBSERVER_2_TO_10 @ over_white)
    return matrix


def _desaturate(linear: FloatArray) -> FloatArray:
    """Mix each colour with grey of its luminance just as far as needed to lie in [0, 1]."""
    grey = np.clip(linear @ SRGB_TO_XYZ[1], 0.0, 1.0)[..., None]
    offset = linear - grey
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(
            offset > 0, (1.0 - grey) / offset, np.where(offset < 0, -grey / offset, 1.0)
        )
    kept = np.minimum(room.min(axis=-1, keepdims=True), 1.0)
    return np.asarray(np.clip(grey + kept * offset, 0.0, 1.0), dtype=np.float64)
