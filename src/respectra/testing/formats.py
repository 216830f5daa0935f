"""What must hold for every file format of cubes."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from respectra.cubes import make_cube, wavelengths_of
from respectra.cubes.formats import FORMATS, CubeFormat, Stored
from respectra.cubes.formats.base import read_head, reading
from respectra.errors import DataError, FormatError
from respectra.testing.base import Battery, NotApplicable, require, run_checks

FORMAT_CHECKS: Battery[CubeFormat] = Battery()
_check = FORMAT_CHECKS.check
#: Uneven, so that axes cannot be taken for one another.
_SHAPE = (7, 5, 4)
_WAVELENGTHS_NM = (401.5, 450.0, 555.25, 700.0)


def check_format(entry: str | CubeFormat) -> dict[str, str]:
    """Run every check that our own formats pass: round trip, parts, damaged files.

    Args:
        entry: a name that ``respectra.save_cube(format=...)`` takes, or an entry that is not
            registered yet.

    Raises:
        ConfigError: there is no format of that name.
        AssertionError: as :func:`run_checks`.

    Example:
        >>> check_format("npz")["values_come_back"]
        'passed'
    """
    chosen = FORMATS.get(entry) if isinstance(entry, str) else entry
    return run_checks(chosen.name, chosen, FORMAT_CHECKS, slow=True)


def example_cube() -> xr.DataArray:
    """A small cube with uneven wavelengths and an attribute."""
    rng = np.random.default_rng(0)
    values = rng.random(_SHAPE, np.float32)
    return make_cube(values, _WAVELENGTHS_NM, source="made up", note="of the test")


@contextlib.contextmanager
def saved(entry: CubeFormat) -> Iterator[tuple[Path, xr.DataArray]]:
    """The path of an example cube in the format, and the cube."""
    cube = example_cube()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"cube{entry.suffix}"
        entry.write(cube, *entry.files(path))
        yield path, cube


def peek(entry: CubeFormat, path: Path) -> Stored:
    """What a format says of a file; whatever it raises becomes a FormatError or DataError."""
    with reading(path, entry.title):
        return entry.peek(path, None, None)


@_check
def it_says_what_it_is(entry: CubeFormat) -> None:
    """Title, suffixes, what is preserved."""
    require(entry.title, "it has no title")
    require(entry.preserves, "it does not say what a saved cube keeps")
    for suffix in entry.suffixes:
        good = suffix == suffix.lower() and suffix.startswith(".")
        require(good, f"a suffix is a dot and lower-case letters; got {suffix!r}")
    if entry.suffix and entry.suffixes:
        require(entry.suffix in entry.suffixes, f"it writes {entry.suffix} and does not claim it")


@_check
def values_come_back(entry: CubeFormat) -> None:
    """As float32 values, or as close as their 16 bits allow."""
    with saved(entry) as (path, cube):
        stored = peek(entry, path)
        require(tuple(stored.shape) == _SHAPE, f"a cube of {_SHAPE} has shape {stored.shape}")
        _require_close(stored, np.asarray(stored.load()), cube.values, "the whole cube")


def _require_close(
    stored: Stored,
    got: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    wanted: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    what: str,
) -> None:
    require(got.shape == wanted.shape, f"{what} has shape {got.shape}, not {wanted.shape}")
    tolerance = 2.0**-15 if stored.dtype.kind in "iu" or stored.dtype.itemsize < 4 else 0.0
    error = float(np.abs(got.astype(np.float64) - wanted).max())
    require(error <= tolerance, f"{what} differs by {error:.3g} (stored as {stored.dtype})")


@_check
def wavelengths_come_back(entry: CubeFormat) -> None:
    """To a thousandth of a nanometre, unless the format keeps none."""
    with saved(entry) as (path, cube):
        stored = peek(entry, path)
        if stored.wavelengths_nm is None:
            raise NotApplicable("it keeps no wavelengths")
        off = np.abs(np.asarray(stored.wavelengths_nm, np.float64) - wavelengths_of(cube)).max()
        require(off <= 1e-3, f"the wavelengths differ by {off:.3g} nm")


@_check
def a_part_is_the_part_of_the_whole(entry: CubeFormat) -> None:
    """What is read by rows, columns and bands is what lies there."""
    with saved(entry) as (path, cube):
        stored = peek(entry, path)
        if stored.window is None:
            raise NotApplicable("it is read as a whole")
        spans = (slice(2, 6), slice(1, 4), slice(1, 3))
        got = np.asarray(stored.window(*spans))
        _require_close(stored, got, cube.values[spans], "rows 2 to 6, columns 1 to 4, bands 1 to 3")


@_check
def its_own_files_are_recognised(entry: CubeFormat) -> None:
    """And an empty head or a JPEG image is not."""
    if entry.recognises is None:
        raise NotApplicable("it is a folder")
    with saved(entry) as (path, _):
        require(entry.recognises(read_head(path)), "it does not recognise a file that it wrote")
    for head in (b"", b"\xff\xd8\xff\xe0" + bytes(64)):
        require(not entry.recognises(head), f"it takes {head[:4]!r} for its own")


@_check
def damaged_files_are_refused(entry: CubeFormat) -> None:
    """Files cut short give an error of ours or the values, never others and never a crash."""
    with saved(entry) as (path, cube):
        if path.is_dir():
            raise NotApplicable("it is a folder")
        files = [file for file in entry.files(path) if file.is_file()]
        whole = {file: file.read_bytes() for file in files}
        for file, content in whole.items():
            for share in (0.25, 0.5, 0.75, 0.95):
                file.write_bytes(content[: int(share * len(content))])
                _require_refused_or_right(entry, path, cube, f"{file.name} cut to {share:.0%}")
            file.write_bytes(content)


def _require_refused_or_right(entry: CubeFormat, path: Path, cube: xr.DataArray, what: str) -> None:
    try:
        stored = peek(entry, path)
        with reading(path, entry.title):
            values = np.asarray(stored.load())
    except (FormatError, DataError):
        return
    require(values.shape == cube.shape, f"{what} gives a cube of shape {values.shape}")
    _require_close(stored, values, cube.values, what)
