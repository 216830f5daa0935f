"""A folder of one grey PNG a band: the layout of the CAVE data set (Yasuma et al. 2010).

``balloons_ms/balloons_ms_01.png`` to ``_31.png`` are 400 to 700 nm in steps of 10; CAVE's
archives nest that folder in another one of the same name. A code divided by the largest one of
its depth is the value, so a saved cube is rounded to multiples of 1/65535.
"""

from __future__ import annotations

import functools
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes.formats._axes import Axes
from respectra.cubes.formats._grids import Grid, stated_grid
from respectra.cubes.formats.base import (
    DEFLATE_RATIO,
    CubeFormat,
    Stored,
    contiguous,
    decode_attrs,
    encode_facts,
)
from respectra.cubes.model import CHALLENGE_WAVELENGTHS_NM
from respectra.errors import ConfigError, DataError, FormatError

_BAND = re.compile(r"(?P<stem>.*?)(?P<number>\d+)(?P<unit>[ _-]?nm)?\.png", re.IGNORECASE)
#: Names that count from here on are wavelengths, nm.
_FIRST_NM = 200
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SIDECAR = "cube.json"
_CODES = 65535


def _peek(path: Path, key: str | None, axes: Axes | None) -> Stored:
    if axes is not None:
        raise ConfigError("a folder of PNGs has one file a band; leave --axes out")
    if not path.is_dir():
        raise FormatError(f"{path} is not a folder; a folder of PNGs is one PNG a band")
    bands = _bands(path)
    files = list(bands.values())
    folder = files[0].parent
    headers = {_header(file) for file in files}
    if len(headers) != 1:
        raise FormatError(f"the PNGs of {folder} differ in size or depth: {sorted(headers)}")
    height, width, bits = headers.pop()
    sidecar = folder / _SIDECAR
    facts = decode_attrs(sidecar.read_text("utf-8")) if sidecar.is_file() else {}
    grid = _grid(facts.get("wavelengths_nm"), list(bands), folder)
    attrs = facts.get("attributes", {})
    if not isinstance(attrs, dict):
        raise FormatError(f"{sidecar}: attributes is an object of names and values")
    return Stored(
        shape=(height, width, len(files)),
        dtype=np.dtype(np.uint16 if bits == 16 else np.uint8),
        stored_bytes=sum(file.stat().st_size for file in files),
        load=functools.partial(_load, files, (height, width), bits),
        window=lambda rows, columns, bands: _load(files[bands], (height, width), bits)[
            rows, columns
        ],
        chunks=(height, width, 1),
        **grid,
        assumed=grid.get("wavelengths_nm") is CHALLENGE_WAVELENGTHS_NM,
        attrs=attrs,
        ratio=DEFLATE_RATIO,
        details={"bits": bits, "first": files[0].name, "last": files[-1].name},
    )


def _grid(stated: object, numbers: list[int], folder: Path) -> Grid:
    """Wavelengths as stated, else as the files are called, else those of CAVE's 31 bands."""
    if stated is not None or numbers[0] >= _FIRST_NM:
        values = numbers if stated is None else stated
        return stated_grid(values, "nm", len(numbers), folder)
    is_cave = len(numbers) == CHALLENGE_WAVELENGTHS_NM.size
    return {"wavelengths_nm": CHALLENGE_WAVELENGTHS_NM} if is_cave else {}


def _bands(path: Path) -> dict[int, Path]:
    """The files of the bands by number or by wavelength, which may lie in a folder below."""
    found = _numbered(path)
    if not found:
        nested = [_numbered(folder) for folder in path.iterdir() if folder.is_dir()]
        nested = [bands for bands in nested if bands]
        if len(nested) != 1:
            raise FormatError(
                f"{path} is a folder without a cube: neither zarr.json nor PNGs called "
                "NAME_01.png, NAME_02.png, ..."
            )
        found = nested[0]
    stems = {stem for _, stem, _ in found}
    if len(stems) > 1:
        raise FormatError(f"{path} holds PNGs of several cubes: {', '.join(sorted(stems))}")
    numbers = [number for number, _, _ in found]
    counted = numbers[0] in (0, 1) and numbers == [numbers[0] + k for k in range(len(numbers))]
    if numbers[0] < _FIRST_NM and not counted:
        raise FormatError(
            f"the bands of {path} are not numbered 1, 2, 3, ..., nor by wavelength in nm: {numbers}"
        )
    return {number: file for number, _, file in found}


