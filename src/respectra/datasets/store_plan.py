"""What a store will hold, known before anything is written, and a scene as its bytes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from respectra.cameras import Track, get_track
from respectra.config import Config
from respectra.cubes import fit_bands
from respectra.cubes.parts import cube_hash
from respectra.datasets.collections import Collection, Scene
from respectra.datasets.scenes import valid_pixels
from respectra.datasets.store import ALIGNMENT, CubeType, ImageEntry, SceneEntry
from respectra.errors import ConfigError, DataError, naming
from respectra.identity import content_hash


class PrepareOptions(Config):
    """How a collection becomes a store.

    Example:
        >>> PrepareOptions(dtype="float16").tracks
        ('clean',)
    """

    tracks: tuple[str, ...] = ("clean",)
    """Images to keep: the files of the collection where there are, rendered otherwise."""
    seed: int = Field(default=0, ge=0)
    """Noise of the rendered images."""
    track_options: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """What to change in a track that renders, by its name."""
    dtype: CubeType = "float32"
    """float16 halves the size and rounds to 11 bits, coarser below 6e-5; float32 is exact."""
    wavelengths_nm: tuple[float, ...] | None = None
    """Resample every cube to these bands, linearly; by default all must have the same bands."""


@dataclass(frozen=True)
class PreparedScene:
    """One scene and where it goes."""

    split: str
    scene: Scene
    shape: tuple[int, int, int]
    start: int
    stop: int


@dataclass(frozen=True)
class Plan:
    """What a store will hold, known before anything is written."""

    collection: str
    layout: str
    options: PrepareOptions
    wavelengths_nm: tuple[float, ...]
    jobs: tuple[PreparedScene, ...]

    @property
    def size(self) -> int:
        """Bytes that the store will take, but for its index."""
        return sum(job.stop - job.start for job in self.jobs)

    def fingerprint(self) -> dict[str, Any]:
        """What must be equal for a stopped run to be continued, beside the scenes' content."""
        return {
            "collection": self.collection,
            "layout": self.layout,
            "options": self.options.model_dump(mode="json"),
            "wavelengths_nm": list(self.wavelengths_nm),
            "jobs": [
                {
                    "split": job.split,
                    "scene": job.scene.name,
                    "shape": list(job.shape),
                    "start": job.start,
                    **job.scene.opening.to_dict(),
                }
                for job in self.jobs
            ],
        }


def plan_store(parts: Mapping[str, Collection], options: PrepareOptions | None = None) -> Plan:
    """Lay out a store without reading a value.

    Args:
        parts: split -> its scenes.
        options: how they are stored.

    Raises:
        DataError: there are no scenes, or their bands differ and ``wavelengths_nm`` is not given.
        FormatError: a file is damaged.
        ConfigError: an unknown track.

    Example:
        >>> import respectra as rs
        >>> from respectra.datasets.still_life import still_life
        >>> rs.save_cube(still_life(32, 32), "cubes/a.npz")
        >>> plan_store({"train": rs.open_collection("cubes")}).size > 32 * 32 * 31 * 4
        True
    """
    o = PrepareOptions() if options is None else options
    tracks_of(o)
    scenes = [(split, scene) for split, part in parts.items() for scene in part]
    if not scenes:
        raise DataError("there are no scenes to prepare; check the folder and the split")
    grids = {scene.name: _bands(scene) for _, scene in scenes}
    grid = o.wavelengths_nm or next(iter(grids.values()))
    other = next((name for name, bands in grids.items() if bands != grid), None)
    if o.wavelengths_nm is None and other is not None:
        raise DataError(
            f"{scenes[0][1].name} has {len(grid)} bands from {grid[0]:g} to {grid[-1]:g} nm and "
            f"{other} has other ones; resample all of them: --resample 400:700:10"
        )
    jobs: list[PreparedScene] = []
    ends: dict[str, int] = {}
    for split, scene in scenes:
        stored = scene.peek()
        rows, columns = stored.shape[:2]
        start = ends.get(split, 0)
        *_, stop = offsets_of(start, (rows, columns, len(grid)), o)
        ends[split] = stop
        jobs.append(PreparedScene(split, scene, (rows, columns, len(grid)), start, stop))
    first = next(iter(parts.values()))
    return Plan(first.name, first.layout, o, tuple(grid), tuple(jobs))


def tracks_of(options: PrepareOptions) -> list[Track]:
    """The tracks whose images are kept; options for others are refused."""
    changes = options.track_options
    others = set(changes) - set(options.tracks)
    if others:
        raise ConfigError(f"options for {', '.join(sorted(others))}, which is not asked for")
    return [get_track(name, seed=options.seed, **changes.get(name, {})) for name in options.tracks]


def _bands(scene: Scene) -> tuple[float, ...]:
    stored = scene.peek()
    grid = stored.wavelengths_nm
    if grid is None:
        grid = scene.wavelengths_nm
    if grid is None or len(np.ravel(grid)) != stored.shape[2]:
        raise DataError(
            f"{scene.cube} does not say at which wavelengths its {stored.shape[2]} bands are; "
            "convert it first: respectra convert --wavelengths 400:700:10"
        )
    return tuple(sorted(float(nm) for nm in np.ravel(grid)))


def offsets_of(start: int, shape: tuple[int, int, int], o: PrepareOptions) -> list[int]:
    """Where the cube, the mask and the images begin, and where the scene ends.

    Room is kept for images of 16 bits, whose depth is known only when they are opened.
    """
    rows, columns, _ = shape
    sizes = [math.prod(shape) * np.dtype(o.dtype).itemsize, rows * columns]
    sizes += [rows * columns * 3 * 2] * len(o.tracks)
    offsets = [start]
    for size in sizes:
        offsets.append(_aligned(offsets[-1] + size))
    return offsets


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


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
