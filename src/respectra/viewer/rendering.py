"""Matrices that turn spectra into linear sRGB: as seen, under another light, band by band."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from respectra.colour import OBSERVERS, colour_matching, open_light, resample_light, srgb_matrix
from respectra.colour.observers import VISIBLE_NM
from respectra.cubes import check_wavelengths
from respectra.errors import unknown_name
from respectra.typing import FloatArray

#: Lights on offer: name, and what a person would call it.
LIGHTS = {
    "D65": "Daylight, noon (D65)",
    "D50": "Daylight, warm (D50)",
    "A": "Light bulb (A)",
    "candle": "Candle (1900 K)",
    "LED-B3": "White LED (LED-B3)",
    "FL2": "Office fluorescent (FL2)",
    "FL11": "Three-band fluorescent (FL11)",
    "HP1": "Street lamp, sodium (HP1)",
    "E": "Equal energy (E)",
}
#: Lights that have a temperature instead of a name.
_BY_TEMPERATURE = {"candle": "planck:1900"}


def scene_light(quantity: str, known: npt.ArrayLike | None = None) -> str | FloatArray:
    """The light that a cube is taken to be under: photographs are balanced to D65.

    Args:
        quantity: of the cube.
        known: power of the light in its bands, where it is known.
    """
    if known is not None:
        return np.asarray(known, np.float64)
    return "D65" if quantity == "radiance" else "E"


def light_power(name: str, wavelengths_nm: npt.ArrayLike) -> FloatArray:
    """Relative power of a light of ``LIGHTS``, shape (band,).

    Outside its table a light counts as its nearest tabulated value: bands there are invisible.

    Raises:
        ConfigError: it is none of them.
    """
    if name not in LIGHTS:
        raise unknown_name("light", name, LIGHTS)
    grid = check_wavelengths(wavelengths_nm)
    light = open_light(_BY_TEMPERATURE.get(name, name))
    visible = (grid >= VISIBLE_NM[0]) & (grid <= VISIBLE_NM[1])
    if not visible.any():
        return np.full(grid.size, float(np.interp(grid[0], light["wavelength"], light.values)))
    return np.asarray(np.interp(grid, grid[visible], resample_light(light, grid[visible])))


def rendering_matrix(
    wavelengths_nm: npt.ArrayLike,
    *,
    illuminant: str,
    observer: str = "cie1931",
    scene: str | FloatArray | None = None,
    adapt: bool = True,
) -> FloatArray:
    """From a spectrum to linear sRGB, shape (band, 3).

    Args:
        wavelengths_nm: shape (band,), nm.
        illuminant: the light to show the scene under.
        observer: ``cie1931`` or ``cie1964``.
        scene: the light that is in the spectra already and is divided out, by name or as power in
            bands; by default the same as ``illuminant``, which shows them as they are. ``E`` for
            reflectance.
        adapt: let the eye adapt to the light (Bradford), so that white looks white; otherwise the
            eye stays adapted to D65 and a candle looks orange.

    Raises:
        ConfigError: unknown light or observer.
    """
    if observer not in OBSERVERS:
        raise unknown_name("observer", observer, OBSERVERS)
    grid = check_wavelengths(wavelengths_nm)
    power = light_power(illuminant, grid)
    if scene is None or isinstance(scene, str):
        present = light_power(scene or illuminant, grid)
    else:
        present = np.maximum(scene, 1e-6 * np.max(scene))
    visible = (grid >= VISIBLE_NM[0]) & (grid <= VISIBLE_NM[1])
    if not (colour_matching(observer, grid)[visible, 1] > 0).any():
        return np.zeros((grid.size, 3))
    # A surface that is white in the light of the scene stays as bright under the other light.
    matrix = np.zeros((grid.size, 3))
    matrix[visible] = 100.0 * srgb_matrix(
        power[visible], grid[visible], observer=observer, present=present[visible], adapt=adapt
    )
    return matrix


@functools.lru_cache(maxsize=64)
def band_colours(wavelengths_nm: tuple[float, ...]) -> tuple[tuple[float, float, float], ...]:
    """Linear sRGB of the light of each band, its strongest channel 1; grey where invisible."""
    import colour

    grid = np.asarray(wavelengths_nm)
    xyz = colour_matching("cie1931", grid)
    srgb = colour.RGB_COLOURSPACES["sRGB"]
    rgb = xyz @ srgb.matrix_XYZ_to_RGB.T
    # No display shows pure wavelengths: white is mixed in until no channel is negative.
    rgb = rgb - np.minimum(rgb.min(axis=1, keepdims=True), 0.0)
    top = rgb.max(axis=1, keepdims=True)
    coloured = np.where(top > 1e-3, rgb / np.maximum(top, 1e-9), 0.5)
    return tuple((float(r), float(g), float(b)) for r, g, b in coloured)
