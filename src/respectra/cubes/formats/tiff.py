"""TIFF: one page a band, or one page with a sample a band.

The wavelengths of other programs' files are rarely in them; ours are in the first page's
description, as JSON. Integer samples are read as the codes they are.
"""

from __future__ import annotations

import json
import logging
import struct
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes.formats.base import (
    DEFLATE_RATIO,
    WAVELENGTH_NAMES,
    CubeFormat,
    Stored,
    contiguous,
    decode_attrs,
    encode_attrs,
    plausible_wavelengths,
)
from respectra.cubes.model import wavelengths_of
from respectra.errors import FormatError
from respectra.guards.text import parse_json

# tifffile logs every oddity of a damaged file; without a handler that ends on standard error.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_CLASSIC_LIMIT = 2**32 - 2**25  # offsets of classic TIFF have 32 bits
_UNCOMPRESSED = 1
_MOST_PAGES = 100_000
_LAST_OFFSET = 2**63 - 1


def _peek(path: Path, key: str | None) -> Stored:
    import tifffile

    _check_chain(path)
    with tifffile.TiffFile(path, is_ome=False) as tiff:
        series = tiff.series[0]
        sizes = [(axis, n) for axis, n in zip(series.axes, series.shape, strict=True) if n > 1]
        others = [axis for axis, _ in sizes if axis not in "YX"]
        if len(others) > 1:
            raise FormatError(
                f"{path} has the axes {series.axes} of sizes {series.shape}; a cube has one page "
                "or one sample a band"
            )
        extent = dict(sizes)
        band = others[0] if others else ""
        shape = (extent.get("Y", 1), extent.get("X", 1), extent.get(band, 1))
        facts = _facts(tiff.pages[0].description)
        grids = (plausible_wavelengths(facts.get(n), shape[2]) for n in WAVELENGTH_NAMES)
        order = "".join(axis for axis, _ in sizes)
        uncompressed = series.keyframe.compression == _UNCOMPRESSED
        return Stored(
            shape=shape,
            dtype=np.dtype(series.dtype),
            stored_bytes=path.stat().st_size,
            load=lambda: _load(path, shape, order, band),
            wavelengths_nm=next((grid for grid in grids if grid is not None), None),
            attrs=decode_attrs(json.dumps(facts.get("attributes", {}))),
            ratio=1.0 if uncompressed else DEFLATE_RATIO,
            details={"pages": len(tiff.pages), "axes": series.axes},
        )


def _check_chain(path: Path) -> None:
    """Refuse a file whose pages point back at one another: tifffile would follow them for ever.

    Raises:
        FormatError: the pages form a circle, or are more than any cube has bands.
    """
    with path.open("rb") as file:
        header = file.read(16)
        order = "<" if header[:2] == b"II" else ">"
        big = header[2:4] in (b"+\0", b"\0+")
        count_format, offset_format, tag_bytes = ("Q", "Q", 20) if big else ("H", "I", 12)
        (offset,) = struct.unpack_from(f"{order}{offset_format}", header, 8 if big else 4)
        seen: set[int] = set()
        while offset:
            if offset in seen or len(seen) >= _MOST_PAGES:
                raise FormatError(f"{path} is damaged: its pages have no end")
            seen.add(offset)
            file.seek(min(offset, _LAST_OFFSET))
            count = _read_integer(file, order + count_format)
            if count is None:
                return
            file.seek(min(file.tell() + count * tag_bytes, _LAST_OFFSET))
            offset = _read_integer(file, order + offset_format) or 0


def _read_integer(file: IO[bytes], form: str) -> int | None:
    data = file.read(struct.calcsize(form))
    return struct.unpack(form, data)[0] if len(data) == struct.calcsize(form) else None


def _facts(description: str) -> dict[str, Any]:
    try:
        facts = parse_json(description, "the description")
    except FormatError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _load(
    path: Path, shape: tuple[int, int, int], order: str, band: str
) -> npt.NDArray[np.float32]:
    import tifffile

    with tifffile.TiffFile(path, is_ome=False) as tiff:
        values = np.squeeze(tiff.series[0].asarray())
    wanted = [axis for axis in ("Y", "X", band) if axis and axis in order]
    view = values.transpose([order.index(axis) for axis in wanted])
    return contiguous(view.reshape(shape))


def _write(cube: xr.DataArray, path: Path) -> None:
    import tifffile

    facts = {
        "wavelengths_nm": wavelengths_of(cube).tolist(),
        "attributes": json.loads(encode_attrs(cube.attrs)),
    }
    with tifffile.TiffWriter(path, bigtiff=cube.nbytes > _CLASSIC_LIMIT) as tiff:
        for number in range(cube.sizes["wavelength"]):
            tiff.write(
                np.ascontiguousarray(cube.values[:, :, number]),
                photometric="minisblack",
                metadata=None,
                description=json.dumps(facts) if number == 0 else None,
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
