"""Pictures that are read piece by piece, so that no more of them is in memory than a row of tiles.

TIFF files are read strip by strip or tile by tile, NumPy files row by row. What can only be
decoded as a whole (PNG, JPEG, TIFF files with a single compressed strip) is decoded as a whole.
"""

from __future__ import annotations

import functools
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras import input_encoding, make_image, open_image, to_track_values
from respectra.cameras.colour import InputKind
from respectra.errors import DataError, FormatError
from respectra.inference.predictors import FloatArray

Convert = Callable[[xr.DataArray], xr.DataArray]
#: Rows that are looked at together when the range of values is wanted.
_ROWS = 256


class Picture(ABC):
    """A picture on disk, as linear values in the units of a track.

    Attributes:
        height: rows.
        width: columns.
        bits: depth of the codes in the file; 32 for floating point.
        row_bytes: memory that one row takes while it is held for reading.
        held_bytes: memory that the picture takes whatever is read of it.
    """

    height: int
    width: int
    bits: int
    row_bytes: int
    held_bytes: int = 0

    def __init__(self, path: Path, kind: InputKind) -> None:
        self.path = path
        self.kind = kind
        #: From an image of the file's own values to one of linear values.
        self.convert: Convert = functools.partial(to_track_values, input_kind=kind)
        self._band = slice(0, 0)
        self._codes: npt.NDArray[Any] | None = None

    @property
    def value_bits(self) -> int:
        """Depth of the values that are read; 32 where they are computed from the codes."""
        return int(self._track_values(np.zeros((1, 1, 3), np.float32)).attrs["bits"])

    @abstractmethod
    def _read_rows(self, rows: slice) -> npt.NDArray[Any]:
        """Codes of some rows, (rows, width, 3 or 4)."""

    def read(self, rows: slice, columns: slice) -> FloatArray:
        """Linear values (rows, columns, 3) in the units of the track; see :meth:`image`."""
        return np.asarray(self.image(rows, columns).values, np.float32)

    def image(self, rows: slice, columns: slice) -> xr.DataArray:
        """A part of the picture, linear, in the units of the track.

        Raises:
            FormatError: the file is damaged.
            DataError: values outside [0, 1], or transparent pixels.
        """
        if self._codes is None or self._band != rows:
            self._codes = None  # before the next rows are read, not after
            self._codes = self._read_rows(rows)
            self._band = rows
        codes = self._codes[:, columns]
        try:
            return self._track_values(codes)
        except DataError as error:
            raise type(error)(f"{self.path}: {error}") from None

    def bounds(self, of: Callable[[FloatArray], FloatArray] | None = None) -> tuple[float, float]:
        """Smallest and largest value, or those of a function of the values."""
        lows, highs = [], []
        for start in range(0, self.height, _ROWS):
            band = self.read(slice(start, min(start + _ROWS, self.height)), slice(0, self.width))
            band = band if of is None else of(band)
            lows.append(float(band.min()))
            highs.append(float(band.max()))
        return min(lows), max(highs)

    def _track_values(self, codes: npt.NDArray[Any]) -> xr.DataArray:
        full = 1 if np.issubdtype(codes.dtype, np.floating) else np.iinfo(codes.dtype).max
        if codes.shape[2] == 4:
            if not (codes[..., 3] == full).all():
                raise DataError(
                    "the image is transparent in places, which has no spectrum; flatten it onto a "
                    "background first"
                )
            codes = codes[..., :3]
        values = codes.astype(np.float32)
        values /= np.float32(full)
        image = make_image(values, encoding=input_encoding(self.kind), bits=self.bits)
        return self.convert(image)


def _bits_of(dtype: np.dtype[Any]) -> int:
    return 32 if np.issubdtype(dtype, np.floating) else 8 * dtype.itemsize


def open_picture(
    path: str | os.PathLike[str], kind: InputKind, *, convert: Convert | None = None
) -> Picture:
    """Open a picture for reading in pieces.

    Args:
        path: TIFF, NumPy (.npy of shape (y, x, 3): uint8, uint16 or floating point in [0, 1]),
            PNG or JPEG.
        kind: what its values are; see ``respectra.cameras.to_track_values``.
        convert: makes linear values of the file's own; by its kind where None.

    Raises:
        FormatError: no such file, damaged, or not a picture.
    """
    picture = _open(path, kind)
    if convert is not None:
        picture.convert = convert
    return picture


def _open(path: str | os.PathLike[str], kind: InputKind) -> Picture:
    path = Path(path)
    suffix = path.suffix.lower()
    if not path.is_file():
        raise FormatError(f"no such file: {path}")
    if suffix == ".npy":
        return NumpyPicture(path, kind)
    if suffix in (".tif", ".tiff"):
        piecewise = TiffPicture.open(path, kind)
        if piecewise is not None:
            return piecewise
    return WholePicture(path, kind)


class WholePicture(Picture):
    """A picture that is decoded as a whole."""

    def __init__(self, path: Path, kind: InputKind) -> None:
        super().__init__(path, kind)
        image = open_image(path, encoding=input_encoding(kind))
        self._all: FloatArray = np.asarray(image.values, np.float32)
        self.height, self.width = self._all.shape[:2]
        self.bits = int(image.attrs["bits"])
        self.row_bytes = 0

    def _read_rows(self, rows: slice) -> npt.NDArray[Any]:
        return self._all[rows]


