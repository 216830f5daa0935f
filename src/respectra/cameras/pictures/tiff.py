"""Pictures in TIFF files, read strip by strip or tile by tile where the file allows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from respectra.cameras.pictures.source import (
    Codes,
    PictureSource,
    Said,
    WholeSource,
    check_cost,
    turn,
    turned_size,
)
from respectra.cameras.pictures.stated import camera_facts
from respectra.cameras.pictures.with_pillow import MAX_PROFILE
from respectra.errors import FormatError, RespectraError, no_file
from respectra.guards.tiff import check_tiff

_REDUCED, _MASK = 1, 4
_DNG_VERSION, _ICC = 50706, 34675


def open_tiff(path: Path, *, upright: bool, max_pixels: int) -> PictureSource:
    """The picture of a TIFF file; previews and masks beside it are passed over."""
    import tifffile

    try:
        check_tiff(path)
        # Closed when the page is known: every strip opens the file anew.
        with tifffile.TiffFile(path) as tiff:
            page = _the_picture(tiff)
            _check(path, page, max_pixels)
            said = _said(page)
            colormap = page.colormap if page.photometric.name == "PALETTE" else None
            turned = _orientation(page) if upright else 1
            if turned == 1 and _piecewise(page):
                return TiffSource(path, page, said)
    except RespectraError:
        raise
    except FileNotFoundError:
        raise no_file(path) from None
    except Exception as error:  # damaged files raise almost anything inside the reader
        raise FormatError(f"the TIFF is damaged ({error})") from error

    def load() -> Codes:
        try:
            return turn(_settle(page, colormap, _pixels(path, page)), turned)
        except RespectraError:
            raise
        except Exception as error:
            raise FormatError(f"the TIFF cannot be decoded ({error})") from error

    shape = turned_size(int(page.imagelength), int(page.imagewidth), turned)
    return WholeSource(shape, said, load)


class TiffSource(PictureSource):
    """A picture in the strips or tiles of a TIFF file."""

    def __init__(self, path: Path, page: Any, said: Said) -> None:
        self.height, self.width = int(page.imagelength), int(page.imagewidth)
        self.said = said
        self._path, self._page = path, page
        self._samples = int(page.samplesperpixel)
        self._segment = (
            (int(page.tilelength), int(page.tilewidth))
            if page.is_tiled
            else (min(int(page.rowsperstrip), self.height), self.width)
        )
        self.row_bytes = self._samples * self.width * page.dtype.itemsize
        self.held_bytes = 2 * self._segment[0] * self._segment[1] * self.row_bytes // self.width

    def read(self, rows: slice) -> Codes:
        """Codes of some rows, (rows, width, samples)."""
        start, stop, _ = rows.indices(self.height)
        try:
            if _contiguous(self._page):
                dtype = np.dtype(self._page.parent.byteorder + self._page.dtype.char)
                shape = (self.height, self.width, self._samples)
                lines = np.memmap(self._path, dtype, "r", self._page.dataoffsets[0], shape)
                return np.array(lines[start:stop], self._page.dtype)
            with self._path.open("rb") as file:
                return self._from_segments(file, start, stop)
        except Exception as error:  # damaged files raise almost anything inside the reader
            raise FormatError(f"{self._path}: the TIFF cannot be decoded ({error})") from error

    def _from_segments(self, file: Any, start: int, stop: int) -> Codes:
        page = self._page
        out = np.empty((stop - start, self.width, self._samples), page.dtype)
        for index, top, left in self._segments(start, stop):
            file.seek(page.dataoffsets[index])
            data = file.read(page.databytecounts[index])
            segment = page.decode(data, index, jpegtables=page.jpegtables)[0]
            if segment is None:
                raise ValueError("a part of it is missing")
            piece = segment[0]
            skip = max(0, start - top)
            first = max(top, start) - start
            piece = piece[skip : skip + len(out) - first, : self.width - left]
            out[first : first + len(piece), left : left + piece.shape[1]] = piece
        return out

    def _segments(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Index, first row and first column of the strips or tiles that hold some rows."""
        length, width = self._segment
        across = -(-self.width // width)
        for down in range(start // length, -(-stop // length)):
            for right in range(across):
                yield down * across + right, down * length, right * width


def _the_picture(tiff: Any) -> Any:
    """The one page that is neither a preview nor a mask."""
    count = len(tiff.pages)
    if not count:
        raise FormatError("the TIFF holds no image")
    if count > 1000:
        raise FormatError(f"the TIFF holds {count} pages, not one picture")
    if _DNG_VERSION in tiff.pages.first.tags:
        raise FormatError("it is a raw file (DNG); rename it to .dng")
    pages = []
    for index in range(count):
        page = tiff.pages[index]
        page = page.aspage() if hasattr(page, "aspage") else page
        kind = page.tags.get(254)
        if not (kind is not None and int(kind.value) & (_REDUCED | _MASK)):
            pages.append(page)
    if len(pages) > 1:
        raise FormatError(
            f"the TIFF holds {len(pages)} pages, not one picture; if they are the bands of a "
            "cube, open it as a cube, else save the page that is meant by itself"
        )
    page = pages[0] if pages else tiff.pages.first
    if len(page.shape) not in (2, 3) or page.imagedepth != 1:
        raise FormatError(f"the TIFF holds an array of shape {page.shape}, not a picture")
    return page


def _check(path: Path, page: Any, max_pixels: int) -> None:
    size = path.stat().st_size
    offsets = zip(page.dataoffsets, page.databytecounts, strict=True)
    if any(offset + length > size for offset, length in offsets):
        raise FormatError("the TIFF is cut short; copy it again")
    value_bytes = int(page.samplesperpixel) * max(1, int(page.bitspersample) // 8)
    check_cost(
        path,
        int(page.imagelength),
        int(page.imagewidth),
        value_bytes,
        max_pixels,
        compressed=page.compression != 1,
        pieces=len(page.dataoffsets),
    )


def _said(page: Any) -> Said:
    import tifffile

    kinds = tifffile.PHOTOMETRIC
    colours: Any = {
        kinds.RGB: "rgb",
        kinds.PALETTE: "rgb",
        kinds.MINISBLACK: "grey",
        kinds.MINISWHITE: "grey",
        kinds.SEPARATED: "cmyk",
    }.get(page.photometric)
    if page.photometric == kinds.YCBCR and page.compression == 7:  # JPEG, decoded to RGB
        colours = "rgb"
    if colours is None:
        raise FormatError(f"the TIFF is of type {page.photometric.name}; use RGB")
    dtype = np.dtype(page.dtype) if page.dtype is not None else np.dtype(np.void)
    if dtype not in (np.uint8, np.uint16) and dtype.kind != "f":
        raise FormatError(f"the TIFF holds {dtype}; use 8 or 16 bits or floating point")
    bits = int(page.bitspersample)
    if dtype.kind != "f" and bits not in (8, 16):
        raise FormatError(f"the TIFF holds {bits} bits a value; use 8 or 16 or floating point")
    palette = page.photometric == kinds.PALETTE
    full = 65535.0 if palette else 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)
    depth = 16 if palette else 32 if dtype.kind == "f" else bits
    extra = {0: "straight", 1: "premultiplied", 2: "straight"}
    own = {"rgb": 3, "grey": 1, "cmyk": 4}[colours]
    samples = 1 if palette else int(page.samplesperpixel)
    alpha: Any = None
    if not palette and samples == own + 1:
        alpha = extra.get(int(page.extrasamples[0]) if page.extrasamples else 0, "straight")
    elif not palette and samples != own:
        raise FormatError(f"an image has three channels; got {samples}")
    return Said(
        colours,
        full,
        depth,
        alpha,
        inverted=page.photometric == kinds.MINISWHITE,
        icc=_profile(page),
        facts=_facts(page),
    )


def _profile(page: Any) -> bytes | None:
    tag = page.tags.get(_ICC)
    if tag is None:
        return None
    if tag.count > MAX_PROFILE:
        raise FormatError(f"its colour profile has {tag.count:,} bytes, more than {MAX_PROFILE:,}")
    return bytes(tag.value)


def _facts(page: Any) -> dict[str, Any]:
    facts = camera_facts(lambda tag: page.tags[tag].value if tag in page.tags else None)
    if str(facts.get("software")).startswith("tifffile"):
        del facts["software"]
    return facts


def _orientation(page: Any) -> int:
    return int(page.tags["Orientation"].value) if "Orientation" in page.tags else 1


def _contiguous(page: Any) -> bool:
    return len(page.dataoffsets) == 1 and page.compression == 1 and not page.is_tiled


def _piecewise(page: Any) -> bool:
    """Whether rows can be read one after another, as they are."""
    import tifffile

    kinds = tifffile.PHOTOMETRIC
    return (
        page.photometric in (kinds.RGB, kinds.MINISBLACK, kinds.MINISWHITE, kinds.SEPARATED)
        and (page.planarconfig == tifffile.PLANARCONFIG.CONTIG or page.samplesperpixel == 1)
        and page.axes in ("YXS", "YX")
        and (_contiguous(page) or len(page.dataoffsets) > 1)
    )


def _pixels(path: Path, picture: Any) -> Codes:
    """Decode with tifffile, or with OpenCV what tifffile needs a further library for."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages[picture.index] if picture.index else tiff.pages.first
            return np.asarray(page.asarray())
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
    import cv2

    codes = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if codes is None:
        raise FormatError(
            f"the TIFF is compressed by {picture.compression.name}; install imagecodecs, or save "
            "it uncompressed"
        )
    return np.asarray(codes[..., ::-1] if codes.ndim == 3 else codes)


def _settle(page: Any, colormap: Any, codes: Codes) -> Codes:
    """Channels last; a palette looked up."""
    if page.axes.startswith("S") and codes.ndim == 3:
        codes = np.moveaxis(codes, 0, -1)
    if colormap is not None:
        return np.moveaxis(np.asarray(colormap, np.uint16)[:, codes], 0, -1)
    return codes