def _numbered(folder: Path) -> list[tuple[int, str, Path]]:
    """Number, what comes before it, and file of each PNG that has one."""
    matches = ((_BAND.fullmatch(file.name), file) for file in folder.iterdir())
    return sorted((int(m["number"]), m["stem"], file) for m, file in matches if m)


def _header(file: Path) -> tuple[int, int, int]:
    """(height, width, bits) of a PNG; only its first 26 bytes are read."""
    with file.open("rb") as stream:
        head = stream.read(26)
    if len(head) < 26 or not head.startswith(_SIGNATURE) or head[12:16] != b"IHDR":
        raise FormatError(f"{file} is not a PNG")
    width, height, bits, colour = struct.unpack(">IIBB", head[16:26])
    if bits not in (8, 16) or colour not in (0, 2, 4, 6):
        raise FormatError(f"{file} has {bits} bits and colour type {colour}; a band has 8 or 16")
    return height, width, bits


def _load(files: list[Path], plane: tuple[int, int], bits: int) -> npt.NDArray[np.float32]:
    codes = np.stack([_decode(file, plane) for file in files])
    return contiguous(contiguous(codes.transpose(1, 2, 0)) / np.float32(2**bits - 1))


def _decode(file: Path, plane: tuple[int, int]) -> npt.NDArray[Any]:
    import cv2

    data = file.read_bytes()
    _verify(data, file)
    codes = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if codes is None or codes.shape[:2] != plane:
        raise FormatError(f"{file} is damaged")
    if codes.ndim == 3:  # some of CAVE's bands are grey pictures kept as RGBA
        if not (codes[..., 1:3] == codes[..., :1]).all():
            raise FormatError(f"{file} is a colour picture; a band is grey")
        codes = codes[..., 0]
    return np.asarray(codes)


def _verify(data: bytes, file: Path) -> None:
    """Check the chunks' checksums, so that the decoder never sees a damaged file."""
    position = len(_SIGNATURE)
    while position + 12 <= len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        body = data[position + 4 : position + 8 + length]
        checksum = data[position + 8 + length : position + 12 + length]
        if checksum != struct.pack(">I", zlib.crc32(body)):
            break
        if body[:4] == b"IEND":
            return
        position += 12 + length
    raise FormatError(f"{file} is truncated or damaged")


def _write(cube: xr.DataArray, path: Path) -> None:
    import cv2

    values = cube.values
    low, high = float(values.min()), float(values.max())
    if not (low >= 0.0 and high <= 1.0):  # also catches NaN
        raise DataError(
            f"a folder of PNGs keeps values in [0, 1]; got [{low:g}, {high:g}]: "
            "divide the cube, or choose another format"
        )
    path.mkdir()
    for number in range(values.shape[2]):
        codes = np.rint(values[:, :, number].astype(np.float64) * _CODES).astype(np.uint16)
        ok, data = cv2.imencode(".png", codes)
        if not ok:
            raise DataError(f"a band of {codes.shape} pixels cannot be a PNG")
        (path / f"band_{number + 1:02d}.png").write_bytes(data.tobytes())
    (path / _SIDECAR).write_text(encode_facts(cube, indent=2) + "\n", "utf-8")


PNG_FOLDER = CubeFormat(
    name="png",
    title="folder of PNGs",
    suffix="",
    suffixes=(),
    preserves="values in [0, 1] rounded to multiples of 1/65535, wavelengths and attributes",
    peek=_peek,
    write=_write,
    recognises=None,
    compresses=True,
)
FORMATS = (PNG_FOLDER,)
