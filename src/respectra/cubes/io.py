"""Open, inspect and save cubes, whatever their format."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes.formats import FORMATS, CubeFormat, Stored
from respectra.cubes.formats._axes import parse_axes
from respectra.cubes.formats.base import MOST_BANDS, encode_attrs, guard, reading, writing
from respectra.cubes.lazy import Chunks, Peek, StoredArray, lazy_cube
from respectra.cubes.lowrank import LowRankCube
from respectra.cubes.model import (
    CHALLENGE_WAVELENGTHS_NM,
    Quantity,
    check_wavelengths,
    describe_wavelengths,
    make_cube,
    require_cube,
)
from respectra.errors import ConfigError, DataError, FormatError, OutputError
from respectra.files import atomic_paths, ensure_all_absent, recover
from respectra.storage import local_copy
from respectra.uploads import uploading
from respectra.urls import Place, Url, parse_place

PathLike = str | os.PathLike[str]
_OVERHEAD_BYTES = 2**17  # headers, wavelengths, attributes
#: What a header and its data end with.
_OF_SEVERAL = (".hdr", ".img", ".bip", ".bil", ".bsq", ".dat", ".raw")
_SAME_NM = 0.1  # wavelengths that differ by less are the same, rounded
#: Attributes of one value a band, which follow the bands.
_PER_BAND = ("band_names", "fwhm_nm", "good_bands")


def open_cube(
    path: PathLike | Url,
    *,
    wavelengths_nm: npt.ArrayLike | None = None,
    quantity: Quantity | None = None,
    key: str | None = None,
    axes: str | None = None,
    chunks: Chunks | None = None,
) -> xr.DataArray:
    """Open a cube from a file or folder; its values are read where they are asked for.

    The suffix names the format: MATLAB (.mat, versions 5 and 7.3), ENVI (.hdr or its data file),
    NetCDF (.nc), Zarr (.zarr), NumPy (.npy, .npz), TIFF (.tif); a folder is one PNG a band.
    Bands come back in ascending order of wavelength whatever their order in the file. Values are
    those of the file, as float32: nothing is normalised unless the file itself states a scale,
    and what the file marks as not measured is NaN.

    ``cube[100, 200]`` reads one spectrum, ``cube.values`` everything, once. ``cube.load()`` does
    so at once, for a file that is about to go away. Damage in the values shows when they are read.

    Args:
        path: the file or folder; or its URL (see ``respectra.storage``): of a Zarr store, what is
            asked for is read when it is asked for, any other file is read whole.
        wavelengths_nm: shape (band,), nm, in the order of the file's bands, where the file does
            not know them.
        quantity: what the values mean, when the file does not say or is wrong.
        key: name of the variable, where a file holds several.
        axes: what the axes of the file's array are, in its order, such as ``"band,y,x"``, where
            the file does not say or is wrong.
        chunks: give an array of Dask, in chunks as xarray takes them; ``{}`` for the file's own.

    Raises:
        FormatError: missing, empty, damaged, not what its suffix says, without wavelengths, or
            with others than those given.
        DataError: the values are not real numbers, or (when they are read) too many for the memory.
        ConfigError: the axes are not y, x and band.

    Example:
        >>> import respectra as rs
        >>> rs.save_cube(rs.make_cube([[[0.25, 0.5]]], [450, 550]), "small.zarr")
        >>> rs.open_cube("small.zarr").sel(wavelength=550).item()
        0.5
    """
    place = parse_place(path)
    with _here(place, key, axes) as (file, peek, stays):
        array = StoredArray(file, peek)
        stored = array.stored
        grid = _wavelengths(file, stored, wavelengths_nm)
        attrs = {"source": file.name, **stored.attrs}
        if grid.size > 1 and not (np.diff(grid) > 0).all():
            order = np.argsort(grid)
            grid, array = grid[order], array.reordered(order)
            for name, values in attrs.items():
                if name in _PER_BAND and isinstance(values, list) and len(values) == order.size:
                    attrs[name] = [values[k] for k in order]
        kind = attrs.get("quantity", "radiance") if quantity is None else quantity
        _require_quantity(kind, file)
        plain = {"quantity": "radiance", "units": "relative", "source": ""}
        attrs = {**plain, **attrs, "quantity": kind}
        if stays:
            return lazy_cube(array, grid, attrs, chunks)
        whole = lazy_cube(array, grid, attrs).load()
    return whole if chunks is None else whole.chunk(chunks)


def inspect(
    path: PathLike | Url, *, key: str | None = None, axes: str | None = None
) -> dict[str, Any]:
    """Facts about a cube file, as plain data for JSON; of any size, for no value is read.

    Args:
        path: the file or folder, or its URL; of a Zarr store elsewhere, what describes it is
            fetched, any other file whole.
        key: name of the variable, where a file holds several.
        axes: as for ``open_cube``.

    Returns:
        ``path``, ``format``, ``shape`` (y, x, band), ``stored_type``, ``stored_bytes``,
        ``memory_bytes`` (as float32), ``wavelengths_nm`` (in the order of the file; None when it
        does not say), ``attributes``, and ``details`` that depend on the format; among them
        ``wavelength_problem`` where those that the file states cannot be used. A number that JSON
        does not know is None.

    Raises:
        FormatError: missing, empty, damaged, or not what its suffix says.
        DataError: the values are not real numbers.

    Example:
        >>> import respectra as rs
        >>> rs.save_cube(rs.make_cube([[[0.2, 0.4]]], [450, 550]), "small.nc")
        >>> facts = rs.cubes.inspect("small.nc")
        >>> facts["format"], facts["shape"], facts["wavelengths_nm"]
        ('netcdf', [1, 1, 2], [450.0, 550.0])
    """
    place = parse_place(path)
    with _here(place, key, axes) as (_, peek, _):
        entry, stored = peek()
    grid = stored.wavelengths_nm
    problem = {"wavelength_problem": stored.wavelength_problem} if stored.wavelength_problem else {}
    facts = {
        "path": str(place),
        "format": entry.name,
        "shape": stored.shape,
        "stored_type": str(stored.dtype),
        "stored_bytes": stored.stored_bytes,
        "memory_bytes": math.prod(stored.shape) * 4,
        "wavelengths_nm": grid if grid is None else np.asarray(grid, np.float64),
        "attributes": dict(stored.attrs),
        "details": {**stored.details, **problem},
    }
    # JSON knows neither NaN nor infinity.
    plain: dict[str, Any] = json.loads(encode_attrs(facts), parse_constant=lambda _: None)
    return plain


@contextlib.contextmanager
def _here(place: Place, key: str | None, axes: str | None) -> Iterator[tuple[Path, Peek, bool]]:
    """Where a cube is read on this machine, what looks at it, and whether it stays there."""
    if isinstance(place, Url) and place.suffix.lower() == ".zarr":
        from respectra.cubes.remote import copy_of, peek_url

        yield copy_of(str(place)).path, functools.partial(peek_url, str(place), key, axes), True
        return
    with local_copy(place, others=place.suffix.lower() in _OF_SEVERAL) as file:
        yield file, functools.partial(peek_cube, file, key, axes), isinstance(place, Path)


def _require_quantity(kind: object, path: Path) -> None:
    """Refuse what no cube holds: also to write it, since nobody could read it then."""
    if not isinstance(kind, str) or kind not in get_args(Quantity):
        raise DataError(f"quantity is 'radiance' or 'reflectance'; got {kind!r} ({path})")


def _plain_cube(cube: xr.DataArray, *, whole: bool) -> xr.DataArray:
    """Values, wavelengths and attributes alone; in memory where it is written as a whole."""
    if whole or isinstance(cube.variable._data, np.ndarray):
        plain = make_cube(cube.values, cube["wavelength"].values)
    else:
        plain = cube.reset_coords(drop=True)
        make_cube(cube[:1, :1].values, cube["wavelength"].values)  # refuses what is no number
    plain.attrs = dict(cube.attrs)
    return plain


def save_cube(
    cube: xr.DataArray | LowRankCube,
    path: PathLike | Url,
    *,
    overwrite: bool = False,
    format: str | None = None,  # noqa: A002 - the word that xarray and imageio use as well
) -> None:
    """Save a cube as float32 with its wavelengths and attributes; whole or not at all.

    Args:
        cube: dims (y, x, wavelength); or a low-rank cube, which Zarr and NetCDF keep as it is
            (see :func:`open_low_rank`) and other formats expanded.
        path: its suffix names the format, and for ENVI (.bip, .bil, .bsq) the interleave. At a
            URL, the cube is put when it is whole here.
        overwrite: replace what is there.
        format: a format by name where the suffix is not enough: ``matlab-v5`` for MATLAB 5
            instead of 7.3, ``png`` for a folder of one 16-bit PNG a band.

    Raises:
        DataError: not a cube, or values or attributes that the format cannot hold.
        ConfigError: unknown format or suffix.
        OutputError: the path exists, or cannot be written.

    Example:
        >>> import respectra as rs
        >>> cube = rs.make_cube([[[0.2, 0.4]]], [450, 550])
        >>> rs.save_cube(cube, "small.hdr")  # ENVI; the ending says the format
        >>> rs.open_cube("small.hdr").shape
        (1, 1, 2)
    """
    place = parse_place(path)
    if isinstance(place, Url):
        with uploading(place, overwrite=overwrite) as here:
            save_cube(cube, here, format=format)
        return
    save_with(cube, place, {}, overwrite=overwrite, format=format)


def save_with(
    cube: xr.DataArray | LowRankCube,
    path: Path,
    beside: Mapping[Path, Callable[[Path], None]],
    *,
    overwrite: bool = False,
    format: str | None = None,  # noqa: A002
) -> None:
    """As ``save_cube``, with files that belong to the cube: all of them appear, or none.

    Args:
        cube, overwrite, format: as for ``save_cube``.
        path: of the cube, on this machine.
        beside: further files in the same folder, and what writes each to the path it gets.
    """
    path = Path(path)
    entry = FORMATS.for_writing(path, format)
    plain: xr.DataArray | LowRankCube
    if isinstance(cube, LowRankCube) and entry.keeps_factors:
        plain = cube
    else:
        plain = _plain_cube(require_cube(cube), whole=entry.writer is None)
    _require_quantity(plain.attrs.get("quantity", "radiance"), path)
    files = entry.files(path)
    targets = (*files, *beside)
    ensure_all_absent(targets, overwrite=overwrite)
    if not entry.compresses:
        _require_room(path, plain.nbytes)
    with atomic_paths(targets, overwrite=overwrite) as temporaries, writing(path):
        entry.write(plain, *temporaries[: len(files)])
        for write, temporary in zip(beside.values(), temporaries[len(files) :], strict=True):
            write(temporary)


def open_low_rank(path: PathLike) -> LowRankCube:
    """Open a cube that was saved low-rank, without expanding it; ``open_cube`` expands it.

    Raises:
        FormatError: as ``open_cube``; also a cube that is stored by its values.
        DataError: as ``open_cube``.

    Example:
        >>> import respectra as rs
        >>> rs.save_cube(rs.load("pca").low_rank(rs.make_image([[[0.2, 0.3, 0.1]]])), "small.zarr")
        >>> type(open_low_rank("small.zarr")).__name__
        'LowRankCube'
    """
    path = Path(path)
    entry, stored = peek_cube(path)
    if stored.factors is None:
        raise FormatError(f"{path} holds a cube by its values, not low-rank; open it as a cube")
    with reading(path, entry.title):
        return stored.factors()


def peek_cube(
    path: Path, key: str | None = None, axes: str | None = None
) -> tuple[CubeFormat, Stored]:
    """What a file says of its cube, checked for plausibility, without reading the values.

    Raises:
        FormatError: missing, empty, damaged, or not what its suffix says.
        DataError: the values are not real numbers.
        ConfigError: the axes are not y, x and band.
    """
    order = None if axes is None else parse_axes(axes)
    recover(path)  # of a killed run that was moving it here
    with reading(path, "cube"):
        entry = FORMATS.for_reading(path)
    with reading(path, entry.title):
        stored = entry.peek(path, key, order)
    guard(stored, path)
    return entry, stored


def parse_wavelengths(text: str) -> npt.NDArray[np.float64]:
    """Wavelengths in nm from ``400:700:10`` (first:last:step, last included) or ``400,410,420``.

    Raises:
        ConfigError: it is neither.

    Example:
        >>> parse_wavelengths("400:420:10")
        array([400., 410., 420.])
    """
    try:
        if ":" not in text:
            return np.array([float(part) for part in text.split(",")])
        first, last, step = (float(part) for part in text.split(":"))
        count = (last - first) / step + 1
        if not (1 <= count <= MOST_BANDS and abs(count - round(count)) < 1e-6):
            raise ValueError
        return np.linspace(first, last, round(count))
    except (ValueError, ZeroDivisionError):
        raise ConfigError(
            f"wavelengths are first:last:step in nm, such as 400:700:10 where the steps lead to "
            f"the last, or a list such as 400,410,420; got {text!r}"
        ) from None


def _require_room(path: Path, needed: int) -> None:
    """Refuse to fill a disk: HDF5 cannot close a file there, and crashes when Python ends."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free
    if free < needed + _OVERHEAD_BYTES:
        raise OutputError(
            f"{path} needs {needed / 2**20:.1f} MiB and {free / 2**20:.1f} MiB is free in {folder}"
        )


