"""MATLAB files, version 7.3: HDF5 behind 512 bytes of MATLAB's own. Version 5: see matlab_v5.

MATLAB keeps arrays by columns, HDF5 by rows, so a cube of MATLAB's shape (y, x, band) is an HDF5
dataset of shape (band, x, y). The challenge's cubes are ``cube`` (2020, 2022) or ``rad`` (2018)
with ``bands`` in nm. ``norm_factor`` (2022) says by how much a cube was divided; it is kept as an
attribute, because the challenge's scores are those of the divided cubes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes.formats._hdf5 import HDF5_SIGNATURE, check_heaps
from respectra.cubes.formats._hdf5_output import hdf5_output
from respectra.cubes.formats.base import (
    DEFLATE_RATIO,
    WAVELENGTH_NAMES,
    CubeFormat,
    Stored,
    choose_variable,
    contiguous,
    decode_attrs,
    encode_attrs,
    plausible_wavelengths,
    read_head,
)
from respectra.cubes.formats.matlab_v5 import SIGNATURE_V5, peek_v5
from respectra.cubes.model import wavelengths_of
from respectra.errors import FormatError

if TYPE_CHECKING:
    import h5py

_USER_BLOCK = 512
_SMALL = 2**20  # an auxiliary variable has no business being larger


def _recognises(head: bytes) -> bool:
    return head.startswith((SIGNATURE_V5, HDF5_SIGNATURE)) or head[_USER_BLOCK:].startswith(
        HDF5_SIGNATURE
    )


def _peek(path: Path, key: str | None) -> Stored:
    v5 = read_head(path).startswith(SIGNATURE_V5)
    return peek_v5(path, key) if v5 else _peek_hdf5(path, key)


def _peek_hdf5(path: Path, key: str | None) -> Stored:
    import h5py

    check_heaps(path)
    with h5py.File(path, "r") as file:
        # Links to elsewhere are not followed: a cube's file stands alone.
        own = (name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink))
        datasets = {name: file[name] for name in own if isinstance(file[name], h5py.Dataset)}
        shapes = {
            name: data.shape[::-1] for name, data in datasets.items() if data.shape is not None
        }
        name = choose_variable(shapes, key, path)
        cube = datasets[name]
        if cube.external or cube.is_virtual:
            raise FormatError(f"{path} keeps its values in other files; make it self-contained")
        small = {n: d for n, d in datasets.items() if n != name and 0 < d.size <= _SMALL}
        reverse = _by_columns(cube, small)
        shape = cube.shape[::-1] if reverse else cube.shape
        bands = shape[-1] if shape else 0
        wavelengths = next(
            (
                grid
                for n in WAVELENGTH_NAMES
                if n in small
                and small[n].dtype.kind in "fiu"
                and (grid := plausible_wavelengths(small[n][()], bands)) is not None
            ),
            None,
        )
        attrs = {}
        if "attributes" in small and small["attributes"].dtype.kind == "u":
            attrs = decode_attrs("".join(map(chr, small["attributes"][()].ravel())))
        elif "norm_factor" in small and small["norm_factor"].size == 1:
            attrs = {"norm_factor": float(small["norm_factor"][()].ravel()[0])}
        compressed = cube.chunks is not None
        return Stored(
            shape=shape,
            dtype=cube.dtype,
            stored_bytes=cube.id.get_storage_size(),
            load=lambda: _load_hdf5(path, name, reverse),
            wavelengths_nm=wavelengths,
            attrs=attrs,
            ratio=DEFLATE_RATIO if compressed else 1.0,
            details={"variable": name, "version": "7.3", "compressed": compressed},
        )


def _by_columns(cube: h5py.Dataset, others: dict[str, h5py.Dataset]) -> bool:
    """Whether the axes are MATLAB's reversed ones: always, unless another writer shows otherwise.

    A dataset without MATLAB's mark is by rows when only its last axis fits the wavelengths.
    """
    if "MATLAB_class" in cube.attrs or cube.ndim != 3:
        return True
    sizes = {others[name].size for name in WAVELENGTH_NAMES if name in others}
    return not (cube.shape[-1] in sizes and cube.shape[0] not in sizes)


def _load_hdf5(path: Path, name: str, reverse: bool) -> npt.NDArray[Any]:
    import h5py

    with h5py.File(path, "r") as file:
        values: npt.NDArray[Any] = file[name][()]
    return contiguous(values.transpose() if reverse else values)


def _write_v73(cube: xr.DataArray, path: Path) -> None:
    import h5py

    values = cube.values
    with hdf5_output(path) as output, h5py.File(output, "w", userblock_size=_USER_BLOCK) as file:
        data = file.create_dataset("cube", shape=values.shape[::-1], dtype="<f4")
        for band in range(values.shape[2]):
            data[band] = values[:, :, band].transpose()
        _mark(data, "single")
        grid = file.create_dataset("bands", data=wavelengths_of(cube).reshape(-1, 1))
        _mark(grid, "double")
        text = np.frombuffer(encode_attrs(cube.attrs).encode("ascii"), np.uint8)
        attributes = file.create_dataset("attributes", data=text.astype("<u2").reshape(-1, 1))
        _mark(attributes, "char")
        attributes.attrs.create("MATLAB_int_decode", np.int32(2))
        if "norm_factor" in cube.attrs:
            factor = np.full((1, 1), cube.attrs["norm_factor"], np.float64)
            _mark(file.create_dataset("norm_factor", data=factor), "double")
    description = (
        b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Written by: Respectra, HDF5 schema 1.00 ."
    )
    with path.open("r+b") as raw:
        # 116 bytes of text, 8 of subsystem offset, the version 2.0 and the byte order.
        raw.write(description.ljust(116) + bytes(8) + b"\x00\x02IM")


def _mark(data: h5py.Dataset, matlab_class: str) -> None:
    data.attrs.create("MATLAB_class", np.bytes_(matlab_class))


MATLAB = CubeFormat(
    name="matlab",
    title="MATLAB file",
    suffix=".mat",
    suffixes=(".mat",),
    preserves="values bit for bit, wavelengths, attributes as JSON in the variable `attributes`",
    peek=_peek,
    write=_write_v73,
    recognises=_recognises,
)
FORMATS = (MATLAB,)
