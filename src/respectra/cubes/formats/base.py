"""What a file format of cubes is, and what keeps damaged or hostile files from doing harm."""

from __future__ import annotations

import contextlib
import json
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes.lowrank import LowRankCube
from respectra.cubes.model import check_wavelengths, wavelengths_of
from respectra.errors import (
    DataError,
    FormatError,
    OutputError,
    RespectraError,
    RespectraWarning,
    no_file,
    said_by,
)
from respectra.guards.limits import EXPANSION, refuse_bomb
from respectra.guards.text import parse_json

if TYPE_CHECKING:
    from respectra.cubes.formats._axes import Axes

#: More bands than any instrument has; so many numbers are read before a cube is known to be one.
MOST_BANDS = 100_000
#: ``ratio`` of compressed values: what more they may grow is ``guards.limits.EXPANSION``.
DEFLATE_RATIO = EXPANSION
#: Type of stored values.
CubeType = Literal["float32", "float16"]
#: Rows and columns of a piece, as slices with a start and a stop.
Region = tuple[slice, slice]
#: A cube that is not in memory is written so many bytes at a time.
_BLOCK_BYTES = 2**26

#: Reads (rows, columns, bands) of a file.
Window = Callable[[slice, slice, slice], npt.NDArray[Any]]


@dataclass(frozen=True)
class Stored:
    """What a file says of the cube it holds, known before its values are read.

    Attributes:
        shape: (y, x, band).
        dtype: type of the values as stored.
        stored_bytes: that the values take in the file.
        load: reads the values, shape (y, x, band), any memory layout.
        window: reads those of some rows, columns and bands, slices with a start and a stop; None
            where a file can only be read as a whole.
        chunks: rows, columns and bands that the file keeps together; None where any part can be
            read by itself.
        wavelengths_nm: one a band in the order of the file; None when the file does not say.
        wavelength_problem: why those that it states cannot be used.
        assumed: whether the wavelengths are those of a custom, not of the file.
        attrs: further facts; ``quantity``, ``units`` and ``source`` among them when known.
        ratio: how many times larger than ``stored_bytes`` the values can be; 1 when they are
            not compressed.
        details: facts for a reader of ``inspect``: the variable's name, the interleave, ...
        factors: reads the cube without expanding it, where it is stored low-rank.

    Example:
        >>> values = np.zeros((2, 3, 31), np.float32)
        >>> Stored(values.shape, values.dtype, values.nbytes, load=lambda: values).nbytes
        744
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    stored_bytes: int
    load: Callable[[], npt.NDArray[Any]]
    wavelengths_nm: npt.ArrayLike | None = None
    wavelength_problem: str | None = None
    assumed: bool = False
    window: Window | None = None
    chunks: tuple[int, ...] | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)
    ratio: float = 1.0
    details: Mapping[str, Any] = field(default_factory=dict)
    factors: Callable[[], LowRankCube] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes that the values will take in memory, as stored."""
        return math.prod(self.shape) * self.dtype.itemsize


