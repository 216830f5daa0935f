"""ENVI: a text header beside raw values, interleaved by pixel (BIP), line (BIL) or band (BSQ).

Values are raw, so opening and saving cost what the disk costs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes.formats.base import (
    CubeFormat,
    Stored,
    contiguous,
    decode_attrs,
    encode_attrs,
    plausible_wavelengths,
    read_head,
)
from respectra.cubes.model import wavelengths_of
from respectra.errors import FormatError
from respectra.guards.text import parse_json

_DATA_SUFFIXES = (".img", ".dat", ".raw", ".bip", ".bil", ".bsq")
#: Order of (y, x, band) in the file, slowest first, by interleave.
ORDERS = {"bip": (0, 1, 2), "bil": (0, 2, 1), "bsq": (2, 0, 1)}
_UNITS_NM = {"nanometers": 1.0, "nm": 1.0, "micrometers": 1e3, "microns": 1e3, "um": 1e3, "μm": 1e3}
_MARK = "respectra "
_HEADER_LIMIT = 2**24


def _header_and_data(path: Path) -> tuple[Path, Path]:
    """The two files of a cube, from the name of either."""
    if path.suffix.lower() == ".hdr":
        bare = path.with_suffix("")
        names = [bare, *(Path(f"{bare}{s}") for s in _DATA_SUFFIXES)]
        names += [Path(f"{bare}{s.upper()}") for s in _DATA_SUFFIXES]
        for data in names:
            if data.is_file():
                return path, data
        raise FormatError(
            f"{path} is an ENVI header without its data; put {bare.name}.img (or .dat, .raw, "
            ".bip, .bil, .bsq, or no suffix) beside it"
        )
    for header in (path.with_suffix(".hdr"), Path(f"{path}.hdr"), path.with_suffix(".HDR")):
        if header.is_file():
            return header, path
    raise FormatError(f"{path} has no ENVI header; put {path.with_suffix('.hdr').name} beside it")


def _peek(path: Path, key: str | None) -> Stored:
    from spectral.io import envi

    header_path, data_path = _header_and_data(path)
    if not read_head(header_path).lstrip().startswith(b"ENVI"):
        raise FormatError(f"{header_path} is not an ENVI header: it does not begin with ENVI")
    if header_path.stat().st_size > _HEADER_LIMIT:
        raise FormatError(f"{header_path} is too long for an ENVI header")
    header = envi.read_envi_header(str(header_path))
    envi.check_compatibility(header)
    layout = envi.gen_params(header)
    interleave = str(header["interleave"]).lower()
    if interleave not in ORDERS:
        raise FormatError(f"{header_path}: interleave is bip, bil or bsq; got {interleave!r}")
    shape = (layout.nrows, layout.ncols, layout.nbands)
    if min(shape) < 1 or layout.offset < 0:
        raise FormatError(f"{header_path} gives sizes that cannot be: {shape}")
    dtype = np.dtype(layout.dtype)
    divisor = float(header.get("reflectance scale factor", 1.0))
    if not (np.isfinite(divisor) and divisor > 0):
        raise FormatError(f"{header_path}: reflectance scale factor is positive; got {divisor}")
    return Stored(
        shape=shape,
        dtype=dtype,
        stored_bytes=max(0, data_path.stat().st_size - layout.offset),
        load=lambda: _load(data_path, shape, dtype, interleave, layout.offset, divisor),
        wavelengths_nm=_wavelengths(header, shape[2]),
        attrs=_attributes(header, divisor),
        details={"interleave": interleave, "data": data_path.name},
    )


def _wavelengths(header: Mapping[str, Any], bands: int) -> npt.NDArray[np.float64] | None:
    grid = plausible_wavelengths(header.get("wavelength"), bands)
    if grid is None:
        return None
    unit = str(header.get("wavelength units", "")).lower()
    # Headers often leave the unit out or unknown; no sensor of ours sees beyond 100 micrometres.
    factor = _UNITS_NM.get(unit, 1.0 if grid.max() > 100 else 1e3)
    return grid * factor


def _attributes(header: Mapping[str, Any], divisor: float) -> dict[str, Any]:
    description = str(header.get("description", "")).strip()
    if description.startswith(_MARK):
        pairs = parse_json(description.removeprefix(_MARK), "the description")
        return decode_attrs(json.dumps(dict(pairs)))
    attrs = {"description": description} if description else {}
    return attrs | ({"quantity": "reflectance"} if divisor != 1.0 else {})


def _load(
    path: Path,
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    interleave: str,
    offset: int,
    divisor: float,
) -> npt.NDArray[np.float32]:
    order = ORDERS[interleave]
    raw = np.fromfile(path, dtype, count=int(np.prod(shape)), offset=offset)
    view = raw.reshape([shape[axis] for axis in order]).transpose(np.argsort(order))
    if divisor != 1.0:
        return contiguous(view.astype(np.float64) / divisor)
    return contiguous(view)


def _files(path: Path) -> tuple[Path, ...]:
    if path.suffix.lower() == ".hdr":
        return path, path.with_suffix(".img")
    return path.with_suffix(".hdr"), path


def _write(cube: xr.DataArray, header_path: Path, data_path: Path) -> None:
    suffix = data_path.suffix.lower().removeprefix(".")
    interleave = suffix if suffix in ORDERS else "bip"
    values = cube.values.astype("<f4", copy=False)
    with data_path.open("wb") as file:
        if interleave == "bsq":
            for band in range(values.shape[2]):
                np.ascontiguousarray(values[:, :, band]).tofile(file)
        else:
            for row in values:
                np.ascontiguousarray(row if interleave == "bip" else row.T).tofile(file)
    write_header(header_path, values.shape, wavelengths_of(cube), cube.attrs, interleave)


def write_header(
    path: Path,
    shape: tuple[int, ...],
    wavelengths_nm: npt.NDArray[np.float64],
    attrs: Mapping[Any, Any],
    interleave: str,
) -> None:
    """Write the header of little-endian float32 values.

    Args:
        path: of the header.
        shape: (y, x, band).
        wavelengths_nm: one a band, nm.
        attrs: attributes of the cube.
        interleave: ``bip``, ``bil`` or ``bsq``.
    """
    from spectral.io import envi

    rows, columns, bands = shape
    # As a list of pairs, because the readers of headers strip braces at both ends.
    pairs = [list(pair) for pair in json.loads(encode_attrs(attrs)).items()]
    metadata = {
        "description": _MARK + json.dumps(pairs),
        "samples": columns,
        "lines": rows,
        "bands": bands,
        "header offset": 0,
        "file type": "ENVI Standard",
        "data type": 4,
        "interleave": interleave,
        "byte order": 0,
        "wavelength units": "Nanometers",
        "wavelength": [repr(float(nm)) for nm in wavelengths_nm],
    }
    envi.write_envi_header(str(path), metadata)


ENVI = CubeFormat(
    name="envi",
    title="ENVI file",
    suffix=".hdr",
    suffixes=(".hdr", *_DATA_SUFFIXES),
    preserves="values bit for bit, wavelengths, and attributes as JSON in the description",
    peek=_peek,
    write=_write,
    recognises=None,
    files=_files,
)
FORMATS = (ENVI,)
