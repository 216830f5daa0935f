"""ENVI: a text header beside raw values, interleaved by pixel (BIP), line (BIL) or band (BSQ).

Values are raw, so opening and saving cost what the disk costs, and any part can be read by itself.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from respectra.cubes.formats._axes import Axes
from respectra.cubes.formats._envi_header import (
    ORDERS,
    EnviLayout,
    Header,
    attributes_of,
    decoding_of,
    entries_for,
    layout_of,
    read_header,
    text_of,
    wavelengths_in,
)
from respectra.cubes.formats._values import Decoding
from respectra.cubes.formats.base import (
    DEFLATE_RATIO,
    CubeFormat,
    CubeWriter,
    Region,
    Stored,
    decode_attrs,
    encode_attrs,
)
from respectra.errors import ConfigError, FormatError
from respectra.guards.text import parse_json

_DATA_SUFFIXES = (".img", ".dat", ".raw", ".bip", ".bil", ".bsq")
#: Files beside a header that are not its data.
_NOT_DATA = (
    ".hdr", ".xml", ".txt", ".json", ".csv", ".md", ".prj", ".ovr", ".rrd", ".sta", ".enp", ".png",
    ".jpg", ".jpeg", ".tif", ".tiff", ".pdf", ".kml", ".kmz", ".mat", ".nc", ".npz", ".npy", ".log",
    ".lock", ".part", ".old", ".evf", ".roi", ".ini", ".html", ".zarr", ".h5",
)  # fmt: skip
_MARK = "respectra "
#: Compressed values are unpacked so many bytes at a time.
_BLOCK = 2**20


def _header_and_data(path: Path) -> tuple[Path, Path]:
    """The two files of a cube, from the name of either."""
    if path.suffix.lower() == ".hdr":
        return path, _data_of(path)
    for header in (path.with_suffix(".hdr"), Path(f"{path}.hdr"), path.with_suffix(".HDR")):
        if header.is_file():
            return header, path
    raise FormatError(f"{path} has no ENVI header; put {path.with_suffix('.hdr').name} beside it")


def _data_of(header: Path) -> Path:
    bare = header.with_suffix("")
    names = [bare, *(Path(f"{bare}{s}") for s in _DATA_SUFFIXES)]
    names += [Path(f"{bare}{s.upper()}") for s in _DATA_SUFFIXES]
    for data in names:
        if data.is_file():
            return data
    read_header(header)  # what is no header has no data either, and says so itself
    others = [
        file
        for file in sorted(header.parent.iterdir())
        if file.name.startswith(f"{bare.name}.")
        and file.suffix.lower() not in _NOT_DATA
        and file.is_file()
    ]
    if len(others) > 1:  # the one of the right size, if there is one
        layout = layout_of(read_header(header), header)
        fitting = [f for f in others if f.stat().st_size == layout.offset + layout.nbytes]
        others = fitting or others
    if len(others) == 1:
        return others[0]
    found = f"; found {', '.join(f.name for f in others)}" if others else ""
    raise FormatError(
        f"{header} is an ENVI header without its data; put {bare.name}.img (or .dat, .raw, "
        f".bip, .bil, .bsq, any other suffix, or none) beside it{found}"
    )


def _peek(path: Path, key: str | None, axes: Axes | None) -> Stored:
    header_path, data_path = _header_and_data(path)
    if axes is not None:
        raise ConfigError("the header of an ENVI file says which axes it has; leave --axes out")
    header = read_header(header_path)
    layout = layout_of(header, header_path)
    decoding = decoding_of(header, layout.shape[2], header_path, layout.dtype)

    def window(rows: slice, columns: slice, bands: slice) -> npt.NDArray[np.float32]:
        size = math.prod(layout.shape)
        raw = np.memmap(data_path, layout.dtype, "r", offset=layout.offset, shape=(size,))
        return decoding.apply(_view(np.asarray(raw), layout)[rows, columns, bands], bands)

    return Stored(
        shape=layout.shape,
        dtype=layout.dtype,
        stored_bytes=max(0, data_path.stat().st_size - layout.offset),
        load=lambda: _load(data_path, layout, decoding),
        window=None if layout.compressed else window,
        **wavelengths_in(header, layout.shape[2], header_path),
        attrs=_attributes(header, layout, decoding),
        ratio=DEFLATE_RATIO if layout.compressed else 1.0,
        details={"interleave": layout.interleave, "data": data_path.name}
        | ({"compressed": True} if layout.compressed else {}),
    )


def _attributes(header: Header, layout: EnviLayout, decoding: Decoding) -> dict[str, Any]:
    description = text_of(header, "description")
    if description.startswith(_MARK):
        pairs = parse_json(description.removeprefix(_MARK), "the description")
        return decode_attrs(json.dumps(dict(pairs)))
    attrs = attributes_of(header, layout.shape[2])
    return attrs | ({"quantity": "reflectance"} if decoding.divisor != 1.0 else {})


def _load(path: Path, layout: EnviLayout, decoding: Decoding) -> npt.NDArray[np.float32]:
    if layout.compressed:
        raw = np.frombuffer(_unpack(path, layout), layout.dtype)
    else:
        raw = np.fromfile(path, layout.dtype, math.prod(layout.shape), offset=layout.offset)
    return decoding.apply(_view(raw, layout), slice(0, layout.shape[2]))


def _view(raw: npt.NDArray[Any], layout: EnviLayout) -> npt.NDArray[Any]:
    """Raw values as (y, x, band)."""
    order = ORDERS[layout.interleave]
    return raw.reshape([layout.shape[axis] for axis in order]).transpose(np.argsort(order))


def _unpack(path: Path, layout: EnviLayout) -> bytearray:
    """The values of a compressed file, exactly as many as the header promises."""
    values = bytearray()
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib
    with path.open("rb") as file:
        file.seek(layout.offset)
        while len(values) < layout.nbytes:
            block = unpacker.unconsumed_tail or file.read(_BLOCK)
            if not block:
                break
            values += unpacker.decompress(block, layout.nbytes - len(values) + 1)
    if len(values) != layout.nbytes:
        kind = "more" if len(values) > layout.nbytes else "fewer"
        raise FormatError(f"{path} unpacks to {kind} bytes than its header promises")
    return values


# --- writing -------------------------------------------------------------------------------------


def _files(path: Path) -> tuple[Path, ...]:
    if path.suffix.lower() == ".hdr":
        return path, path.with_suffix(".img")
    return path.with_suffix(".hdr"), path


class EnviWriter(CubeWriter):
    """An ENVI file, interleaved as the suffix of its data says, by pixel where it does not."""

    needs_full_room = True

    @property
    def _interleave(self) -> str:
        suffix = self.paths[1].suffix.lower().removeprefix(".")
        return suffix if suffix in ORDERS else "bip"

    def create(self) -> None:
        """Begin an empty file of the full size."""
        if self.dtype != np.float32:
            raise ConfigError(
                f"ENVI has no {self.dtype}; write float32, or a Zarr store (.zarr) for float16"
            )
        with self.paths[1].open("wb") as file:
            file.truncate(4 * int(np.prod(self.shape, dtype=np.int64)))

    def write(self, region: Region, spectra: npt.NDArray[Any]) -> None:
        """Write one piece in as few steps as it can be: mapped memory would count as ours."""
        rows, columns = region
        order = ORDERS[self._interleave]
        sizes = [self.shape[axis] for axis in order]
        piece = np.ascontiguousarray(spectra.transpose(order), "<f4")
        starts = [(rows.start, columns.start, 0)[axis] for axis in order]
        # Whole from here on: what lies next to each other in the file and in the piece.
        whole = 2
        while whole > 0 and piece.shape[whole] == sizes[whole]:
            whole -= 1
        with self.paths[1].open("r+b") as file:
            for index in np.ndindex(*piece.shape[:whole]):
                at = [start + k for start, k in zip(starts, (*index, 0, 0, 0), strict=False)]
                file.seek(4 * int(np.ravel_multi_index(at, sizes)))
                file.write(piece[index].data)

    def finish(self, attrs: Mapping[Any, Any]) -> None:
        """Write the header, which is not known to be true before.

        It has all attributes as JSON in the description, those that ENVI knows under its own names.
        """
        rows, columns, bands = self.shape
        # As a list of pairs, because the readers of headers strip braces at both ends.
        pairs = [list(pair) for pair in json.loads(encode_attrs(attrs)).items()]
        entries = [
            ("description", "{" + _MARK + json.dumps(pairs) + "}"),
            ("samples", columns),
            ("lines", rows),
            ("bands", bands),
            ("header offset", 0),
            ("file type", "ENVI Standard"),
            ("data type", 4),
            ("interleave", self._interleave),
            ("byte order", 0),
            ("wavelength units", "Nanometers"),
            ("wavelength", "{" + ", ".join(repr(float(nm)) for nm in self.wavelengths_nm) + "}"),
            *entries_for(attrs, bands),
        ]
        text = "ENVI\n" + "".join(f"{name} = {value}\n" for name, value in entries)
        self.paths[0].write_text(text, "ascii", newline="\n")


ENVI = CubeFormat(
    name="envi",
    title="ENVI file",
    suffix=".hdr",
    suffixes=(".hdr", *_DATA_SUFFIXES),
    preserves="values bit for bit, wavelengths, and attributes as JSON in the description",
    peek=_peek,
    write=EnviWriter.write_cube,
    writer=EnviWriter,
    recognises=None,
    files=_files,
    parts=_header_and_data,
)
FORMATS = (ENVI,)
