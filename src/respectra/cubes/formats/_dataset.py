"""What NetCDF, HDF5 and Zarr share: xarray datasets with one cube among their variables.

A low-rank cube is ``coefficients``, ``basis`` and ``mean_spectrum`` by name: in plain xarray
``xr.dot(ds.coefficients, ds.basis) + ds.mean_spectrum``, then clipped to the attributes
``clip_low`` and ``clip_high`` of the coefficients where they exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.arrays import labelled_array
from respectra.cubes.formats._axes import (
    UNNAMED,
    Axes,
    band_by_size,
    choose_variable,
    order_by_roles,
    role_by_attributes,
    role_by_name,
)
from respectra.cubes.formats._cf import PROBLEM
from respectra.cubes.formats._grids import WAVELENGTH_NAMES, plausible_wavelengths, stated_grid
from respectra.cubes.formats.base import (
    MOST_BANDS,
    Stored,
    contiguous,
    decode_attrs,
    encode_attrs,
)
from respectra.cubes.lowrank import LowRankCube
from respectra.cubes.model import DIMS
from respectra.errors import FormatError
from respectra.wavelengths import is_unit

#: Standard names that CF gives to wavelengths.
_STANDARD_NAMES = ("radiation_wavelength", "sensor_band_central_radiation_wavelength")
#: Units that lengths on the ground have as well.
_GROUND_UNITS = ("m", "meter", "metre", "meters", "metres", "cm", "mm")
#: Opens a dataset without reading anything of it, its coordinates included.
Opener = Callable[[Path], AbstractContextManager[xr.Dataset]]

COEFFICIENTS, BASIS, MEAN = "coefficients", "basis", "mean_spectrum"
_DIMS = {
    COEFFICIENTS: ("y", "x", "component"),
    BASIS: ("component", "wavelength"),
    MEAN: ("wavelength",),
}
_CLIPS = ("clip_low", "clip_high")
#: A basis is read before its cube is known to be plausible.
_LARGEST_BASIS = 10_000_000


def to_dataset(cube: xr.DataArray | LowRankCube) -> xr.Dataset:
    """A dataset that any xarray reads; attributes that its files cannot hold go along as JSON."""
    if isinstance(cube, LowRankCube):
        return low_rank_dataset(cube)
    bare = labelled_array(
        cube.values,
        DIMS,
        wavelengths_nm=cube["wavelength"].values,
        attrs={
            name: cube.attrs[name]
            for name in ("quantity", "units", "source")
            if isinstance(cube.attrs.get(name), str) and "\0" not in cube.attrs[name]
        },
    )
    bare.attrs["attributes"] = encode_attrs(cube.attrs)
    return bare.to_dataset(name="cube")


def low_rank_dataset(cube: LowRankCube) -> xr.Dataset:
    """A dataset that any xarray reads."""
    arrays = {COEFFICIENTS: cube.coefficients, BASIS: cube.basis, MEAN: cube.mean}
    dataset = xr.Dataset(
        {name: (_DIMS[name], array) for name, array in arrays.items()},
        coords={"wavelength": ("wavelength", cube.wavelengths_nm, {"units": "nm"})},
    )
    attrs = dataset[COEFFICIENTS].attrs
    attrs |= clip_attrs(cube.clip)
    attrs["attributes"] = encode_attrs(cube.attrs)
    return dataset


def clip_attrs(clip: tuple[float | None, float | None]) -> dict[str, str | float]:
    """Attributes of coefficients: what they are, and how their sum is clipped."""
    bounds = {name: float(v) for name, v in zip(_CLIPS, clip, strict=True) if v is not None}
    return {"low_rank": "cube = coefficients . basis + mean_spectrum, then clipped", **bounds}


def peek_dataset(
    path: Path,
    key: str | None,
    axes: Axes | None,
    opener: Opener,
    stored_bytes: int,
    ratio: float,
) -> Stored:
    """What a dataset says of its cube; see ``CubeFormat.peek`` and ``Stored``."""
    with opener(path) as dataset:
        low_rank = _peek_low_rank(dataset, path, opener, stored_bytes, ratio)
        if low_rank is not None and key is None:
            return low_rank
        key = key.strip("/") if key is not None else None
        names = [str(n) for n in dataset.variables if key is not None or n not in dataset.coords]
        name = choose_variable({n: _of_one_cube(dataset, n).shape for n in names}, key, path)
        variable = _of_one_cube(dataset, name)
        if variable.ndim != 3:
            sizes = ", ".join(f"{dim} {n}" for dim, n in variable.sizes.items())
            raise FormatError(
                f"{path} holds {name!r} of {variable.ndim} dimensions ({sizes}); a cube has three: "
                "y, x, wavelength. Of a series, save one: dataset.isel(time=0).to_netcdf(...)"
            )
        order, coordinate = _axes(dataset, variable, axes)
        for part in (variable, *([] if coordinate is None else [dataset[coordinate]])):
            if problem := part.attrs.get(PROBLEM):
                raise FormatError(f"{path}: {part.name!r} {problem}; mend the file")
        bands = variable.sizes[order[-1]]
        attrs = dict(variable.attrs)
        if "attributes" in attrs:
            attrs = decode_attrs(attrs["attributes"])
        grid = stated_grid(None, None, bands, path)
        if coordinate is not None:
            axis = dataset[coordinate]
            grid = stated_grid(axis.values, axis.attrs.get("units"), bands, path)
        return Stored(
            shape=tuple(variable.sizes[dim] for dim in order),
            dtype=variable.dtype,
            stored_bytes=stored_bytes,
            load=lambda: _load(path, name, order, opener),
            window=lambda *spans: _load(path, name, order, opener, spans),
            chunks=_chunks(dataset[name], order),
            **grid,
            attrs={str(k): _plain(v) for k, v in attrs.items()},
            ratio=ratio,
            details={"variable": name, "dimensions": [str(dim) for dim in dataset[name].dims]},
        )


def _of_one_cube(dataset: xr.Dataset, name: str) -> xr.DataArray:
    """A variable without dimensions of length 1 that are none of a cube's, such as one time."""
    variable = dataset[name]
    for dim in variable.dims if variable.ndim > 3 else ():
        attrs = dataset.variables[dim].attrs if dim in dataset.variables else {}
        ours = role_by_name(str(dim)) or role_by_attributes(attrs)
        if variable.ndim > 3 and variable.sizes[dim] == 1 and not ours:
            variable = variable.isel({dim: 0}, drop=True)
    return variable


