"""Camera responses: the spectral sensitivity of each channel, labelled, resampled, under a light.

A response tells how strongly each channel answers to light of each wavelength. Its values are per
band of the challenge's grid (10 nm): summing ``spectrum * response`` over the 31 bands gives the
signal. Grids of another step are weighted by their step, see ``band_weights``.
"""

from __future__ import annotations

import csv
import functools
import importlib.resources
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.arrays import labelled_array
from respectra.cameras.images import CHANNELS, PHOTOGRAPH
from respectra.colour import (
    list_rgb_spaces,
    open_light,
    resample_light,
    space_matrix,
    srgb_matrix,
)
from respectra.colour.observers import colour_matching
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, check_wavelengths, wavelengths_of
from respectra.errors import DataError, unknown_name
from respectra.registry import Registry
from respectra.typing import FloatArray

#: Group of the entry points of other packages.
GROUP = "respectra.responses"
#: Dimensions of a response, in order.
DIMS = ("wavelength", "channel")
#: The clean track's camera.
CLEAN_RESPONSE = "cie-1964-ntire2020"
#: The organisers' published example of a real-world camera.
EXAMPLE_RESPONSE = "ntire2020-example-d40"
#: A response may be continued by zeros where its end lies below this share of the channel's peak.
NEAR_ZERO = 0.02
#: Step of the grid on which a spectrum is summed without weights.
REFERENCE_STEP_NM = 10.0
#: The light that a developed photograph is taken to be under.
PHOTOGRAPH_LIGHT = "D65"
#: Light that stands for one of which nothing is known, not even the colour of white.
ASSUMED_LIGHT = "E"
#: Temperatures of the lights that are compared with a told white, K.
_PLANCK_K = (2000, 2300, 2600, 2856, 3200, 3600, 4000, 4500)
_DAYLIGHT_K = (4500, 5000, 5500, 6000, 6500, 7500, 9000, 12000)


def make_response(
    values: npt.ArrayLike, wavelengths_nm: npt.ArrayLike, *, name: str, source: str = ""
) -> xr.DataArray:
    """Label an array as a response.

    Args:
        values: shape (band, 3), R, G, B, any scale; stored as float64.
        wavelengths_nm: shape (band,), nm, ascending.
        name: what the camera is called.
        source: where the values came from.

    Raises:
        DataError: wrong shape, values that are not finite, or a channel without any signal.

    Example:
        >>> curves = [[0.1, 0.2, 0.9], [0.2, 0.9, 0.1], [0.9, 0.1, 0.0]]
        >>> response = make_response(curves, [450, 550, 650], name="mine")
        >>> response.dims, response.attrs["name"]
        (('wavelength', 'channel'), 'mine')
    """
    grid = check_wavelengths(wavelengths_nm)
    table = np.asarray(values, dtype=np.float64)
    if table.shape != (grid.size, 3):
        raise DataError(
            f"a response has one row a wavelength and columns R, G, B; "
            f"got shape {table.shape} for {grid.size} wavelengths"
        )
    if not np.isfinite(table).all():
        raise DataError(f"the response {name!r} holds values that are not finite numbers")
    if not (table.max(axis=0) > 0).all():
        raise DataError(f"the response {name!r} has a channel without any sensitivity")
    return labelled_array(
        table,
        DIMS,
        wavelengths_nm=grid,
        channels=CHANNELS,
        attrs={"name": name, "source": source},
        name="response",
    )


def require_response(response: object) -> xr.DataArray:
    """Return ``response`` when it is one: dims (wavelength, channel) with channels R, G, B.

    Raises:
        DataError: it is something else; says what is missing.

    Example:
        >>> response = native_response(list_responses()[0])
        >>> require_response(response).identical(response)
        True
    """
    if not isinstance(response, xr.DataArray):
        raise DataError(
            f"a response is an xarray.DataArray, got {type(response).__name__}; "
            "label an array with respectra.cameras.make_response(values, wavelengths_nm, name=...)"
        )
    if tuple(response.dims) != DIMS or "wavelength" not in response.coords:
        raise DataError(
            f"a response has dimensions {DIMS} and wavelengths in nm, got {dict(response.sizes)}"
        )
    return make_response(
        response.values,
        wavelengths_of(response),
        name=str(response.attrs.get("name", "unnamed")),
        source=str(response.attrs.get("source", "")),
    )


