"""Opening pictures: whole, or by rows; the same checks and the same values either way.

Which kind of picture a file is, its contents say, and its name must not say otherwise.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from respectra.cameras.colour import to_track_values
from respectra.cameras.images import Encoding, InputKind, input_encoding, make_image
from respectra.cameras.pictures.demosaicing import fill_in_source
from respectra.cameras.pictures.source import (
    MAX_PIXELS,
    Codes,
    NumpySource,
    PictureSource,
    read_file,
)
from respectra.cameras.pictures.values import PictureOptions, Values
from respectra.errors import ConfigError, DataError, FormatError, no_file
from respectra.guards.limits import require_file
from respectra.storage import local_copy
from respectra.typing import Float32Array
from respectra.urls import Place, Url, parse_place

Convert = Callable[[xr.DataArray], xr.DataArray]
Function = Callable[[Float32Array], Float32Array]
#: Rows that are looked at together when the range of values is wanted.
_ROWS = 256


def open_image(
    path: str | os.PathLike[str] | Url,
    *,
    encoding: Encoding = "linear",
    max_pixels: int = MAX_PIXELS,
    **options: Any,
) -> xr.DataArray:
    """Read a picture.

    JPEG, PNG of 8 or 16 bits, WebP, AVIF, HEIC (the extra ``heif``), TIFF of 8 or 16 bits or
    floating point in [0, 1], in RGB, grey, CMYK or with a palette.

    Args:
        path: the file, or its URL (see ``respectra.storage``).
        encoding: ``linear``: codes / (2**bits - 1) as the camera gave them, the pixels left as
            they lie; ``srgb``: a photograph made for a display, put upright as its EXIF data say,
            its colour profile applied. A photograph in sRGB keeps its codes, see
            ``respectra.cameras.to_track_values``; in any other space it becomes linear light of
            that space, so that no colour is cut off.
        max_pixels: the largest picture to read.
        options: fields of :class:`PictureOptions`: ``grey``, ``alpha``, ``profile``, ``tone``,
            ``demosaic``, ``mosaic``, …

    Returns:
        dims (y, x, channel), float32 in [0, 1], with attributes ``encoding``, ``bits`` (32 for
        floating point and for what was computed), ``source``, ``profile`` (what was done), and
        where the file says so ``camera_make``, ``camera_model``, ``iso``, ``exposure_s``. Linear
        light of another colour space than sRGB names it in ``space``.

    Raises:
        FormatError: no such file, damaged, too large, or another format than its suffix says.
        DataError: transparent, grey or CMYK without a word what to do; values outside [0, 1].
        MissingExtraError: a library for this kind of file is not installed.

    Example:
        >>> import respectra as rs
        >>> rs.save_image(rs.make_image([[[0.2, 0.4, 0.6]]]), "small.png")
        >>> (rs.open_image("small.png") * 255).round().values.tolist()
        [[[51.0, 102.0, 153.0]]]
    """
    place = parse_place(path)
    if isinstance(place, Url):
        with local_copy(place) as copy:
            return open_image(copy, encoding=encoding, max_pixels=max_pixels, **options)
    with _naming(place):
        source, values = _opened(place, encoding, max_pixels, options)
        return _image(values, source.read(slice(0, source.height)), place.name)


class Picture:
    """A picture on disk, as linear values in the units of a track, read by rows.

    Attributes:
        path: the file.
        kind: what its values are.
        height: rows.
        width: columns.
        row_bytes: memory that one row takes while it is held for reading.
        held_bytes: memory that the picture takes whatever is read of it.
        attrs: what the file says and what was done to its values, as ``open_image`` states it.

    Example:
        >>> import respectra as rs
        >>> rs.save_image(rs.make_image([[[0.2, 0.4, 0.6]], [[0.6, 0.4, 0.2]]]), "small.png")
        >>> picture = rs.cameras.open_picture("small.png", "clean")
        >>> picture.height, picture.width, picture.bits
        (2, 1, 8)
    """

    def __init__(
        self,
        path: Path,
        kind: InputKind,
        source: PictureSource,
        values: Values,
        convert: Convert | None = None,
    ) -> None:
        self.path, self.kind = path, kind
        #: From an image of the file's own values to one of linear values.
        self.convert: Convert = convert or functools.partial(to_track_values, input_kind=kind)
        self._source, self._values = source, values
        self.height, self.width = source.height, source.width
        self.row_bytes, self.held_bytes = source.row_bytes, source.held_bytes
        self.attrs = {"encoding": values.encoding, **values.attrs}
        self._band = slice(0, 0)
        self._codes: Codes | None = None

    @property
    def bits(self) -> int:
        """Depth of the codes; 32 for floating point and computed values."""
        return self._values.bits

    @property
    def value_bits(self) -> int:
        """Depth of the values that are read; 32 where they are computed from the codes."""
        pixel = np.zeros((1, 1, 3), np.float32)
        encoding, attrs = self._values.encoding, self._values.attrs
        image = make_image(pixel, encoding=encoding, bits=self.bits, **attrs)
        return int(self.convert(image).attrs["bits"])

    @property
    def by_rows(self) -> bool:
        """Whether less than the whole picture is in memory."""
        return self.row_bytes > 0

    def read(self, rows: slice, columns: slice) -> Float32Array:
        """Linear values (rows, columns, 3) in the units of the track; see :meth:`image`."""
        return np.asarray(self.image(rows, columns).values, np.float32)

    def image(self, rows: slice, columns: slice) -> xr.DataArray:
        """A part of the picture, linear, in the units of the track.

        Raises:
            FormatError: the file is damaged.
            DataError: values outside [0, 1], or transparent pixels.
        """
        with _naming(self.path):
            if self._codes is None or self._band != rows:
                self._codes = None  # before the next rows are read, not after
                self._codes = self._source.read(rows)
                self._band = rows
            part = _image(self._values, self._codes[:, columns], self.path.name)
            return self.convert(part)

    def bounds(self, of: Function | None = None) -> tuple[float, float]:
        """Smallest and largest value, or those of a function of the values."""
        lows, highs = [], []
        for start in range(0, self.height, _ROWS):
            band = self.read(slice(start, min(start + _ROWS, self.height)), slice(0, self.width))
            band = band if of is None else of(band)
            lows.append(float(band.min()))
            highs.append(float(band.max()))
        return min(lows), max(highs)


def open_picture(
    path: str | os.PathLike[str],
    kind: InputKind,
    *,
    convert: Convert | None = None,
    max_pixels: int = 2**40,
    **options: Any,
) -> Picture:
    """Open a picture for reading by rows.

    TIFF is read strip by strip or tile by tile, .npy row by row; what can only be decoded as a
    whole is decoded as a whole.

    Args:
        path: what :func:`open_image` reads, or .npy of shape (y, x, 3).
        kind: what its values are; see ``respectra.cameras.to_track_values``.
        convert: makes linear values of the file's own; by its kind where None.
        max_pixels: the largest picture to read; what is decoded whole has its own limit.
        options: fields of :class:`PictureOptions`.

    Raises:
        FormatError: no such file, damaged, or not a picture.
        DataError: see :func:`open_image`.

    Example:
        >>> import respectra as rs
        >>> rs.save_image(rs.make_image([[[0.2, 0.4, 0.6]], [[0.6, 0.4, 0.2]]]), "small.png")
        >>> open_picture("small.png", "clean").read(slice(1, 2), slice(0, 1)).shape
        (1, 1, 3)
    """
    file = Path(path)
    encoding = input_encoding(kind)
    with _naming(file):
        return Picture(file, kind, *_opened(file, encoding, max_pixels, options), convert)


def _image(values: Values, codes: Codes, name: str) -> xr.DataArray:
    return make_image(
        values(codes), encoding=values.encoding, bits=values.bits, source=name, **values.attrs
    )


def _opened(
    path: Path, encoding: Encoding, max_pixels: int, options: dict[str, Any]
) -> tuple[PictureSource, Values]:
    chosen = PictureOptions(**options)
    source = _filled_in(_open_source(path, encoding, max_pixels, chosen), chosen)
    return source, Values(source.said, encoding, chosen)


def _open_source(
    path: Path, encoding: Encoding, max_pixels: int, options: PictureOptions
) -> PictureSource:
    require_file(path)
    # A mosaic's pattern begins where the sensor does.
    upright = encoding == "srgb" and options.mosaic == "none"
    if path.suffix.lower() == ".npy":
        return NumpySource(path, max_pixels=max_pixels)
    kind = kind_by_name(path)
    whole = min(max_pixels, MAX_PIXELS)
    if kind == "RAW":
        from respectra.cameras.pictures.raw import open_raw

        return open_raw(path, demosaic=options.demosaic, max_pixels=whole)
    _require_kind(path, kind)
    if kind == "TIFF":
        from respectra.cameras.pictures.tiff import open_tiff

        return open_tiff(path, upright=upright, max_pixels=max_pixels)
    data = read_file(path)
    if kind == "HEIC":
        from respectra.cameras.pictures.heif import open_heif

        return open_heif(path, max_pixels=whole)
    from respectra.cameras.pictures.with_pillow import open_with_pillow

    return open_with_pillow(path, data, kind, upright=upright, max_pixels=whole)


def _filled_in(source: PictureSource, options: PictureOptions) -> PictureSource:
    """A picture of three channels also where the file holds a sensor's mosaic."""
    if options.mosaic == "none":
        if options.black_level or options.white_level is not None:
            raise ConfigError(
                "black_level and white_level are those of a mosaic; say its pattern with "
                "mosaic='rggb' (--mosaic), or state them in a capture"
            )
        return source
    return fill_in_source(
        source, options.mosaic, options.demosaic, options.black_level, options.white_level
    )


