"""What every reader of picture files gives: codes, by rows, and what the file says of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from respectra.errors import FormatError, no_file
from respectra.guards.limits import refuse_bomb

Codes = npt.NDArray[Any]
Colours = Literal["rgb", "grey", "cmyk", "camera"]

#: Pictures above this number of pixels are refused before anything is allocated.
MAX_PIXELS = 2**28
#: EXIF orientation -> (transpose, flip rows, flip columns) that put a picture upright.
_UPRIGHT = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


@dataclass(frozen=True)
class Said:
    """What a file says of its codes.

    Attributes:
        colours: what the channels are; ``camera`` for the values of a raw file.
        full: the code of full scale; 1 for floating point.
        bits: depth of the codes; 32 for floating point.
        alpha: whether the last channel is opacity, and whether colours were multiplied by it.
        inverted: grey whose code 0 is white.
        icc: the embedded colour profile.
        space: a colour space that is stated by other means than a profile.
        facts: what else is worth keeping with the image: ``camera_make``, ``camera_model``, …
    """

    colours: Colours
    full: float
    bits: int
    alpha: Literal["straight", "premultiplied"] | None = None
    inverted: bool = False
    icc: bytes | None = None
    space: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


class PictureSource(ABC):
    """The codes of a picture on disk.

    Attributes:
        height: rows, as they are read.
        width: columns, as they are read.
        said: what the file says of its codes.
        row_bytes: memory that one row takes while it is held for reading.
        held_bytes: memory that the source takes whatever is read of it.
    """

    height: int
    width: int
    said: Said
    row_bytes: int = 0
    held_bytes: int = 0

    @abstractmethod
    def read(self, rows: slice) -> Codes:
        """Codes of some rows, (rows, width, samples).

        Raises:
            FormatError: the file is damaged.
        """


class WholeSource(PictureSource):
    """A picture that is decoded as a whole, when its first rows are wanted.

    Args:
        size: height and width, as they are read.
        said: what the file says of its codes.
        load: decodes it: codes (y, x) or (y, x, samples).
    """

    def __init__(self, size: tuple[int, int], said: Said, load: Callable[[], Codes]) -> None:
        self.height, self.width = size
        self.said = said
        self._load, self._codes = load, None
        samples = {"rgb": 3, "grey": 1, "cmyk": 4, "camera": 3}[said.colours]
        samples += said.alpha is not None
        self.held_bytes = self.height * self.width * samples * (said.bits // 8)

    _codes: Codes | None

    def read(self, rows: slice) -> Codes:
        """Codes of some rows, (rows, width, samples)."""
        if self._codes is None:
            codes = self._load()
            self._codes = codes if codes.ndim == 3 else codes[..., None]
            if self._codes.shape[:2] != (self.height, self.width):
                raise FormatError(
                    f"its header says {self.height} × {self.width} pixels, it holds "
                    f"{codes.shape[0]} × {codes.shape[1]}"
                )
        return self._codes[rows]


def turned_size(height: int, width: int, orientation: int) -> tuple[int, int]:
    """Height and width of a picture that is put upright."""
    return (width, height) if orientation >= 5 else (height, width)


def read_file(path: Path) -> bytes:
    """The bytes of a file; a FormatError where there is none or it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise no_file(path) from None
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror or error}") from error


def check_cost(
    path: Path,
    height: int,
    width: int,
    value_bytes: int,
    max_pixels: int,
    *,
    compressed: bool = True,
    pieces: int = 1,
) -> None:
    """Refuse a picture by what its header claims, before anything is allocated.

    ``value_bytes`` are those of one pixel's codes. ``compressed`` ones may take less room in the
    file, in so many ``pieces`` (strips, tiles or frames).

    Raises:
        FormatError: no pixel, too many, or more than such a file can hold.
        DataError: it does not fit into the free memory.
    """
    pixels = height * width
    if height <= 0 or width <= 0:
        raise FormatError(f"an image needs a pixel; it has {width} × {height}")
    if pixels > max_pixels:
        raise FormatError(
            f"it claims {width} × {height} pixels, more than {max_pixels}; crop it, "
            "or raise max_pixels if the memory allows"
        )
    refuse_bomb(
        path,
        needed_bytes=pixels * value_bytes,
        stored_bytes=path.stat().st_size,
        compressed=compressed,
        working_bytes=2 * 3 * 4 * pixels,
        pieces=pieces,
    )


def turn(codes: Codes, orientation: int) -> Codes:
    """Put a picture upright, (y, x, …), by the orientation that EXIF states."""
    transpose, rows, columns = _UPRIGHT.get(orientation, (False, False, False))
    if transpose:
        codes = codes.swapaxes(0, 1)
    codes = codes[::-1] if rows else codes
    codes = codes[:, ::-1] if columns else codes
    return np.ascontiguousarray(codes)


class NumpySource(PictureSource):
    """An array of shape (y, x, 3) in a .npy file: 8 or 16 bits, or floating point in [0, 1]."""

    def __init__(self, path: Path, *, max_pixels: int) -> None:
        self._path = path
        array = self._map()
        if array.ndim != 3 or array.shape[2] not in (3, 4) or array.size == 0:
            raise FormatError(
                f"{path} holds an array of shape {array.shape}; a picture is (y, x, 3)"
            )
        if array.dtype not in (np.uint8, np.uint16) and array.dtype.kind != "f":
            raise FormatError(f"{path} holds {array.dtype}; use 8 or 16 bits or floating point")
        self.height, self.width = array.shape[:2]
        samples, itemsize = array.shape[2], array.dtype.itemsize
        # A map of the file takes no memory.
        check_cost(path, self.height, self.width, 0, max_pixels)
        self.row_bytes = samples * self.width * itemsize
        floating = array.dtype.kind == "f"
        full = 1.0 if floating else float(np.iinfo(array.dtype).max)
        alpha = "straight" if samples == 4 else None
        self.said = Said("rgb", full, 32 if floating else 8 * itemsize, alpha)  # type: ignore[arg-type]

    def read(self, rows: slice) -> Codes:
        """Codes of some rows, (rows, width, samples)."""
        # A new map each time: pages that were read count as memory until their map is closed.
        return np.array(self._map()[rows])

    def _map(self) -> Codes:
        try:
            return np.asanyarray(np.load(self._path, mmap_mode="r", allow_pickle=False))
        except FileNotFoundError:
            raise no_file(self._path) from None
        except (OSError, ValueError, SyntaxError, EOFError, RecursionError, MemoryError) as error:
            raise FormatError(f"{self._path} is not a NumPy array file ({error})") from None