class CubeWriter(ABC):
    """Writes a cube to the files that its format names.

    ``create`` begins, ``write`` puts pieces in any order, ``finish`` makes the files complete. A
    writer of the same arguments may go on where a killed process stopped: it writes the pieces
    that are missing, without ``create``. Moving the files into their place is the caller's
    (see :func:`respectra.cubes.open_writer`).

    Args:
        paths: where to write, as the format's ``files`` names them; suffixes matter.
        shape: (y, x, band).
        wavelengths_nm: one a band, ascending, nm.
        dtype: of the stored values.
        pieces: rows and columns of the pieces, where several processes write, or one may be
            killed: what the file keeps together then never belongs to two of them.
    """

    #: Whether the files take the room of all the values from the beginning.
    needs_full_room = False

    def __init__(
        self,
        paths: Sequence[Path],
        shape: tuple[int, int, int],
        wavelengths_nm: npt.ArrayLike,
        *,
        dtype: CubeType = "float32",
        pieces: tuple[int, int] | None = None,
    ) -> None:
        self.paths = tuple(paths)
        self.shape = shape
        self.wavelengths_nm = check_wavelengths(wavelengths_nm)
        self.dtype = np.dtype(dtype)
        self.pieces = pieces

    @classmethod
    def load_library(cls) -> None:
        """Import what writing needs."""
        return

    @abstractmethod
    def create(self) -> None:
        """Begin an empty cube.

        Raises:
            ConfigError: the format has no such type of values.
        """

    @abstractmethod
    def write(self, region: Region, spectra: npt.NDArray[Any]) -> None:
        """Write one piece, shape (y, x, band)."""

    @abstractmethod
    def finish(self, attrs: Mapping[Any, Any]) -> None:
        """Make the files complete, with the attributes of the cube."""

    @property
    def height(self) -> int:
        """Rows that are best written at a time."""
        return max(1, _BLOCK_BYTES // (4 * self.shape[1] * self.shape[2]))

    @classmethod
    def write_cube(cls, cube: xr.DataArray, *paths: Path) -> None:
        """Write a cube as a whole; one that is not in memory is read as it is written."""
        rows, columns, bands = cube.shape
        writer = cls(paths, (rows, columns, bands), wavelengths_of(cube))
        writer.create()
        for y in range(0, rows, writer.height):
            stop = min(rows, y + writer.height)
            values = np.asarray(cube[y:stop].values, np.float32)
            writer.write((slice(y, stop), slice(0, columns)), values)
        writer.finish(cube.attrs)


@dataclass(frozen=True)
class CubeFormat:
    """A way to keep cubes in files.

    Attributes:
        name: what ``save_cube(format=...)`` calls it.
        title: what messages call it.
        suffix: suffix of the files it writes; empty for a folder without one.
        suffixes: suffixes it claims, lower case; no two formats share one.
        preserves: what a saved cube keeps, in a sentence.
        peek: (path, key, axes) -> what the file says, without reading the values. ``axes`` are
            the roles of the stored axes as the user names them, None for what the file says.
        write: (cube, path, ...) writes one cube to the paths that ``files`` names.
        writer: writes one piece by piece to the same paths, with the same bytes; None where the
            format is written as a whole.
        recognises: whether the first bytes of a file are of this format; None for folders.
        files: the files that a cube saved at a path consists of, the one that is opened first.
        parts: the same of a cube that is there, from the name of any of them; a folder is one.
        compresses: whether saved values may take less room than they do in memory.
        keeps_factors: whether ``write`` takes a low-rank cube as it is, without expanding it.

    Example:
        >>> from respectra.cubes.formats import FORMATS
        >>> FORMATS.get("zarr").suffixes
        ('.zarr',)
    """

    name: str
    title: str
    suffix: str
    suffixes: tuple[str, ...]
    preserves: str
    peek: Callable[[Path, str | None, Axes | None], Stored]
    write: Callable[..., None]
    recognises: Callable[[bytes], bool] | None
    files: Callable[[Path], tuple[Path, ...]] = lambda path: (path,)
    parts: Callable[[Path], tuple[Path, ...]] = lambda path: (path,)
    writer: type[CubeWriter] | None = None
    compresses: bool = False
    keeps_factors: bool = False


@contextlib.contextmanager
def reading(path: Path, title: str) -> Iterator[None]:
    """Turn whatever a library raises over a file into a FormatError of one line."""
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    except DataError as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from None
    except RespectraError:
        raise
    except PermissionError:
        raise FormatError(f"{path} may not be read: permission denied") from None
    except FileNotFoundError as error:
        raise no_file(error.filename or path) from None
    except MemoryError:
        raise DataError(f"{path} does not fit into memory") from None
    except Exception as error:  # a damaged file can make a library raise anything
        raise FormatError(f"{path} is damaged or not a {title}: {said_by(error)}") from None
    for warning in caught:  # what a library says of a file is for its authors; ours is for users
        if issubclass(warning.category, RespectraWarning):
            warnings.warn(str(warning.message), warning.category, stacklevel=4)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn whatever a library raises while it writes into an OutputError of one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (RespectraError, OSError):
        raise
    except Exception as error:
        raise OutputError(f"cannot write {path}: {said_by(error)}") from None


def guard(stored: Stored, path: Path) -> None:
    """Refuse what cannot be a cube or cannot be in the file, before its values are asked for."""
    if len(stored.shape) != 3:
        raise FormatError(
            f"{path} holds an array of {len(stored.shape)} dimensions {stored.shape}; "
            "a cube has three: y, x, wavelength"
        )
    if min(stored.shape) < 1:
        raise FormatError(f"{path} holds an empty array of shape {stored.shape}")
    if stored.shape[2] > MOST_BANDS:
        raise FormatError(
            f"{path} promises {_claim(stored)}; a cube has at most {MOST_BANDS:,} bands"
        )
    if stored.dtype.kind not in "fiu":
        raise DataError(
            f"{path} holds values of type {stored.dtype}; a cube holds real numbers "
            "(for complex values, save their magnitude)"
        )
    if stored.ratio == 1 and stored.nbytes > stored.stored_bytes:
        raise FormatError(
            f"{path} promises {_claim(stored)} ({stored.nbytes:,} bytes) but holds "
            f"{stored.stored_bytes:,} bytes; it is truncated or its header is wrong"
        )
    if stored.window is None:
        guard_reading(stored, path, stored.shape)


def guard_reading(stored: Stored, path: Path, shape: tuple[int, ...]) -> None:
    """Refuse to read rows, columns and bands that the file cannot hold or the memory not take."""
    asked = stored.shape if stored.window is None else shape
    chunks = [min(c, n) for c, n in zip(stored.chunks or asked, stored.shape, strict=True)]
    read = math.prod(max(n, chunk) for n, chunk in zip(asked, chunks, strict=True))
    refuse_bomb(
        f"{path}, which promises {_claim(stored)},",
        needed_bytes=read * stored.dtype.itemsize,
        stored_bytes=stored.stored_bytes,
        compressed=stored.ratio > 1,
        working_bytes=math.prod(shape) * 4,
        pieces=math.prod(-(-n // chunk) for n, chunk in zip(asked, chunks, strict=True)),
        inflation=max(1.0, stored.ratio / EXPANSION),
    )


def _claim(stored: Stored) -> str:
    return f"{' x '.join(map(str, stored.shape))} values of {stored.dtype}"


def read_head(path: Path, size: int = 8192) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as file:
        return file.read(size)


def contiguous(
    view: npt.NDArray[Any], scale: np.floating[Any] | float | None = None
) -> npt.NDArray[np.float32]:
    """Any (y, x, band) view as contiguous float32, copied a few rows at a time.

    A whole transposition of a large cube misses the cache at every value; blocks of rows do not.
    Already contiguous float32 is returned as it is.

    Args:
        view: shape (y, x, band).
        scale: multiplies the values, in the precision of NumPy's promotion with float32.

    Raises:
        DataError: a value exceeds the range of float32.
    """
    if (
        scale is None
        and view.dtype == np.float32
        and view.flags.c_contiguous
        and view.flags.writeable
    ):
        return np.asarray(view)
    values = np.empty(view.shape, np.float32)
    rows = max(1, 2**22 // max(1, view[:1].nbytes))
    try:
        with np.errstate(over="raise"):
            for y in range(0, view.shape[0], rows):
                block = view[y : y + rows]
                values[y : y + rows] = block if scale is None else block * np.float32(scale)
    except FloatingPointError:
        raise DataError("the values exceed the range of 32-bit floating point") from None
    return values


def encode_attrs(attrs: Mapping[Any, Any]) -> str:
    """Attributes as ASCII JSON; NumPy scalars and arrays become numbers and lists.

    Raises:
        DataError: an attribute cannot be expressed in JSON.
    """
    try:
        return json.dumps({str(name): value for name, value in attrs.items()}, default=_plain)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"an attribute of the cube cannot be saved ({error}); "
            "keep to numbers, text, lists and dictionaries"
        ) from None


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is not JSON")


def encode_facts(cube: xr.DataArray, **layout: Any) -> str:
    """Wavelengths and attributes as JSON, for formats that keep them as a text."""
    facts = {
        "wavelengths_nm": wavelengths_of(cube).tolist(),
        "attributes": json.loads(encode_attrs(cube.attrs)),
    }
    return json.dumps(facts, **layout)


def decode_attrs(text: object) -> dict[str, Any]:
    """Attributes from the JSON of ``encode_attrs``; anything else raises a FormatError."""
    try:
        attrs = parse_json(text, "its attributes") if isinstance(text, str | bytes) else None
    except FormatError:
        attrs = None
    if not isinstance(attrs, dict):
        raise FormatError("its attributes are not a JSON object")
    return attrs
