"""A scene as the bytes of a store."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras import Track
from respectra.cubes import fit_bands
from respectra.cubes.parts import cube_hash
from respectra.datasets.collections import Scene
from respectra.datasets.store import ImageEntry, SceneEntry
from respectra.datasets.store_plan import Plan, PreparedScene, offsets_of, tracks_of
from respectra.datasets.validity import valid_pixels
from respectra.errors import DataError, naming
from respectra.identity import content_hash

_LARGEST_HALF = float(np.finfo(np.float16).max)


def make_scene(
    job: PreparedScene, plan: Plan, tracks: Sequence[Track] | None = None
) -> tuple[list[list[str]], npt.NDArray[np.uint8], SceneEntry]:
    """What a scene was made from, its bytes, and their description."""
    sources = sources_of(job.scene)
    with naming(job.scene.name):
        return sources, *make_block(job, plan, tracks or tracks_of(plan.options))


def sources_of(scene: Scene) -> list[list[str]]:
    """Name and content of the files of a scene."""
    images = [[path.name, content_hash(path)] for path in scene.images.values()]
    return [[scene.cube.name, cube_hash(scene.cube)], *images]


def make_block(
    job: PreparedScene, plan: Plan, tracks: Sequence[Track]
) -> tuple[npt.NDArray[np.uint8], SceneEntry]:
    """The bytes of one scene, and their description."""
    scene, o = job.scene, plan.options
    cube = fit_bands(scene.open_cube(), plan.wavelengths_nm)
    if cube.shape != job.shape:
        raise DataError(f"{scene.cube} has shape {cube.shape}, and had {job.shape} when planned")
    highest = float(np.nanmax(np.abs(cube.values), initial=0.0, where=np.isfinite(cube.values)))
    if o.dtype == "float16" and highest > _LARGEST_HALF:
        raise DataError(
            f"{scene.name} reaches {highest:g}, beyond float16 ({_LARGEST_HALF:g}); "
            "use --dtype float32, or scale the cubes to [0, 1]"
        )
    valid = valid_pixels(cube)
    # The mask says that they were not measured; a NaN would spread through any sum.
    values = np.where(np.isfinite(cube.values), cube.values, np.float32(0.0))
    *starts, stop = offsets_of(job.start, job.shape, o)
    block = np.zeros(stop - job.start, np.uint8)
    _put(block, starts[0] - job.start, values.astype(np.dtype(o.dtype).newbyteorder("<")))
    _put(block, starts[1] - job.start, valid)
    images = {}
    for offset, track in zip(starts[2:], tracks, strict=True):
        codes, full_scale = _codes(scene, track, cube)
        if codes.shape[:2] != job.shape[:2]:
            raise DataError(
                f"the {track.name} image of {scene.name} has {codes.shape[:2]} pixels and its "
                f"cube {job.shape[:2]}; see `respectra data check`"
            )
        _put(block, offset - job.start, codes)
        file = scene.images.get(track.name)
        images[track.name] = ImageEntry(
            offset=offset,
            dtype="uint8" if codes.dtype.itemsize == 1 else "uint16",
            full_scale=full_scale,
            origin="rendered" if file is None else file.name,
        )
    entry = SceneEntry(
        name=scene.name,
        group=scene.group,
        source=scene.cube.name,
        source_sha256=cube_hash(scene.cube),
        quantity=cube.attrs["quantity"],
        shape=job.shape[:2],
        cube=starts[0],
        images=images,
        valid=starts[1],
        valid_share=float(valid.mean()),
        start=job.start,
        stop=job.stop,
        sha256=hashlib.sha256(block.data).hexdigest(),
    )
    return block, entry


def _codes(scene: Scene, track: Track, cube: xr.DataArray) -> tuple[npt.NDArray[Any], float]:
    """An image's codes as 8 or 16 bits, and the code that is 1."""
    image = scene.image(track, cube)
    bits = int(image.attrs.get("bits", 8))
    depth, kind = (8, np.uint8) if bits <= 8 else (16, np.uint16)
    full = 2**depth - 1 if bits > 16 else 2**bits - 1
    return np.rint(image.values * np.float32(full)).astype(np.dtype(kind).newbyteorder("<")), full


def _put(block: npt.NDArray[np.uint8], offset: int, values: npt.NDArray[Any]) -> None:
    data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    block[offset : offset + data.size] = data
