"""MATLAB files: version 7.3 is HDF5 behind 512 bytes of MATLAB's own; 5 is what ``savemat`` writes.

MATLAB keeps arrays by columns, HDF5 by rows, so a cube of MATLAB's shape (y, x, band) is an HDF5
dataset of shape (band, x, y). The challenge's cubes are ``cube`` (2020, 2022) or ``rad`` (2018)
with ``bands`` in nm. ``norm_factor`` (2022) says by how much a cube was divided; it is kept as an
attribute, because the challenge's scores are those of the divided cubes. Fields of structures and
cells are named with slashes: ``key="scene/cube"``, ``key="scenes/2"``.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes.formats._axes import Axes, choose_variable, order_by_size
from respectra.cubes.formats._grids import WAVELENGTH_NAMES, grid_beside
from respectra.cubes.formats._hdf5_output import hdf5_output
from respectra.cubes.formats.base import (
    DEFLATE_RATIO,
    CubeFormat,
    Stored,
    contiguous,
    decode_attrs,
    encode_attrs,
)
from respectra.cubes.model import wavelengths_of
from respectra.errors import FormatError, OutputError, RespectraWarning
from respectra.guards.hdf5 import SIGNATURE, is_hdf5
from respectra.guards.mat4 import looks_like_mat4
from respectra.guards.mat5 import MatlabArray
from respectra.guards.matlab import SIGNATURE_V5, open_matlab
from respectra.wavelengths import UNIT_NAMES

_USER_BLOCK = 512
_SMALL = 2**20  # an auxiliary variable has no business being larger


def _recognises(head: bytes) -> bool:
    modern = head.startswith((SIGNATURE_V5, SIGNATURE)) or head[_USER_BLOCK:].startswith(SIGNATURE)
    return modern or looks_like_mat4(head)


def is_matlab_hdf5(path: Path) -> bool:
    """Whether MATLAB, or a program that says it does as MATLAB does, wrote an HDF5 file."""
    if not is_hdf5(path):
        return False
    with path.open("rb") as file:
        if file.read(6) == b"MATLAB":
            return True
    return any(array.by_columns for array in open_matlab(path)[1].values())


def peek_matlab(path: Path, key: str | None, axes: Axes | None) -> Stored:
    """What a MATLAB file of any version says of its cube; see ``CubeFormat.peek``."""
    version, arrays = open_matlab(path)
    wanted = key.replace(".", "/").strip("/") if key is not None and key not in arrays else key
    name = choose_variable(
        {n: a.shape for n, a in arrays.items() if a.kind != "text"}, wanted, path
    )
    cube = arrays[name]
    if cube.kind == "outside":
        cube.read()  # which says why that is refused
    if cube.kind not in ("numbers", "outside"):
        raise FormatError(
            f"the variable {name!r} of {path} is not an array of numbers: {cube.kind}"
        )
    if len(cube.shape) != 3:
        raise FormatError(
            f"{path} holds {name!r} of {len(cube.shape)} dimensions {cube.shape}; a cube has "
            "three: y, x, wavelength"
        )
    beside = _beside(arrays, name)
    lists = {name: a.read() for name, a in beside.items() if name in WAVELENGTH_NAMES}
    units = {name: unit for name in lists if (unit := beside[name].unit) is not None}
    texts = {n: beside[n].text() for n in UNIT_NAMES if n in beside and beside[n].kind == "text"}
    order = _order(cube, beside, [values.size for values in lists.values()], axes, path)
    shape = tuple(cube.shape[axis] for axis in order)

    def window(*spans: slice) -> npt.NDArray[np.float32]:
        selection = tuple(spans[order.index(axis)] for axis in range(3))
        return contiguous(cube.read(selection).transpose(order))

    return Stored(
        shape=shape,
        dtype=cube.dtype,
        stored_bytes=min(cube.stored_bytes, path.stat().st_size),
        load=lambda: contiguous(cube.read().transpose(order)),
        window=window if version == "7.3" else None,
        chunks=tuple(cube.chunks[axis] for axis in order) if cube.chunks else None,
        **grid_beside(lists, texts, shape[2], path, units),
        attrs=_attributes(beside),
        ratio=DEFLATE_RATIO * cube.inflation if cube.compressed else cube.inflation,
        details={"variable": name, "version": version, "compressed": cube.compressed},
    )


def _order(
    cube: MatlabArray,
    beside: Mapping[str, MatlabArray],
    sizes: list[int],
    axes: Axes | None,
    path: Path,
) -> tuple[int, ...]:
    """The axes y, x, band of a cube as it is stored.

    An HDF5 array without MATLAB's mark was written by another program, which may have kept its
    own order or MATLAB's. The challenge's files are known to be in MATLAB's.
    """
    if axes is not None or cube.by_columns:
        return order_by_size(cube.shape, sizes, axes)
    fits = [axis for axis in range(3) if cube.shape[axis] in sizes]
    if fits == [0] and cube.name in ("cube", "rad") and "bands" in beside:
        return (2, 1, 0)  # called as the challenge's
    if fits not in ([0], [2]):
        raise FormatError(
            f"{path} does not say what the axes {cube.shape} of {cube.name!r} are, for it was not "
            "written by MATLAB and its wavelengths do not tell; say it with --axes (axes=...): "
            "band,x,y in MATLAB's order, y,x,band in NumPy's"
        )
    text, order = ("band,x,y", (2, 1, 0)) if fits == [0] else ("y,x,band", (0, 1, 2))
    warnings.warn(
        f"{path} does not say what the axes {cube.shape} of {cube.name!r} are, for it was not "
        f"written by MATLAB; read as {text}, by the number of wavelengths: if rows and columns are "
        "exchanged, say it with --axes (axes=...)",
        RespectraWarning,
        stacklevel=2,
    )
    return order


def _beside(arrays: Mapping[str, MatlabArray], name: str) -> dict[str, MatlabArray]:
    """Small variables by bare name: those of the cube's own structure before the file's."""
    group = name.rpartition("/")[0]
    found: dict[str, MatlabArray] = {}
    for place in dict.fromkeys((group, "")):
        for full, array in arrays.items():
            head, _, bare = full.rpartition("/")
            bare = bare.lower()
            known = bare in WAVELENGTH_NAMES and array.kind in ("numbers", "outside")
            known = known or bare in ("attributes", "norm_factor", *UNIT_NAMES)
            if full != name and head == place and known and 0 < array.size <= _SMALL:
                found.setdefault(bare, array)
    ranks = {bare: rank for rank, bare in enumerate(WAVELENGTH_NAMES)}
    return dict(sorted(found.items(), key=lambda item: ranks.get(item[0], len(ranks))))


def _attributes(beside: Mapping[str, MatlabArray]) -> dict[str, Any]:
    if "attributes" in beside and beside["attributes"].kind in ("text", "numbers"):
        return decode_attrs(beside["attributes"].text())
    factor = beside.get("norm_factor")
    if factor is not None and factor.kind == "numbers" and factor.size == 1:
        value = factor.read().ravel()[0]
        if value.dtype.kind in "fiu":
            return {"norm_factor": float(value)}
    return {}


def _write_v73(cube: xr.DataArray, path: Path) -> None:
    import h5py

    values = cube.values
    with hdf5_output(path) as output, h5py.File(output, "w", userblock_size=_USER_BLOCK) as file:
        data = file.create_dataset("cube", shape=values.shape[::-1], dtype="<f4")
        for band in range(values.shape[2]):
            data[band] = values[:, :, band].transpose()
        file["bands"] = wavelengths_of(cube).reshape(-1, 1)
        text = np.frombuffer(encode_attrs(cube.attrs).encode("ascii"), np.uint8)
        file["attributes"] = text.astype("<u2").reshape(-1, 1)
        file["attributes"].attrs.create("MATLAB_int_decode", np.int32(2))
        if "norm_factor" in cube.attrs:
            file["norm_factor"] = np.full((1, 1), cube.attrs["norm_factor"], np.float64)
        for name, array in file.items():
            matlab_class = {"cube": "single", "attributes": "char"}.get(name, "double")
            array.attrs.create("MATLAB_class", np.bytes_(matlab_class))
    description = (
        b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Written by: Respectra, HDF5 schema 1.00 ."
    )
    with path.open("r+b") as raw:
        # 116 bytes of text, 8 of subsystem offset, the version 2.0 and the byte order.
        raw.write(description.ljust(116) + bytes(8) + b"\x00\x02IM")


def _write_v5(cube: xr.DataArray, path: Path) -> None:
    from scipy.io import savemat

    if cube.nbytes >= 2**31:
        raise OutputError("a MATLAB 5 file holds at most 2 GiB; write version 7.3 (matlab)")
    variables: dict[str, Any] = {
        "cube": cube.values,
        "bands": wavelengths_of(cube),
        "attributes": encode_attrs(cube.attrs),
    }
    if "norm_factor" in cube.attrs:
        variables["norm_factor"] = float(cube.attrs["norm_factor"])
    savemat(path, variables, appendmat=False)


MATLAB = CubeFormat(
    name="matlab",
    title="MATLAB file",
    suffix=".mat",
    suffixes=(".mat",),
    preserves="values bit for bit, wavelengths, attributes as JSON in the variable `attributes`",
    peek=peek_matlab,
    write=_write_v73,
    recognises=_recognises,
)
MATLAB_V5 = dataclasses.replace(
    MATLAB,
    name="matlab-v5",
    title="MATLAB 5 file",
    suffixes=(),  # they name MATLAB, which reads both
    write=_write_v5,
    recognises=lambda head: head.startswith(SIGNATURE_V5),
)
FORMATS = (MATLAB, MATLAB_V5)