def _axes(
    dataset: xr.Dataset, variable: xr.DataArray, axes: Axes | None
) -> tuple[tuple[str, ...], str | None]:
    """Dimensions in the order y, x, band, and the variable that holds the wavelengths.

    The file's word goes first: wavelengths that lie along one dimension, names of dimensions,
    standard names of their coordinates. A file that names nothing has its bands on the axis that
    is as long as its list of wavelengths; without such a list, on the last one.
    """
    dims = [str(dim) for dim in variable.dims]
    ranked = sorted(_wavelengths(dataset, variable), key=lambda found: -found[0])
    along: dict[str, str] = {}
    for _, n in ranked:
        if _is_named(dataset[n]):
            along.setdefault(str(dataset[n].dims[0]), n)
    roles: list[str | None] = [role_by_name(dim) for dim in dims]
    for axis, dim in enumerate(dims):
        if dim in dataset.variables and roles[axis] is None:
            roles[axis] = role_by_attributes(dataset[dim].attrs)
    lying = next((dim for dim in along if dim in dims), None)
    if axes is not None:
        roles = list(axes)
    elif lying is not None:
        roles = [None if role == "band" else role for role in roles]
        roles[dims.index(lying)] = "band"
    elif "band" not in roles and roles.count(None) != 1:
        sizes = [dataset[n].size for _, n in ranked]
        axis = band_by_size(variable.shape, sizes)
        if sizes and variable.shape.count(sizes[0]) > 1:
            raise FormatError(
                f"the file does not say what the axes {variable.shape} of {variable.name!r} are, "
                f"and {variable.shape.count(sizes[0])} of them are as long as its wavelengths; "
                "say it with --axes (axes=...), such as y,x,band"
            )
        roles = [None if role == "band" else role for role in roles]
        roles[axis] = "band"
    order = tuple(dims[axis] for axis in order_by_roles(roles))
    band = order[-1]
    bands = variable.sizes[band]
    loose = (
        n
        for _, n in ranked
        if dataset[n].size == bands and not (_is_named(dataset[n]) and dataset[n].dims[0] in dims)
    )
    return order, along.get(band) or next(loose, None)


def _is_named(axis: xr.DataArray) -> bool:
    """Whether a file names the dimension of a list; equal lengths alone share a made-up name."""
    return not str(axis.dims[0]).startswith(UNNAMED)


