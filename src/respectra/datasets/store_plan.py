"""What a store will hold, known before anything is written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from respectra.cameras import Track, get_track
from respectra.config import Config
from respectra.datasets.collections import Collection, Scene
from respectra.datasets.store import ALIGNMENT, CubeType
from respectra.errors import ConfigError, DataError


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
        >>> import numpy as np
        >>> import respectra as rs
        >>> cube = rs.make_cube(np.full((32, 32, 31), 0.5), range(400, 701, 10))
        >>> rs.save_cube(cube, "cubes/a.npz")
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
    """The tracks whose images are kept.

    Raises:
        ConfigError: an unknown track, or options for one that is not asked for.
    """
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