def _wavelengths(
    path: Path, stored: Stored, given: npt.ArrayLike | None
) -> npt.NDArray[np.float64]:
    """Wavelengths in the order of the file's bands, checked once they are sorted."""
    bands = stored.shape[2]
    grid = stored.wavelengths_nm if given is None else given
    if grid is None and stored.wavelength_problem:
        problem = stored.wavelength_problem
        raise FormatError(problem if str(path) in problem else f"{path}: {problem}")
    if grid is None:
        hint = "400:700:10"
        usual = ", the usual grid of 31 bands" if bands == CHALLENGE_WAVELENGTHS_NM.size else ""
        raise FormatError(
            f"{path} does not say at which wavelengths its {bands} bands are; "
            f"pass --wavelengths {hint} (wavelengths_nm=...{usual})"
        )
    try:
        grid = np.asarray(grid, dtype=np.float64)
        check_wavelengths(np.sort(grid))
    except (TypeError, ValueError) as error:  # a DataError is a ValueError too
        raise FormatError(f"{path}: {error}") from None
    if grid.size != bands:
        turned = grid.size in stored.shape and stored.shape.count(grid.size) == 1
        hint = "; say with --axes which axis holds the bands: band,y,x" if turned else ""
        raise FormatError(
            f"{path} has {bands} bands (shape {stored.shape}) and {grid.size} wavelengths are "
            f"given{hint}"
        )
    if given is not None and stored.wavelengths_nm is not None and not stored.assumed:
        own = np.asarray(stored.wavelengths_nm, np.float64)
        if np.abs(own - grid).max() > _SAME_NM:
            raise FormatError(
                f"{path} states its bands at {describe_wavelengths(own)}, and "
                f"{describe_wavelengths(grid)} are given; leave them out to open the cube as the "
                "file says; --resample gives other bands"
            )
    return grid
