"""Which array of a file is the cube, and which of its axes is which: by names, else by sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from respectra.cubes.formats._grids import WAVELENGTH_NAMES
from respectra.errors import ConfigError, FormatError, SeveralCubesError

_BAND = (
    *WAVELENGTH_NAMES, "channel", "channels", "nbands", "n_bands", "spectral", "spectrum", "z",
    "wvl", "wave", "lambda_nm",
)  # fmt: skip
_Y = (
    "y", "lat", "latitude", "row", "rows", "line", "lines", "northing", "north", "height",
    "nrows", "nlines", "scanline", "scanlines", "downtrack", "along_track", "dim_y", "ny", "j",
)  # fmt: skip
_X = (
    "x", "lon", "long", "longitude", "col", "cols", "column", "columns", "sample", "samples",
    "easting", "east", "width", "ncols", "ncolumns", "nsamples", "pixel", "pixels", "crosstrack",
    "across_track", "dim_x", "nx", "i",
)  # fmt: skip
#: What CF calls the coordinates of the axes, and its letters for them.
_STANDARD = {
    "latitude": "y", "projection_y_coordinate": "y", "grid_latitude": "y",
    "longitude": "x", "projection_x_coordinate": "x", "grid_longitude": "x",
    "radiation_wavelength": "band", "sensor_band_central_radiation_wavelength": "band",
}  # fmt: skip
_LETTERS = {"Y": "y", "X": "x"}

#: What the names of dimensions begin with that the file does not name.
UNNAMED = "phony_dim_"
Role = Literal["y", "x", "band"]
#: The roles of an array's axes in the order in which they are stored, as a user names them.
Axes = tuple[Role, Role, Role]


def choose_variable(shapes: Mapping[str, tuple[int, ...]], key: str | None, path: Path) -> str:
    """The variable of a file that is the cube: ``key``, a usual name, or the only 3-D one.

    Raises:
        FormatError: there is no such variable, none with three dimensions, or several.
    """
    listing = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "nothing"
    if key is not None:
        if key not in shapes:
            raise FormatError(f"{path} has no variable {key!r}; it holds {listing}")
        return key
    for name in ("cube", "cube_u16", "cube_u8", "rad"):
        if name in shapes:
            return name
    solid = [name for name, shape in shapes.items() if len(shape) == 3]
    if len(solid) == 1:
        return solid[0]
    if solid:
        raise SeveralCubesError(
            f"{path} holds several arrays with three dimensions ({listing}); say which one with "
            "--key (key=...)",
            solid,
        )
    raise FormatError(
        f"{path} holds no array with three dimensions ({listing}); a cube has y, x and wavelength"
    )


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


def order_by_axes(axes: Axes, dimensions: int) -> tuple[int, int, int]:
    """The places of y, x and band among the axes as a user names them."""
    if dimensions != 3:
        raise FormatError(f"y, x and band are the axes of an array of three; it has {dimensions}")
    return axes.index("y"), axes.index("x"), axes.index("band")


def role_by_name(name: str) -> str | None:
    """``y``, ``x`` or ``band`` when the name of a dimension says so; groups do not matter."""
    bare = name.rsplit("/", 1)[-1].strip().lower()
    for role, names in (("band", _BAND), ("y", _Y), ("x", _X)):
        if bare in names:
            return role
    return None


def role_by_attributes(attrs: Mapping[str, object]) -> str | None:
    """The same by the attributes of the coordinate that lies along the dimension."""
    standard = _STANDARD.get(str(attrs.get("standard_name", "")))
    return standard or _LETTERS.get(str(attrs.get("axis", "")).upper())


def order_by_roles(roles: Sequence[str | None]) -> tuple[int, ...]:
    """Axes in the order y, x, band; those that are not known take the places left, in order.

    Args:
        roles: of each axis as stored; the band's among them, or the last one that is free is it.
    """
    places: dict[str, int] = {}
    for axis, role in enumerate(roles):
        if role is not None:
            places.setdefault(role, axis)
    free = [axis for axis in range(len(roles)) if axis not in places.values()]
    if "band" not in places and free:
        places["band"] = free.pop()
    for role in ("y", "x"):
        if role not in places and free:
            places[role] = free.pop(0)
    return tuple(places[role] for role in ("y", "x", "band") if role in places)


def band_by_size(shape: Sequence[int], sizes: Sequence[int]) -> int:
    """The axis of a nameless array that is as long as a list of wavelengths; else the last one."""
    last = len(shape) - 1
    for size in sizes:
        fitting = [axis for axis, n in enumerate(shape) if n == size]
        if last in fitting:
            return last
        if len(fitting) == 1:
            return fitting[0]
    return last


def order_by_size(shape: Sequence[int], sizes: Sequence[int], axes: Axes | None) -> tuple[int, ...]:
    """The axes y, x and band of a nameless array: as a user names them, or by their sizes."""
    if axes is not None:
        return order_by_axes(axes, len(shape))
    if len(shape) != 3:  # which is refused by who reads it
        return tuple(range(len(shape)))
    band = band_by_size(shape, sizes)
    return (*(axis for axis in range(3) if axis != band), band)