def resample_response(response: xr.DataArray, wavelengths_nm: npt.ArrayLike) -> xr.DataArray:
    """The response at other wavelengths: linear between its samples, zero beyond its ends.

    Args:
        response: dims (wavelength, channel).
        wavelengths_nm: shape (band,), nm, ascending.

    Raises:
        DataError: a wavelength lies beyond an end at which the response is not near zero (above
            2 % of the channel's peak), so that nobody knows how it goes on.

    Example:
        >>> resample_response(native_response(list_responses()[0]), [450, 550, 650]).shape
        (3, 3)
    """
    response = require_response(response)
    grid = check_wavelengths(wavelengths_nm)
    known = wavelengths_of(response)
    table = response.values
    for beyond, end in ((grid[0] < known[0], 0), (grid[-1] > known[-1], -1)):
        share = float(np.max(np.abs(table[end]) / table.max(axis=0)))
        if beyond and share > NEAR_ZERO:
            raise DataError(
                f"the response {response.attrs['name']!r} ends at {known[end]:g} nm with "
                f"{share:.0%} of its peak, and the bands run from {grid[0]:g} to {grid[-1]:g} nm; "
                "crop the cube to the camera's range or use another response"
            )
    columns = [np.interp(grid, known, column, left=0.0, right=0.0) for column in table.T]
    return make_response(np.stack(columns, axis=1), grid, **response.attrs)


def band_weights(wavelengths_nm: npt.ArrayLike) -> FloatArray:
    """What each band counts for in a sum over bands, in units of 10 nm; shape (band,).

    Exactly one for each band of a 10 nm grid, as the challenge sums. Other grids count each band
    by its width, so that a scene gives the same picture however finely it was sampled.

    Example:
        >>> band_weights([400, 410, 420, 430]).tolist()
        [1.0, 1.0, 1.0, 1.0]
    """
    grid = check_wavelengths(wavelengths_nm)
    if grid.size == 1:
        return np.ones(1)
    return np.asarray(np.gradient(grid) / REFERENCE_STEP_NM, dtype=np.float64)


def get_response(
    name: str, wavelengths_nm: npt.ArrayLike = CHALLENGE_WAVELENGTHS_NM
) -> xr.DataArray:
    """A known camera's response at the given wavelengths, dims (wavelength, channel).

    ``cie-1964-ntire2020`` is the clean track's: the CIE 1964 10° colour-matching functions, each
    scaled so that its values at 400, 410, ..., 700 nm sum to 255. It equals the organisers'
    published table to 4e-14.

    Args:
        name: one of ``list_responses()``.
        wavelengths_nm: shape (band,), nm, ascending; the challenge's grid by default.

    Raises:
        ConfigError: unknown name; suggests those near to it.
        DataError: the wavelengths go beyond what is known of the camera.

    Example:
        >>> get_response(list_responses()[0], [450, 550, 650]).shape
        (3, 3)
    """
    return resample_response(native_response(name), wavelengths_nm)


def list_responses() -> list[str]:
    """Names of the known responses; those of other packages come last.

    One of another package that cannot be loaded is left out with a warning.

    Example:
        >>> len(list_responses()) > 3
        True
    """
    own = built_in_responses()
    return [*own, *(name for name, _ in OTHERS.usable() if name not in own)]


def built_in_responses() -> tuple[str, ...]:
    """Names of the responses that come with this package.

    Example:
        >>> set(built_in_responses()) <= set(list_responses())
        True
    """
    return (*_FIXED, *_colour_science_cameras(), *_rawtoaces_tables()[1])


def native_response(name: str) -> xr.DataArray:
    """A known camera's response on the grid it was published on.

    Raises:
        ConfigError: unknown name; suggests those near to it. Or the package that brings it is
            broken.

    Example:
        >>> native_response(list_responses()[0]).dims
        ('wavelength', 'channel')
    """
    if name in OTHERS and name not in built_in_responses():
        return OTHERS[name]
    if name in _FIXED:
        grid, table, source = _FIXED[name]()
    elif name in (cameras := _colour_science_cameras()):
        import colour

        camera = colour.MSDS_CAMERA_SENSITIVITIES[cameras[name]]
        grid, table = np.array(camera.wavelengths), np.array(camera.values)
        source = f"{cameras[name]}, relative sensitivity (colour-science)"
    elif name in (tables := _rawtoaces_tables())[1]:
        grid, table = tables[0], tables[1][name]
        source = "rawtoaces-data, relative sensitivity (Apache-2.0)"
    else:
        raise unknown_name("response", name, list_responses())
    return make_response(table, grid, name=name, source=source)


def _accept(name: str, entry: Any) -> xr.DataArray:
    """A response, from what an entry point names: one, or a function that gives one."""
    response = require_response(entry() if callable(entry) else entry)
    if response.attrs["name"] != name:
        raise ValueError(f"it calls itself {response.attrs['name']!r}; both names must be the same")
    return response


#: Responses of other packages.
OTHERS: Registry[xr.DataArray] = Registry("response", group=GROUP, accept=_accept)

#: The observers' own table.
_FINE_NM = np.arange(360.0, 831.0)
_FINE_NM.setflags(write=False)


def _observer(observer: str, title: str) -> tuple[FloatArray, FloatArray, str]:
    return _FINE_NM, colour_matching(observer, _FINE_NM), f"{title} (colour-science)"