class NumpyPicture(Picture):
    """An array in a .npy file."""

    def __init__(self, path: Path, kind: InputKind) -> None:
        super().__init__(path, kind)
        array = self._map()
        if array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
            raise FormatError(
                f"{path} holds an array of shape {array.shape}; a picture is (y, x, 3)"
            )
        if array.dtype not in (np.uint8, np.uint16) and array.dtype.kind != "f":
            raise FormatError(f"{path} holds {array.dtype}; use 8 or 16 bits or floating point")
        self.height, self.width = array.shape[:2]
        self.bits = _bits_of(array.dtype)
        self.row_bytes = 3 * self.width * array.dtype.itemsize

    def _map(self) -> npt.NDArray[Any]:
        try:
            return np.asanyarray(np.load(self.path, mmap_mode="r", allow_pickle=False))
        except (OSError, ValueError) as error:
            raise FormatError(f"{self.path} is not a NumPy array file ({error})") from None

    def _read_rows(self, rows: slice) -> npt.NDArray[Any]:
        # A new map each time: pages that were read count as memory until their map is closed.
        return np.array(self._map()[rows])


class TiffPicture(Picture):
    """An RGB picture in the strips or tiles of a TIFF file."""

    def __init__(self, path: Path, kind: InputKind, page: Any) -> None:
        super().__init__(path, kind)
        self.height, self.width = int(page.imagelength), int(page.imagewidth)
        self.bits = _bits_of(page.dtype)
        self._page = page
        self._samples = int(page.samplesperpixel)
        self._segment = (
            (int(page.tilelength), int(page.tilewidth))
            if page.is_tiled
            else (min(int(page.rowsperstrip), self.height), self.width)
        )
        self.row_bytes = self._samples * self.width * page.dtype.itemsize
        self.held_bytes = 2 * self._segment[0] * self._segment[1] * self.row_bytes // self.width

    @classmethod
    def open(cls, path: Path, kind: InputKind) -> TiffPicture | None:
        """The picture, or None where only reading it as a whole will do."""
        import tifffile

        try:
            # Closed when the page is read: every strip opens the file anew.
            with tifffile.TiffFile(path) as tiff:
                page = tiff.pages.first
                if not cls._piecewise(page, kind):
                    return None
                size = path.stat().st_size
                ends = (o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=True))
                if any(end > size for end in ends):
                    raise FormatError(f"{path}: the TIFF is cut short; copy it again")
                return cls(path, kind, page)
        except FormatError:
            raise
        except Exception:  # damaged files raise almost anything; the reader of whole files explains
            return None

    @staticmethod
    def _piecewise(page: Any, kind: InputKind) -> bool:
        import tifffile

        orientation = page.tags.get("Orientation")
        turned = orientation is not None and int(orientation.value) != 1
        contiguous = len(page.dataoffsets) == 1 and page.compression == 1
        return (
            page.photometric == tifffile.PHOTOMETRIC.RGB
            and page.planarconfig == tifffile.PLANARCONFIG.CONTIG
            and page.samplesperpixel in (3, 4)
            and page.axes == "YXS"
            and (page.dtype in (np.uint8, np.uint16) or page.dtype.kind == "f")
            and not (turned and kind == "srgb")
            and (contiguous or len(page.dataoffsets) > 1)
        )

    def _read_rows(self, rows: slice) -> npt.NDArray[Any]:
        page = self._page
        try:
            with self.path.open("rb") as file:
                if len(page.dataoffsets) == 1 and page.compression == 1 and not page.is_tiled:
                    dtype = np.dtype(page.parent.byteorder + page.dtype.char)
                    file.seek(page.dataoffsets[0] + rows.start * self.row_bytes)
                    data = file.read((rows.stop - rows.start) * self.row_bytes)
                    lines = np.frombuffer(data, dtype).reshape(-1, self.width, self._samples)
                    return lines.astype(page.dtype, copy=False)
                out = np.empty((rows.stop - rows.start, self.width, self._samples), page.dtype)
                for index, top, left in self._segments(rows):
                    file.seek(page.dataoffsets[index])
                    data = file.read(page.databytecounts[index])
                    segment = page.decode(data, index, jpegtables=page.jpegtables)[0]
                    if segment is None:
                        raise ValueError("a part of it is missing")
                    piece = segment[0]
                    skip = max(0, rows.start - top)
                    start = max(top, rows.start) - rows.start
                    piece = piece[skip : skip + len(out) - start, : self.width - left]
                    out[start : start + len(piece), left : left + piece.shape[1]] = piece
                return out
        except Exception as error:  # damaged files raise almost anything inside the reader
            raise FormatError(f"{self.path}: the TIFF cannot be decoded ({error})") from error

    def _segments(self, rows: slice) -> Iterator[tuple[int, int, int]]:
        """Index, first row and first column of the strips or tiles that hold some rows."""
        length, width = self._segment
        across = -(-self.width // width)
        for down in range(rows.start // length, -(-rows.stop // length)):
            for right in range(across):
                yield down * across + right, down * length, right * width
