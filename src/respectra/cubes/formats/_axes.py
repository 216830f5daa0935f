"""Which axis of an array is y, which x, which the bands; and at which wavelengths these are.

What a file says is believed, in this order: the axes the user names; a coordinate that holds
wavelengths, or is called or marked as one of the three; the length of its list of wavelengths.
Where nothing is said the axes are y, x, band, as they are stored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from respectra.errors import ConfigError, FormatError
from respectra.wavelengths import is_unit, to_nanometres

Role = Literal["y", "x", "band"]
#: The roles of an array's axes, in the order in which they are stored.
Axes = tuple[Role, Role, Role]

#: Names under which files keep their wavelengths; the surer ones first.
WAVELENGTH_NAMES = (
    "wavelengths_nm",
    "wavelength_nm",
    "wavelengths",
    "wavelength",
    "wl",
    "wvl",
    "lambda",
    "bands",
    "band",
)
_NAMES: dict[Role, frozenset[str]] = {
    "band": frozenset(
        (*WAVELENGTH_NAMES, "channel", "channels", "spectral", "spectrum", "wavenumber", "nbands")
    ),
    "y": frozenset(
        ["y", "lat", "latitude", "row", "rows", "line", "lines", "northing", "height", "downtrack"]
    ),
    "x": frozenset(
        [
            "x",
            "lon",
            "longitude",
            "col",
            "cols",
            "column",
            "columns",
            "sample",
            "samples",
            "easting",
            "width",
        ]
    ),
}
#: What the CF conventions call the coordinates of the three axes, and their units.
_STANDARD_NAMES: dict[str, Role] = {
    "latitude": "y",
    "grid_latitude": "y",
    "projection_y_coordinate": "y",
    "longitude": "x",
    "grid_longitude": "x",
    "projection_x_coordinate": "x",
    "radiation_wavelength": "band",
    "sensor_band_central_radiation_wavelength": "band",
    "sensor_band_central_radiation_wavenumber": "band",
}
_UNITS: dict[str, Role] = {"degrees_north": "y", "degrees_east": "x"}
_SPELLED = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s*\(?\s*([A-Za-zµμÅ]+)")


@dataclass(frozen=True)
class Vector:
    """A list of numbers along one axis of an array: a coordinate, or a variable beside it."""

    name: str
    axis: str
    size: int
    read: Callable[[], Any]
    attrs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def unit(self) -> str | None:
        """What it states as its unit."""
        unit = self.attrs.get("units", self.attrs.get("unit"))
        return str(unit) if isinstance(unit, str | bytes) else None


@dataclass(frozen=True)
class Grid:
    """The wavelengths of a file, or why they cannot be used."""

    nm: npt.NDArray[np.float64] | None = None
    """One a band in the order of the file; None when the file does not say."""
    problem: str = ""
    """What is wrong with those that it states."""


def parse_axes(text: str) -> Axes:
    """The roles of axes from text such as ``band,y,x``.

    Raises:
        ConfigError: not y, x and band, each once.
    """
    parts = tuple(part.strip().lower() for part in text.split(","))
    if sorted(parts) != sorted(get_args(Role)):
        raise ConfigError(
            f"axes are y, x and band in the order of the file, such as band,y,x; got {text!r}"
        )
    return parts  # type: ignore[return-value]


def role_of(name: str, attrs: Mapping[str, Any] | None = None) -> Role | None:
    """What an axis is by its name, and by the attributes of its coordinate."""
    facts = attrs or {}
    marked = _STANDARD_NAMES.get(str(facts.get("standard_name", "")).lower())
    marked = marked or _UNITS.get(str(facts.get("units", "")).lower())
    if marked is None and str(facts.get("axis", "")).upper() in ("X", "Y"):
        marked = "y" if str(facts["axis"]).upper() == "Y" else "x"
    if marked is not None:
        return marked
    plain = name.lower().strip()
    return next((role for role, names in _NAMES.items() if plain in names), None)


def arrange(
    names: Sequence[str], sizes: Sequence[int], vectors: Sequence[Vector], axes: Axes | None
) -> tuple[int, ...]:
    """The positions of y, x and band among the axes of an array of three.

    Args:
        names: of the axes; empty where an axis has none.
        sizes: their lengths.
        vectors: what is known along axes.
        axes: as the user says.

    Raises:
        ConfigError: the user names axes of an array that has not three.
    """
    if axes is not None:
        if len(names) != 3:
            raise ConfigError(f"axes are named of arrays of three; this one has {len(names)}")
        return tuple(axes.index(role) for role in get_args(Role))
    if len(names) != 3:
        return tuple(range(len(names)))
    roles = [_role(name, vectors) for name in names]
    band = _band_axis(names, sizes, roles, vectors)
    first, second = (axis for axis in range(3) if axis != band)
    if roles[first] == "x" or (roles[second] == "y" and roles[first] != "y"):
        first, second = second, first
    return first, second, band


def _role(name: str, vectors: Sequence[Vector]) -> Role | None:
    own = next((v for v in vectors if v.name == name == v.axis), None)
    return role_of(name, own.attrs if own else None)


def _band_axis(
    names: Sequence[str],
    sizes: Sequence[int],
    roles: Sequence[Role | None],
    vectors: Sequence[Vector],
) -> int:
    for vector in _by_rank(vectors):  # wavelength(band): the axis along which it lies
        axis = names.index(vector.axis) if vector.axis and vector.axis in names else None
        if axis is not None and roles[axis] in (None, "band"):
            return axis
    if "band" in roles:
        return list(roles).index("band")
    open_axes = [axis for axis in range(3) if roles[axis] is None] or [0, 1, 2]
    lengths = {vector.size for vector in _by_rank(vectors) if not vector.axis}
    fitting = [axis for axis in open_axes if sizes[axis] in lengths]
    return (fitting or open_axes)[-1]


def _by_rank(vectors: Sequence[Vector]) -> list[Vector]:
    """Those that are wavelengths by name, mark or unit; the surest first."""

    def rank(vector: Vector) -> int:
        name = vector.name.lower()
        if name in WAVELENGTH_NAMES[:-2]:
            return WAVELENGTH_NAMES.index(name)
        if _STANDARD_NAMES.get(str(vector.attrs.get("standard_name", "")).lower()) == "band":
            return 20
        if is_length_of_light(vector.unit):
            return 30
        if name in WAVELENGTH_NAMES:  # band: an index, unless its numbers are wavelengths
            return 40 + WAVELENGTH_NAMES.index(name)
        return 99

    return sorted((v for v in vectors if rank(v) < 99), key=rank)


def is_length_of_light(unit: str | None) -> bool:
    """Whether a unit by itself shows that numbers are wavelengths: not metres, which y and x are"""
    return is_unit(unit) and str(unit).strip().lower() not in (
        ("m", "meter", "meters", "metre", "metres", "cm", "mm", "a", "ev")
    )


def find_grid(vectors: Sequence[Vector], axis: str, bands: int, where: str) -> Grid:
    """The wavelengths among the vectors of a file, in nm.

    Args:
        vectors: what the file holds.
        axis: name of the band axis; vectors along others are not looked at.
        bands: its length.
        where: for messages.
    """
    problem = ""
    fitting = [v for v in vectors if v.axis in ("", axis) and v.size == bands]
    ranked = _by_rank(fitting)
    others = [v for v in fitting if v.name == axis and v not in ranked]
    for vector in (*ranked, *others):
        grid = band_grid(vector.read(), bands, vector.unit, where)
        if grid.nm is not None:
            return grid
        problem = problem or grid.problem
    return Grid(None, problem)


def band_grid(values: object, bands: int, unit: str | None, where: str) -> Grid:
    """One list of numbers as wavelengths in nm; nothing for the band numbers 1, 2, ..."""
    axis = plausible_wavelengths(values, bands)
    if axis is None:
        return Grid()
    try:
        return Grid(to_nanometres(axis, unit, where=where))
    except FormatError as error:
        return Grid(None, str(error))


def plausible_wavelengths(values: object, bands: int) -> npt.NDArray[np.float64] | None:
    """A vector of one number a band; None for anything else, and for the band numbers 1, 2, ..."""
    if values is None:
        return None
    try:
        grid = np.asarray(values, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        return None
    if grid.size != bands or any(np.array_equal(grid, np.arange(bands) + k) for k in (0, 1)):
        return None
    return grid


def spelled_grid(names: Sequence[str], where: str) -> Grid:
    """Wavelengths that stand in the names of bands: ``Band 3 (560.5 nm)``, ``0.56 micrometers``."""
    found = []
    for name in names:
        match = next((m for m in _SPELLED.finditer(str(name)) if is_unit(m[2])), None)
        if match is None or match[2].lower() in ("a", "m"):
            return Grid()
        found.append((float(match[1]), match[2]))
    units = {unit for _, unit in found}
    if len(units) != 1:
        return Grid()
    return band_grid([value for value, _ in found], len(found), units.pop(), where)
