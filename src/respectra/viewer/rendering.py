"""Matrices that turn spectra into linear sRGB: as seen, under another light, band by band."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from respectra.cubes import check_wavelengths, colour_matching
from respectra.cubes import illuminant as tabulated
from respectra.cubes.observers import OBSERVERS
from respectra.cubes.previewing import VISIBLE_NM
from respectra.errors import unknown_name

FloatArray = npt.NDArray[np.float64]

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
_CANDLE_K = 1900.0
#: Second radiation constant hc/k in nm K (CODATA 2018).
_C2_NM_K = 1.438776877e7


def scene_light(quantity: str) -> str:
    """The light that a cube is taken to be under: photographs are balanced to D65."""
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
    if name == "candle":
        power = grid**-5.0 / np.expm1(_C2_NM_K / (grid * _CANDLE_K))
        at_560 = 560.0**-5.0 / np.expm1(_C2_NM_K / (560.0 * _CANDLE_K))
        return np.asarray(100.0 * power / at_560)
    return tabulated(name, np.clip(grid, *VISIBLE_NM)) if grid.size == 1 else _clipped(name, grid)


def _clipped(name: str, grid: FloatArray) -> FloatArray:
    """Sample at each wavelength alone, since the ends of a clipped grid repeat."""
    whole = np.arange(VISIBLE_NM[0], VISIBLE_NM[1] + 1.0)
    return np.interp(grid, whole, tabulated(name, whole))


def rendering_matrix(
    wavelengths_nm: npt.ArrayLike,
    *,
    illuminant: str,
    observer: str = "cie1931",
    scene: str | None = None,
    adapt: bool = True,
) -> FloatArray:
    """From a spectrum to linear sRGB, shape (band, 3).

    Args:
        wavelengths_nm: shape (band,), nm.
        illuminant: the light to show the scene under.
        observer: ``cie1931`` or ``cie1964``.
        scene: the light that is in the spectra already and is divided out; by default the same
            as ``illuminant``, which shows them as they are. ``E`` for reflectance.
        adapt: let the eye adapt to the light (Bradford), so that white looks white; otherwise the
            eye stays adapted to D65 and a candle looks orange.

    Raises:
        ConfigError: unknown light or observer.
    """
    import colour

    if observer not in OBSERVERS:
        raise unknown_name("observer", observer, OBSERVERS)
    grid = check_wavelengths(wavelengths_nm)
    widths = np.gradient(grid) if grid.size > 1 else np.ones(1)
    visible = (grid >= VISIBLE_NM[0]) & (grid <= VISIBLE_NM[1])
    matching = colour_matching(observer, grid) * (widths * visible)[:, None]
    power = light_power(illuminant, grid)
    present = light_power(scene or illuminant, grid)
    white = power @ matching
    if white[1] <= 0:
        return np.zeros((grid.size, 3))
    srgb = colour.RGB_COLOURSPACES["sRGB"]
    display_white = colour.xy_to_XYZ(srgb.whitepoint)
    # A surface that is white in the light of the scene stays as bright under the other light.
    to_xyz = matching * (power / np.maximum(present, 1e-3 * present.max()) / white[1])[:, None]
    adaptation = colour.adaptation.matrix_chromatic_adaptation_VonKries(
        white / white[1] if adapt else display_white, display_white, transform="Bradford"
    )
    return np.asarray(100.0 * to_xyz @ (srgb.matrix_XYZ_to_RGB @ adaptation).T, np.float64)


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
