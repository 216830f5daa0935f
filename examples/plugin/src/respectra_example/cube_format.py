"""Cubes as one line of JSON and the values: ``.plaincube``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes import wavelengths_of
from respectra.cubes.formats import CubeFormat, Stored
from respectra.cubes.formats.base import decode_attrs, encode_attrs
from respectra.errors import FormatError

_MAGIC = b"plaincube 1\n"
_LONGEST_HEADER = 2**20


def _write(cube: xr.DataArray, path: Path) -> None:
    header = {
        "shape": list(cube.shape),
        "wavelengths_nm": wavelengths_of(cube).tolist(),
        "attrs": encode_attrs(cube.attrs),
    }
    with path.open("wb") as file:
        file.write(_MAGIC + json.dumps(header).encode() + b"\n")
        file.write(np.ascontiguousarray(cube.values, "<f4").data)


def _peek(path: Path, key: str | None, axes: object) -> Stored:
    """What the file says; its values are read later, as a whole or in part."""
    with path.open("rb") as file:
        if file.readline(len(_MAGIC)) != _MAGIC:
            raise FormatError(f"{path} is no plain cube")
        header = json.loads(file.readline(_LONGEST_HEADER))
        start = file.tell()
    shape = tuple(int(n) for n in header["shape"])
    size = path.stat().st_size - start
    if len(shape) != 3 or min(shape) < 1 or size != 4 * int(np.prod(shape)):
        raise FormatError(f"{path} is damaged: {size} bytes are no cube of shape {shape}")

    def window(*spans: slice) -> npt.NDArray[Any]:
        return np.array(np.memmap(path, "<f4", "r", start, shape)[spans])

    return Stored(
        shape=shape,
        dtype=np.dtype("<f4"),
        stored_bytes=size,
        load=lambda: window(slice(None), slice(None), slice(None)),
        window=window,
        wavelengths_nm=header["wavelengths_nm"],
        attrs=decode_attrs(header["attrs"]),
    )


PLAIN_CUBE = CubeFormat(
    name="plain-cube",
    title="plain cube",
    suffix=".plaincube",
    suffixes=(".plaincube",),
    preserves="values bit for bit, wavelengths and attributes",
    peek=_peek,
    write=_write,
    recognises=lambda head: head.startswith(_MAGIC),
)