def _clean_camera() -> tuple[FloatArray, FloatArray, str]:
    gain = 255.0 / colour_matching("cie1964", CHALLENGE_WAVELENGTHS_NM).sum(axis=0)
    source = (
        "CIE 1964 10° standard observer (colour-science), each column scaled to sum to 255 "
        "over 400, 410, ..., 700 nm; the NTIRE 2020 clean track's camera"
    )
    return _FINE_NM, colour_matching("cie1964", _FINE_NM) * gain, source


@functools.cache
def _example_camera() -> tuple[FloatArray, FloatArray, str]:
    _, rows = _read_table("ntire2020_example_d40.csv")
    source = (
        "example camera of the NTIRE 2020 real-world track, Arad et al., "
        "NTIRE2020_spectral (MIT); columns sum to 65535"
    )
    return rows[:, 0], rows[:, 1:], source


#: Wavelengths in nm, table and source of the responses that no library is loaded for.
_FIXED: dict[str, Callable[[], tuple[FloatArray, FloatArray, str]]] = {
    CLEAN_RESPONSE: _clean_camera,
    EXAMPLE_RESPONSE: _example_camera,
    "cie-1931-2deg": lambda: _observer("cie1931", "CIE 1931 2° standard observer"),
    "cie-1964-10deg": lambda: _observer("cie1964", "CIE 1964 10° standard observer"),
}


@functools.cache
def _colour_science_cameras() -> dict[str, str]:
    """Our name -> colour-science's name of every camera that it has."""
    import colour

    return {
        re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-"): title
        for title in colour.MSDS_CAMERA_SENSITIVITIES
    }


@functools.cache
def _rawtoaces_tables() -> tuple[FloatArray, dict[str, FloatArray]]:
    """Wavelengths in nm, and the table of every camera, shape (band, 3)."""
    header, rows = _read_table("rawtoaces_cameras.csv")
    names = [column.removesuffix(":R") for column in header[1::3]]
    tables = np.split(rows[:, 1:], len(names), axis=1)
    return rows[:, 0], dict(zip(names, tables, strict=True))


def _read_table(name: str) -> tuple[list[str], FloatArray]:
    """Header and numbers of a table that is part of the package."""
    file = importlib.resources.files("respectra.cameras") / "data" / name
    lines = [line for line in file.read_text("utf-8").splitlines() if not line.startswith("#")]
    header, *rows = csv.reader(lines)
    return header, np.array(rows, dtype=np.float64)


def is_observer(camera: xr.DataArray | None) -> bool:
    """Whether a camera is the observer of a colour space: its pictures are developed."""
    return camera is not None and camera.attrs["name"] in list_rgb_spaces()


def sensitivity(camera: xr.DataArray, wavelengths_nm: npt.ArrayLike) -> FloatArray:
    """A camera alone in bands, shape (band, 3), in the true proportions of its channels."""
    if is_observer(camera):
        power = resample_light(open_light(PHOTOGRAPH_LIGHT), wavelengths_nm)
        seen = _observed(camera, power, check_wavelengths(wavelengths_nm))
        return np.asarray(seen / power[:, None], np.float64)
    sampled = resample_response(camera, wavelengths_nm)
    return np.asarray(sampled.values * band_weights(wavelengths_nm)[:, None], np.float64)


def seen_under(camera: xr.DataArray, power: FloatArray, grid: FloatArray) -> FloatArray:
    """A camera times a light, shape (band, 3), in no particular scale."""
    if is_observer(camera):
        return _observed(camera, power, grid)
    return sensitivity(camera, grid) * power[:, None]


def nearest_light(
    camera: xr.DataArray, white: npt.ArrayLike, wavelengths_nm: npt.ArrayLike
) -> xr.DataArray:
    """Of equal energy, black bodies and daylights the light whose white is nearest in colour."""
    told = np.log(np.asarray(white) / np.sum(white))
    best, least = open_light(ASSUMED_LIGHT), np.inf
    response = sensitivity(camera, wavelengths_nm)
    names = [*(f"planck:{k}" for k in _PLANCK_K), *(f"daylight:{k}" for k in _DAYLIGHT_K)]
    for light in (best, *map(open_light, names)):
        given = resample_light(light, wavelengths_nm) @ response
        if (given <= 0).any():
            continue
        distance = float(np.abs(np.log(given / given.sum()) - told).sum())
        if distance < least:
            best, least = light, distance
    return best


def _observed(camera: xr.DataArray, power: FloatArray, grid: FloatArray) -> FloatArray:
    """Linear R, G, B of a photograph's colour space, of reflectance under a light."""
    seen = srgb_matrix(power, grid)
    name = str(camera.attrs["name"])
    if name == PHOTOGRAPH:
        return seen
    return seen @ space_matrix(PHOTOGRAPH, name).T