def _wavelengths(dataset: xr.Dataset, variable: xr.DataArray) -> Iterator[tuple[int, str]]:
    """Variables that can be the wavelengths of a cube, and how surely they are."""
    group = str(variable.name).rpartition("/")[0]
    for name in map(str, dataset.variables):
        axis = dataset.variables[name]
        if axis.ndim != 1 or not 0 < axis.size <= MOST_BANDS or axis.dtype.kind not in "fiu":
            continue
        if axis.size not in variable.shape:
            continue
        bare = name.rsplit("/", 1)[-1].lower()
        unit = axis.attrs.get("units")
        unit = unit if isinstance(unit, str) else None
        in_nm = is_unit(unit) and str(unit).strip().lower() not in _GROUND_UNITS
        sure = 0
        if axis.attrs.get("standard_name") in _STANDARD_NAMES:
            sure = 8
        elif "wavelength" in bare or bare in WAVELENGTH_NAMES:
            sure = 4 if "wavelength" in bare else 2
        elif role_by_name(bare) not in ("y", "x") and in_nm and "width" not in bare:
            sure = 1
        if "fwhm" in bare or "uncertainty" in bare:
            sure = 0
        if not sure or plausible_wavelengths(axis.values, axis.size) is None:
            continue
        near = name.rpartition("/")[0] == group
        yield 16 * (str(axis.dims[0]) in variable.dims) + 2 * sure + near, name


def _chunks(variable: xr.DataArray, order: tuple[str, ...]) -> tuple[int, int, int] | None:
    """What the file keeps together of y, x and band."""
    encoding = variable.encoding
    sizes = encoding.get("chunks") or encoding.get("chunksizes")
    if not isinstance(sizes, list | tuple) or len(sizes) != variable.ndim:
        return None
    by_dim = dict(zip(map(str, variable.dims), (int(n) for n in sizes), strict=True))
    return tuple(by_dim[dim] for dim in order)  # type: ignore[return-value]


def _load(
    path: Path,
    name: str,
    order: tuple[str, ...],
    opener: Opener,
    spans: tuple[slice, ...] | None = None,
) -> npt.NDArray[Any]:
    with opener(path) as dataset:
        variable = _of_one_cube(dataset, name)
        if spans is not None:
            variable = variable.isel(dict(zip(order, spans, strict=True)))
        return contiguous(variable.transpose(*order).values)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _peek_low_rank(
    dataset: xr.Dataset,
    path: Path,
    opener: Opener,
    stored_bytes: int,
    ratio: float,
) -> Stored | None:
    """What a dataset says of its low-rank cube; None when it holds none."""
    variables = dataset.variables
    if not {*_DIMS, "wavelength"} <= set(variables):
        return None
    if any(variables[name].dims != dims for name, dims in _DIMS.items()):
        return None
    factors = dataset[COEFFICIENTS]
    if "low_rank" not in factors.attrs:
        return None
    rank, bands = dataset[BASIS].shape
    if factors.dtype not in (np.float32, np.float16) or not 0 < rank * bands <= _LARGEST_BASIS:
        raise FormatError(
            f"{path} holds coefficients of type {factors.dtype} on a basis of shape "
            f"{(rank, bands)}; that is no low-rank cube"
        )
    attrs = decode_attrs(factors.attrs.get("attributes"))

    def read(*window: slice) -> LowRankCube:
        """All of it, or some rows and columns."""
        with opener(path) as opened:
            return LowRankCube(
                opened[COEFFICIENTS][window].values,
                opened[BASIS].values,
                opened["wavelength"].values,
                mean=opened[MEAN].values,
                clip=(_clip(opened, _CLIPS[0]), _clip(opened, _CLIPS[1])),
                attrs=attrs,
            )

    return Stored(
        shape=(*factors.shape[:2], bands),
        dtype=np.dtype(np.float32),
        stored_bytes=stored_bytes,
        load=lambda: np.asarray(read()),
        window=lambda *spans: read(*spans[:2]).lazy()[:, :, spans[2]].values,
        wavelengths_nm=dataset["wavelength"].values,
        attrs=attrs,
        # A basis makes more of what is stored, beyond what compression does.
        ratio=ratio * max(1.0, 4 * bands / (rank * factors.dtype.itemsize)),
        details={"low_rank": rank, "coefficients_type": str(factors.dtype)},
        factors=read,
    )


def _clip(dataset: xr.Dataset, name: str) -> float | None:
    value: Any = dataset[COEFFICIENTS].attrs.get(name)
    return None if value is None else float(value)
