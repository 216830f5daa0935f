"""TIFF: one page a band, or one page with a sample a band.

The wavelengths of other programs' files are rarely in them; ours are in the first page's
description, as JSON. Integer samples are read as the codes they are.
"""

from __future__ import annotations

import functools
import itertools
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes.formats import _geotiff
from respectra.cubes.formats._axes import Axes, order_by_axes
from respectra.cubes.formats._geotiff import METADATA_TAG, NODATA_TAG, GeoTiffFacts, parse_metadata
from respectra.cubes.formats._grids import WAVELENGTH_NAMES, Grid, spelled_grid, stated_grid
from respectra.cubes.formats._values import Decoding
from respectra.cubes.formats.base import (
    DEFLATE_RATIO,
    CubeFormat,
    Stored,
    contiguous,
    decode_attrs,
    encode_facts,
)
from respectra.errors import FormatError
from respectra.guards.text import parse_json
from respectra.guards.tiff import check_tiff

if TYPE_CHECKING:
    import tifffile

# tifffile logs every oddity of a damaged file; without a handler that ends on standard error.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_CLASSIC_LIMIT = 2**32 - 2**25  # offsets of classic TIFF have 32 bits
_UNCOMPRESSED = 1
_ORIENTATION = 274
#: Kinds of pages that are no bands: previews, and masks.
_REDUCED, _MASK = 1, 4


