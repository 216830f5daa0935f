"""Opening pictures: whole, or by rows; the same checks and the same values either way."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras.colour import InputKind, input_encoding, to_track_values
from respectra.cameras.images import Encoding, make_image
from respectra.cameras.pictures.kinds import kind_by_contents, kind_by_name
from respectra.cameras.pictures.source import MAX_PIXELS, Codes, PictureSource, read_file
from respectra.cameras.pictures.values import PictureOptions, Values
from respectra.errors import ConfigError, DataError, FormatError, no_file
from respectra.guards.limits import require_file
from respectra.storage import local_copy
from respectra.urls import Url, parse_place

Convert = Callable[[xr.DataArray], xr.DataArray]
Function = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
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
    file = place
    chosen = PictureOptions(**options)
    with _naming(file):
        source = _filled_in(_open_source(file, encoding, max_pixels, chosen), chosen)
        values = Values(source.said, encoding, chosen)
        return _image(values, source.read(slice(0, source.height)), file.name)


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

    def read(self, rows: slice, columns: slice) -> npt.NDArray[np.float32]:
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
    chosen = PictureOptions(**options)
    with _naming(file):
        source = _filled_in(_open_source(file, encoding, max_pixels, chosen), chosen)
        return Picture(file, kind, source, Values(source.said, encoding, chosen), convert)


def _image(values: Values, codes: Codes, name: str) -> xr.DataArray:
    return make_image(
        values(codes), encoding=values.encoding, bits=values.bits, source=name, **values.attrs
    )


def _open_source(
    path: Path, encoding: Encoding, max_pixels: int, options: PictureOptions
) -> PictureSource:
    require_file(path)
    # A mosaic's pattern begins where the sensor does.
    upright = encoding == "srgb" and options.mosaic == "none"
    if path.suffix.lower() == ".npy":
        from respectra.cameras.pictures.numpy_file import NumpySource

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

        return open_heif(path, upright=upright, max_pixels=whole)
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
    from respectra.cameras.pictures.mosaics import fill_in_source

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
