"""What a cube looks like: sRGB through a standard observer and an illuminant."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.colour.lights import open_light, resample_light
from respectra.colour.observers import VISIBLE_NM, srgb_matrix
from respectra.colour.transfer import encode_srgb
from respectra.cubes.model import require_cube, wavelengths_of
from respectra.errors import ConfigError, DataError, OutputError
from respectra.files import atomic_path

#: An automatic exposure lets this share of the pixels clip.
_CLIPPED_SHARE = 0.005


def preview(
    cube: xr.DataArray,
    *,
    observer: str = "cie1931",
    illuminant: str | os.PathLike[str] | xr.DataArray | None = None,
    exposure: float | None = None,
) -> npt.NDArray[np.uint8]:
    """Render a cube for a display.

    Reflectance is lit by ``illuminant``. Radiance is seen as it is. Either way colours are
    adapted (Bradford) so that the illuminant's own colour is the display's white, and what a
    display cannot show is clipped. A pixel with a value that is not finite is black.

    Args:
        cube: dims (y, x, wavelength); bands outside 380 to 780 nm do not matter.
        observer: ``cie1931`` or ``cie1964``.
        illuminant: the light for reflectance, D65 by default; for radiance the light that is to
            look white, E (a flat spectrum) by default. What ``respectra.colour.open_light``
            takes.
        exposure: factor on linear light. By default 1 for reflectance, where a perfect diffuser
            is white, and for radiance the factor that lets 0.5 % of the pixels clip.

    Returns:
        uint8, shape (y, x, 3), sRGB.

    Raises:
        DataError: no band is visible, or the illuminant is not known at a visible band.
        ConfigError: unknown observer or illuminant, or an exposure that is not positive.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> cube = rs.make_cube(np.full((2, 2, 31), 0.5), range(400, 701, 10))
        >>> rs.cubes.preview(cube).shape
        (2, 2, 3)
    """
    cube = require_cube(cube)
    reflectance = cube.attrs.get("quantity") == "reflectance"
    if exposure is not None and not (np.isfinite(exposure) and exposure > 0):
        raise ConfigError(f"exposure is a positive factor; got {exposure!r}")
    grid = wavelengths_of(cube)
    visible = (grid >= VISIBLE_NM[0]) & (grid <= VISIBLE_NM[1])
    if not visible.any():
        raise DataError(
            f"no band is visible: they lie from {grid[0]:g} to {grid[-1]:g} nm, "
            f"sight from {VISIBLE_NM[0]:g} to {VISIBLE_NM[1]:g} nm"
        )
    light = illuminant if illuminant is not None else ("D65" if reflectance else "E")
    power = resample_light(open_light(light), grid[visible])
    weights = srgb_matrix(power, grid[visible], observer=observer)
    if not reflectance:  # radiance is lit already
        weights = weights / power[:, None]
    values = cube.values if visible.all() else cube.values[:, :, visible]
    with np.errstate(invalid="ignore"):  # of infinities, whose pixels become black below
        linear = values @ weights.astype(np.float32)
    np.nan_to_num(linear, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    if exposure is None:
        exposure = 1.0 if reflectance else _automatic_exposure(linear)
    codes = encode_srgb(linear * np.float32(exposure)) * np.float32(255)
    return np.asarray(np.rint(codes), np.uint8)


def save_preview(
    cube: xr.DataArray,
    path: str | os.PathLike[str],
    *,
    observer: str = "cie1931",
    illuminant: str | os.PathLike[str] | xr.DataArray | None = None,
    exposure: float | None = None,
    overwrite: bool = False,
) -> None:
    """Save ``preview(cube, ...)`` as PNG or JPEG.

    Raises:
        DataError, ConfigError: as ``preview``; also a suffix other than .png, .jpg and .jpeg.
        OutputError: the file exists or cannot be written.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> cube = rs.make_cube(np.full((2, 2, 31), 0.5), range(400, 701, 10))
        >>> rs.cubes.save_preview(cube, "small.png")
        >>> rs.open_image("small.png").shape
        (2, 2, 3)
    """
    import cv2

    suffix = Path(path).suffix.lower()
    if suffix not in (".png", ".jpg", ".jpeg"):
        raise ConfigError(f"a preview is a .png or a .jpg; got {Path(path).name}")
    picture = preview(cube, observer=observer, illuminant=illuminant, exposure=exposure)
    with atomic_path(path, overwrite=overwrite) as temporary:
        ok, data = cv2.imencode(suffix, np.ascontiguousarray(picture[:, :, ::-1]))
        if not ok:
            raise OutputError(f"cannot encode {picture.shape} pixels as {suffix}")
        temporary.write_bytes(data.tobytes())


def _automatic_exposure(linear: npt.NDArray[np.float32]) -> float:
    brightest = linear.max(axis=2)
    level = float(np.quantile(brightest, 1.0 - _CLIPPED_SHARE))
    if level <= 0:  # almost all of it is black
        level = float(brightest.max())
    return 1.0 / level if level > 0 else 1.0