@dataclass(frozen=True)
class _Planes:
    """Where a cube lies in a file: pages of one band each, or one array of several axes."""

    pages: tuple[int, ...]
    """Numbers of the pages, where each is a band; empty for an array."""
    series: int
    """Number of the array among the file's."""
    dims: str
    """Letters of the array's axes that are longer than 1."""
    places: tuple[int | None, ...]
    """Which of them are y, x and band."""
    shape: tuple[int, int, int]
    orientation: int
    compressed: bool

    def oriented(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values (y, x, band) as the picture is meant to be seen (TIFF 6.0, Orientation)."""
        turned = values.transpose(1, 0, 2) if self.orientation >= 5 else values
        up = self.orientation in (3, 4, 7, 8)
        left = self.orientation in (2, 3, 6, 7)
        return turned[:: -1 if up else 1, :: -1 if left else 1]

    @property
    def shown(self) -> tuple[int, int, int]:
        """The shape of what ``oriented`` gives."""
        rows, columns, bands = self.shape
        return (columns, rows, bands) if self.orientation >= 5 else self.shape


def _peek(path: Path, key: str | None, axes: Axes | None) -> Stored:
    import tifffile

    check_tiff(path)
    with tifffile.TiffFile(path, is_ome=False) as tiff:
        planes, first = _find(tiff, path, axes)
        facts = _facts(first.description)
        bands = planes.shape[2]
        gdal = GeoTiffFacts()
        if METADATA_TAG in first.tags:
            gdal = parse_metadata(str(first.tags[METADATA_TAG].value))
        nodata = str(first.tags[NODATA_TAG].value) if NODATA_TAG in first.tags else None
        decoding = _geotiff.decoding(gdal, nodata, bands)
        grid = _grid(facts, gdal, _labels(tiff, planes), bands, path)
        attrs = decode_attrs(json.dumps(facts.get("attributes", {})))
        plain = planes.orientation == 1
        return Stored(
            shape=planes.shown,
            dtype=np.dtype(first.dtype),
            stored_bytes=path.stat().st_size,
            load=lambda: _load(path, planes, decoding),
            window=functools.partial(_window, path, planes, decoding) if plain else None,
            chunks=_chunks(planes, first) if planes.compressed else None,
            **grid,
            attrs=attrs or _geotiff.attributes(gdal, bands),
            ratio=DEFLATE_RATIO if planes.compressed else 1.0,
            details={"pages": len(tiff.pages), "axes": planes.dims}
            | ({} if plain else {"orientation": planes.orientation}),
        )


def _find(tiff: tifffile.TiffFile, path: Path, axes: Axes | None) -> tuple[_Planes, Any]:
    """The cube among the pages of a file: previews and masks are passed over."""
    numbered = [
        (number, series)
        for number, series in enumerate(tiff.series)
        if not (int(series.keyframe.subfiletype or 0) & (_REDUCED | _MASK))
    ] or list(enumerate(tiff.series))
    number, series = numbered[0]
    first = series.keyframe
    orientation = int(first.tags[_ORIENTATION].value) if _ORIENTATION in first.tags else 1
    orientation = orientation if 1 <= orientation <= 8 else 1
    kinds = {(s.keyframe.shape, s.keyframe.dtype) for _, s in numbered}
    by_page = all(_one_band_a_page(s) for _, s in numbered)
    if len(numbered) > 1 and not (by_page and len(kinds) == 1):
        shapes = ", ".join(str(s.shape) for _, s in numbered[:5])
        raise FormatError(
            f"{path} holds {len(numbered)} pictures of the shapes {shapes}; a cube is one, or one "
            "page of the same size a band"
        )
    pages: tuple[int, ...] = ()
    dims = [(axis, n) for axis, n in zip(series.axes, series.shape, strict=True) if n > 1]
    extra = sum(axis not in "YX" for axis, _ in dims)
    if by_page and extra < 2 and (axes is None or len(numbered) > 1):
        pages = tuple(sorted(page.index for _, s in numbered for page in s.pages))
        sizes = dict(zip(first.axes, first.shape, strict=True))
        dims = [("B", len(pages)), ("Y", sizes["Y"]), ("X", sizes["X"])]
    others = [axis for axis, _ in dims if axis not in "YX"]
    if axes is None and len(others) > 1:
        raise FormatError(
            f"{path} has the axes {series.axes} of sizes {series.shape}; a cube has one page "
            "or one sample a band"
        )
    letters = "".join(axis for axis, _ in dims)
    places: tuple[int | None, ...]
    if axes is not None:
        places = order_by_axes(axes, len(dims))
    else:
        band = others[0] if others else ""
        places = tuple(letters.find(a) if a and a in letters else None for a in ("Y", "X", band))
    lengths = [n for _, n in dims]
    shape = tuple(1 if place is None else lengths[place] for place in places)
    compressed = any(s.keyframe.compression != _UNCOMPRESSED for _, s in numbered)
    return _Planes(pages, number, letters, places, shape, orientation, compressed), first  # type: ignore[arg-type]


def _one_band_a_page(series: Any) -> bool:
    """Whether all pages are pictures of one sample, and all are there."""
    frames = [page for page in series.pages if page is not None]
    return (
        set(series.keyframe.axes) == {"Y", "X"}
        and len(frames) == len(series.pages) == int(np.prod(series.shape)) // series.keyframe.size
    )


def _labels(tiff: tifffile.TiffFile, planes: _Planes) -> list[list[str]]:
    """What the pages are called, by ImageJ or each in its own description."""
    labels = (tiff.imagej_metadata or {}).get("Labels") if tiff.is_imagej else None
    found = [[str(label) for label in labels]] if isinstance(labels, list | tuple) else []
    if len(planes.pages) > 1 and not tiff.is_imagej:
        found.append([str(tiff.pages[page].aspage().description) for page in planes.pages])
    return found


def _grid(
    facts: dict[str, Any], gdal: GeoTiffFacts, labels: list[list[str]], bands: int, path: Path
) -> Grid:
    unit = facts.get("wavelength_units")
    stated = (stated_grid(facts.get(name), unit, bands, path) for name in WAVELENGTH_NAMES)
    spelled = (spelled_grid(names, path) for names in labels if len(names) == bands)
    return next(filter(None, (*stated, _geotiff.wavelengths(gdal, bands, path), *spelled)), Grid())


def _chunks(planes: _Planes, page: Any) -> tuple[int, int, int]:
    """What is compressed together."""
    if planes.pages:
        return (*planes.shape[:2], 1)
    return _tile(planes, page) or planes.shape


def _tile(planes: _Planes, page: Any) -> tuple[int, int, int] | None:
    """The shape of a tile, where an array is one tiled page with a sample a band.

    Every sample may have tiles of its own.
    """
    bands = page.samplesperpixel
    separate = page.planarconfig != 1 and bands > 1
    usual = (1, 2, 0) if separate else (0, 1, 2)
    if (
        page.is_tiled
        and page.imagedepth == 1
        and (planes.places, planes.shape[2]) == (usual, bands)
    ):
        return page.tilelength, page.tilewidth, 1 if separate else bands
    return None


def _facts(description: str) -> dict[str, Any]:
    try:
        facts = parse_json(description, "the description")
    except FormatError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _load(path: Path, planes: _Planes, decoding: Decoding) -> npt.NDArray[np.float32]:
    rows, columns, bands = (slice(0, n) for n in planes.shape)
    return contiguous(planes.oriented(_window(path, planes, decoding, rows, columns, bands)))


def _window(
    path: Path, planes: _Planes, decoding: Decoding, rows: slice, columns: slice, bands: slice
) -> npt.NDArray[np.float32]:
    """A part as the file's pages have it, decoded."""
    import tifffile

    with tifffile.TiffFile(path, is_ome=False) as tiff:
        if planes.pages:
            parts = [_plane(tiff.pages[n].aspage())[rows, columns] for n in planes.pages[bands]]
            return decoding.apply(np.stack(parts).transpose(1, 2, 0), bands)
        series = tiff.series[planes.series]
        if series.dataoffset is not None:
            values: npt.NDArray[Any] = _mapped(tiff, series.dataoffset, series.dtype, series.shape)
        elif len(series.pages) == 1 and (tile := _tile(planes, series.keyframe)):
            return decoding.apply(_tiles(series.keyframe, tile, rows, columns, bands), bands)
        else:
            values = series.asarray()
        return decoding.apply(_view(values, planes)[rows, columns, bands], bands)


def _view(values: npt.NDArray[Any], planes: _Planes) -> npt.NDArray[Any]:
    wanted = [place for place in planes.places if place is not None]
    return np.squeeze(values).transpose(wanted).reshape(planes.shape)


def _plane(page: Any) -> npt.NDArray[Any]:
    """One band, not read yet where the file has it as it is."""
    if page.is_memmappable:
        return _mapped(page.parent, page.dataoffsets[0], page.dtype, page.shape).reshape(
            page.imagelength, page.imagewidth
        )
    return np.asarray(page.asarray()).reshape(page.imagelength, page.imagewidth)


def _mapped(
    tiff: tifffile.TiffFile, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> npt.NDArray[Any]:
    typed = np.dtype(dtype).newbyteorder(tiff.byteorder)
    return np.asarray(np.memmap(tiff.filehandle.path, typed, "r", offset=offset, shape=shape))


def _tiles(
    page: Any, tile: tuple[int, int, int], rows: slice, columns: slice, bands: slice
) -> npt.NDArray[Any]:
    """Some samples of some pixels, from the tiles that they lie in; missing tiles are 0."""
    high, wide, deep = tile
    across, down = -(-page.imagewidth // wide), -(-page.imagelength // high)
    top, left = rows.start // high, columns.start // wide
    bottom, right = -(-rows.stop // high), -(-columns.stop // wide)
    count = bands.stop - bands.start
    out = np.zeros(((bottom - top) * high, (right - left) * wide, count), page.dtype)
    separate = deep < page.samplesperpixel
    planes = range(bands.start, bands.stop) if separate else (0,)
    handle = page.parent.filehandle
    for plane, y, x in itertools.product(planes, range(top, bottom), range(left, right)):
        index = (plane * down + y) * across + x
        if not page.databytecounts[index]:
            continue
        handle.seek(page.dataoffsets[index])
        data = handle.read(page.databytecounts[index])
        segment = page.decode(data, index, jpegtables=page.jpegtables)[0]
        if segment is None:
            continue
        y0, x0 = (y - top) * high, (x - left) * wide
        values = segment[0]
        target = out[y0 : y0 + values.shape[0], x0 : x0 + values.shape[1]]
        if separate:
            target[:, :, plane - bands.start] = values[:, :, 0]
        else:
            target[...] = values[:, :, bands]
    return out[rows.start - top * high :, columns.start - left * wide :][
        : rows.stop - rows.start, : columns.stop - columns.start
    ]


def _write(cube: xr.DataArray, path: Path) -> None:
    import tifffile

    with tifffile.TiffWriter(path, bigtiff=cube.nbytes > _CLASSIC_LIMIT) as tiff:
        for number in range(cube.sizes["wavelength"]):
            tiff.write(
                np.ascontiguousarray(cube.values[:, :, number]),
                photometric="minisblack",
                metadata=None,
                description=encode_facts(cube) if number == 0 else None,
                software="Respectra",
            )


TIFF = CubeFormat(
    name="tiff",
    title="TIFF file",
    suffix=".tif",
    suffixes=(".tif", ".tiff"),
    preserves="values bit for bit, wavelengths and attributes as JSON in the first description",
    peek=_peek,
    write=_write,
    recognises=lambda head: head.startswith(_MAGICS),
)
FORMATS = (TIFF,)
