"""Low-rank cubes in datasets: ``coefficients``, ``basis`` and ``mean_spectrum`` by name.

In plain xarray the cube is ``xr.dot(ds.coefficients, ds.basis) + ds.mean_spectrum``, then clipped
to the attributes ``clip_low`` and ``clip_high`` of the coefficients where they exist.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from respectra.cubes.formats.base import Stored, decode_attrs, encode_attrs
from respectra.cubes.lowrank import LowRankCube
from respectra.errors import FormatError

COEFFICIENTS, BASIS, MEAN = "coefficients", "basis", "mean_spectrum"
_DIMS = {
    COEFFICIENTS: ("y", "x", "component"),
    BASIS: ("component", "wavelength"),
    MEAN: ("wavelength",),
}
_CLIPS = ("clip_low", "clip_high")
#: A basis is read before its cube is known to be plausible.
_LARGEST_BASIS = 10_000_000


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


def peek_low_rank(
    dataset: xr.Dataset,
    path: Path,
    opener: Callable[[Path], AbstractContextManager[xr.Dataset]],
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