def _require_kind(path: Path, kind: str) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(256)
    except FileNotFoundError:
        raise no_file(path) from None
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror or error}") from error
    found = kind_by_contents(start)
    if found != kind:
        raise FormatError(f"its suffix says {kind}, its contents are {found}; rename it")


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors say which file they are about, once."""
    try:
        yield
    except (FormatError, DataError) as error:
        if str(path) in str(error):
            raise
        kind = FormatError if isinstance(error, FormatError) else DataError
        raise kind(f"{path}: {error}") from error


#: Suffix -> kind, for files that are written by their suffix as well as read.
_OPEN: dict[str, str] = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WebP",
    ".heic": "HEIC",
    ".heif": "HEIC",
    ".hif": "HEIC",
    ".avif": "AVIF",
}
#: Raw files of cameras, read by LibRaw whatever they begin with.
RAW_SUFFIXES = (
    *(".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".srf", ".sr2", ".raf", ".rw2"),
    *(".orf", ".pef", ".srw", ".rwl", ".3fr", ".fff", ".iiq", ".x3f", ".erf", ".mrw", ".dcr"),
    *(".kdc", ".mef", ".mos", ".gpr"),
)
#: Suffixes of all pictures that are read.
PICTURE_SUFFIXES: tuple[str, ...] = (*_OPEN, *RAW_SUFFIXES)

_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"%PDF": "PDF",
    b"\x89HDF": "HDF5",
    b"PK": "ZIP",
    b"\x93NUMPY": "NumPy",
}
_KNOWN = ("PNG", "JPEG", "TIFF", "WebP", "HEIC", "AVIF")


def kind_by_name(path: Path) -> str:
    """What the suffix says: PNG, JPEG, TIFF, WebP, HEIC, AVIF or RAW; others are refused."""
    suffix = path.suffix.lower()
    if suffix in RAW_SUFFIXES:
        return "RAW"
    kind = _OPEN.get(suffix)
    if kind is None:
        raise FormatError(
            f"{path} is not a known kind of image; use one of {', '.join(_OPEN)}, or a camera's "
            "raw file (.dng, .nef, .cr2, .cr3, .arw, .raf, …)"
        )
    return kind


def kind_by_contents(data: bytes) -> str:
    """What the first bytes say; empty files and unknown formats are refused."""
    if not data:
        raise FormatError("the file is empty")
    found = next((kind for magic, kind in _BEGINNINGS.items() if data.startswith(magic)), None)
    if data.startswith(b"RIFF"):
        found = "WebP" if data[8:12] == b"WEBP" else "a RIFF file that is no WebP"
    if data[4:8] == b"ftyp":
        brands = data[8:12] + data[16:64]
        if b"avif" in brands or b"avis" in brands:
            found = "AVIF"
        elif any(brand in brands for brand in (b"heic", b"heix", b"mif1", b"hevc", b"heim")):
            found = "HEIC"
        else:
            found = "a video or another ISO media file"
    if found in _KNOWN:
        return str(found)
    known = "PNG, JPEG, TIFF, WebP, HEIC, AVIF and cameras' raw files are known"
    raise FormatError(f"its contents are {found}; {known}" if found else f"not an image; {known}")


def writable_kind(path: Place) -> str | None:
    """The kind to write by a suffix: PNG, JPEG, TIFF, or None."""
    kind = _OPEN.get(path.suffix.lower())
    return kind if kind in ("PNG", "JPEG", "TIFF") else None
