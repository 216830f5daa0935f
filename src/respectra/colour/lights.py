"""Lights: relative spectral power, by name, by temperature or from a file.

A light is an ``xarray.DataArray`` of dim ``wavelength`` (nm), with the attributes ``name`` and
``source``. Its values are relative: only their proportions count.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.arrays import labelled_array
from respectra.colour.light_files import open_light_file
from respectra.colour.observers import colour_matching, illuminant_table, tabulated_illuminants
from respectra.errors import ConfigError, DataError, unknown_name
from respectra.typing import FloatArray
from respectra.wavelengths import band_widths, check_wavelengths

#: Second radiation constant hc/k in nm K (CODATA 2018).
_C2_NM_K = 1.438776877e7
#: Temperatures that Planck's law is taken for, K.
_PLANCK_K = (500.0, 100_000.0)
#: Temperatures that the CIE's formula of daylight is for, K.
_DAYLIGHT_K = (4000.0, 25_000.0)
_FINE_NM = np.arange(300.0, 831.0, 5.0)
_FINE_NM.setflags(write=False)
#: Half of the width of a band that has no neighbours, nm.
_ALONE_NM = 10.0


def list_illuminants() -> list[str]:
    """Names of lights with a table: the CIE's A, B, C, D, E, FL, HP, LED, ID series, ISO 7589's.

    ``planck:2856`` and ``daylight:5200`` name lights by their temperature in K besides.

    Example:
        >>> import respectra as rs
        >>> [light for light in rs.list_illuminants() if light.startswith("D")][:3]
        ['D50', 'D55', 'D60']
    """
    return list(tabulated_illuminants())


def make_light(
    power: npt.ArrayLike, wavelengths_nm: npt.ArrayLike, *, name: str, source: str = ""
) -> xr.DataArray:
    """Label an array as a light.

    Args:
        power: shape (band,), relative spectral power, any scale, not negative.
        wavelengths_nm: shape (band,), nm, ascending.
        name: what the light is called.
        source: where the values came from.

    Raises:
        DataError: wrong shape, values that are negative or not finite, or no light at all.

    Example:
        >>> light = make_light([1.0, 2.0, 3.0], [400, 550, 700], name="reddish")
        >>> light.attrs["name"], light.dims
        ('reddish', ('wavelength',))
    """
    grid = check_wavelengths(wavelengths_nm)
    values = np.asarray(power, dtype=np.float64)
    if values.shape != grid.shape:
        raise DataError(
            f"a light has one value a wavelength; got shape {values.shape} for "
            f"{grid.size} wavelengths"
        )
    if not np.isfinite(values).all():
        raise DataError(f"the light {name!r} holds values that are not finite numbers")
    if (values < 0).any():
        where = ", ".join(f"{nm:g}" for nm in grid[values < 0][:3])
        raise DataError(
            f"the light {name!r} is negative at {where} nm (down to {values.min():.3g}); power is "
            "not: subtract the dark reading, or set what is noise to a small positive value"
        )
    if not values.max() > 0:
        raise DataError(f"the light {name!r} is zero everywhere")
    return labelled_array(
        values,
        ("wavelength",),
        wavelengths_nm=grid,
        attrs={"name": name, "source": source},
        name="light",
    )


def require_light(light: object) -> xr.DataArray:
    """Return ``light`` when it is one: dim wavelength, in nm, values that are not negative.

    Raises:
        DataError: it is something else; says what is missing.

    Example:
        >>> light = make_light([1.0, 2.0, 3.0], [400, 550, 700], name="reddish")
        >>> require_light(light).identical(light)
        True
    """
    if not isinstance(light, xr.DataArray):
        raise DataError(
            f"a light is an xarray.DataArray, got {type(light).__name__}; label an array with "
            "respectra.colour.make_light(power, wavelengths_nm, name=...)"
        )
    if tuple(light.dims) != ("wavelength",) or "wavelength" not in light.coords:
        raise DataError(f"a light has the one dimension wavelength, in nm; got {dict(light.sizes)}")
    return make_light(
        light.values,
        light["wavelength"].values,
        name=str(light.attrs.get("name", "unnamed")),
        source=str(light.attrs.get("source", "")),
    )


def open_light(light: str | os.PathLike[str] | xr.DataArray) -> xr.DataArray:
    """A light by name, by temperature, from a file, or as it is.

    Args:
        light: one of :func:`list_illuminants` (upper or lower case); ``planck:2856``, a black body
            of that temperature in K; ``daylight:5200``, the CIE's daylight of that correlated
            colour temperature; a file (CSV, text, NPZ, ``.sp``, ``.spdx``); or a light.

    Returns:
        dim wavelength, on its own wavelengths; the attribute ``name`` says which it is.

    Raises:
        ConfigError: an unknown name, or a temperature out of range.
        FormatError: a file that cannot be read as a light.
        DataError: values that are no light's.

    Example:
        >>> open_light("planck:2856").attrs["name"]
        'planck:2856'
    """
    if isinstance(light, xr.DataArray):
        return require_light(light)
    if not isinstance(light, (str, os.PathLike)):
        raise ConfigError(f"a light is a name, a file or a DataArray; got {type(light).__name__}")
    text = os.fspath(light)
    kind, colon, number = text.partition(":")
    if colon and kind.lower() in ("planck", "daylight"):
        return (blackbody if kind.lower() == "planck" else daylight)(_temperature(text, number))
    known = {name.lower(): name for name in list_illuminants()}
    if text.lower() in known:
        name = known[text.lower()]
        grid, power = illuminant_table(name)
        return make_light(power, grid, name=name, source="colour-science")
    if isinstance(light, os.PathLike) or Path(text).suffix[1:2].isalpha():
        grid, power = open_light_file(text)
        return make_light(power, grid, name=Path(text).stem, source=Path(text).name)
    raise unknown_name("light", text, [*known.values(), "planck:2856", "daylight:5200"])


def blackbody(temperature_k: float) -> xr.DataArray:
    """The light of a black body (Planck's law), 100 at 560 nm.

    Raises:
        ConfigError: a temperature outside 500 to 100 000 K.

    Example:
        >>> round(blackbody(2856).sel(wavelength=560).item(), 6)
        100.0
    """
    _require_between(temperature_k, _PLANCK_K, "a black body")

    def power(nm: npt.ArrayLike) -> FloatArray:
        waves = np.asarray(nm, np.float64)
        return np.asarray(waves**-5.0 / np.expm1(_C2_NM_K / (waves * temperature_k)))

    name = f"planck:{temperature_k:g}"
    values = 100.0 * power(_FINE_NM) / power(560.0)
    return make_light(values, _FINE_NM, name=name, source="Planck's law")


def daylight(temperature_k: float) -> xr.DataArray:
    """Daylight of a correlated colour temperature, 100 at 560 nm.

    Raises:
        ConfigError: a temperature outside 4000 to 25 000 K.

    Source: CIE 015, the D series.

    Example:
        >>> round(daylight(6504).sel(wavelength=560).item(), 6)
        100.0
    """
    import colour

    _require_between(temperature_k, _DAYLIGHT_K, "daylight")
    table = colour.sd_CIE_illuminant_D_series(
        colour.CCT_to_xy(temperature_k, "CIE Illuminant D Series")
    )
    grid = np.asarray(table.wavelengths, np.float64)
    return make_light(
        np.asarray(table.values), grid, name=f"daylight:{temperature_k:g}", source="CIE D series"
    )


def resample_light(light: xr.DataArray, wavelengths_nm: npt.ArrayLike) -> FloatArray:
    """Power of a light in bands, shape (band,): no line falls between two bands.

    Where the light's table is finer than the bands, each band is a mean with a triangular window
    that reaches to the neighbouring bands; otherwise the table is interpolated linearly. A light
    on the bands' own grid comes back as it is.

    Args:
        light: dim wavelength.
        wavelengths_nm: centres of the bands, nm, ascending.

    Raises:
        DataError: a band lies outside the light's table, or is dark: what reflects there cannot be
            seen.

    Example:
        >>> resample_light(blackbody(2856), [450, 550, 650]).round(1).tolist()
        [35.9, 93.9, 164.1]
    """
    light = require_light(light)
    bands = check_wavelengths(wavelengths_nm)
    grid, power = np.asarray(light["wavelength"].values, np.float64), light.values
    name = light.attrs["name"]
    if bands[0] < grid[0] or bands[-1] > grid[-1]:
        remedy = "leave out the bands outside, or measure it there"
        if grid[0] <= 10 * bands[0] and 10 * bands[-1] <= grid[-1]:
            remedy = "if these are ångström, divide them by 10"
        raise DataError(
            f"the light {name!r} is known from {grid[0]:g} to {grid[-1]:g} nm, the bands run from "
            f"{bands[0]:g} to {bands[-1]:g} nm; {remedy}"
        )
    points = np.union1d(grid, bands)
    values = np.interp(points, grid, power)
    left = np.diff(bands, prepend=bands[0] - _first_step(bands))
    right = np.diff(bands, append=bands[-1] + _first_step(bands[::-1]))
    offset = points - bands[:, None]
    window = 1.0 - np.where(offset < 0, -offset / left[:, None], offset / right[:, None])
    window = np.maximum(window, 0.0) * band_widths(points)
    averaged = np.asarray(window @ values / window.sum(axis=1))
    dark = bands[averaged <= 0]
    if dark.size:
        raise DataError(
            f"the light {name!r} is zero at {_listed(dark)} nm: what a surface reflects there "
            "cannot be known; leave out those bands, or give the light its small true values"
        )
    return averaged


def normalise_light(power: npt.ArrayLike, wavelengths_nm: npt.ArrayLike) -> FloatArray:
    """A light in bands, scaled to the luminance of the equal-energy light of 1; shape (band,).

    So a perfect white under any light is as bright as one under any other.

    Example:
        >>> normalise_light([2.0, 2.0, 2.0], [450, 550, 650]).tolist()
        [1.0, 1.0, 1.0]
    """
    grid = check_wavelengths(wavelengths_nm)
    values = np.asarray(power, np.float64)
    luminance = colour_matching("cie1931", grid)[:, 1] * band_widths(grid)
    if luminance.sum() <= 0:  # bands that nobody sees
        luminance = np.ones(grid.size)
    return np.asarray(values * (luminance.sum() / (values @ luminance)))


def _first_step(bands: FloatArray) -> float:
    return abs(float(bands[1] - bands[0])) if bands.size > 1 else _ALONE_NM


def _listed(grid: FloatArray) -> str:
    return ", ".join(f"{nm:g}" for nm in grid[:4]) + (" ..." if grid.size > 4 else "")


def _temperature(text: str, number: str) -> float:
    try:
        return float(number.strip().rstrip("kK "))
    except ValueError:
        raise ConfigError(
            f"{text!r} names no temperature; write planck:2856 or daylight:5200, in K"
        ) from None


def _require_between(value: float, bounds: tuple[float, float], what: str) -> None:
    if not bounds[0] <= value <= bounds[1]:
        raise ConfigError(f"{what} is known from {bounds[0]:g} to {bounds[1]:g} K; got {value:g} K")
