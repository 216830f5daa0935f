"""Writing a store: planned first, then scene after scene, continued where it was stopped."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from respectra.cameras import Track, get_track
from respectra.config import Config
from respectra.cubes import resample, wavelengths_of
from respectra.cubes.io import peek_cube
from respectra.datasets.collections import Collection, Scene
from respectra.datasets.store import (
    ALIGNMENT,
    INDEX,
    CubeType,
    ImageEntry,
    Index,
    SceneEntry,
    SplitEntry,
)
from respectra.datasets.validity import valid_pixels
from respectra.errors import ConfigError, DataError, OutputError, naming
from respectra.files import atomic_path
from respectra.identity import content_hash

_PLAN, _JOURNAL = "plan.json", "journal.jsonl"
_LARGEST_HALF = float(np.finfo(np.float16).max)


class PrepareOptions(Config):
    """How a collection becomes a store."""

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
class Job:
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
    jobs: tuple[Job, ...]

    @property
    def size(self) -> int:
        """Bytes that the store will take, but for its index."""
        return sum(job.stop - job.start for job in self.jobs)

    def fingerprint(self) -> dict[str, Any]:
        """What must be equal for a stopped run to be continued."""
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
                    "files": [_stamp(p) for p in (job.scene.cube, *job.scene.images.values())],
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
    """
    o = PrepareOptions() if options is None else options
    _tracks(o)
    scenes = [(split, scene) for split, part in parts.items() for scene in part]
    if not scenes:
        raise DataError("there are no scenes to prepare; check the folder and the split")
    grids = {scene.name: _bands(scene) for _, scene in scenes}
    grid = o.wavelengths_nm or next(iter(grids.values()))
    other = next((name for name, bands in grids.items() if bands != grid), None)
    if o.wavelengths_nm is None and other is not None:
        raise DataError(
            f"{scenes[0][1].name} has {len(grid)} bands from {grid[0]:g} to {grid[-1]:g} nm and "
            f"{other} has other ones; resample all of them: --wavelengths 400:700:10"
        )
    jobs: list[Job] = []
    ends: dict[str, int] = {}
    for split, scene in scenes:
        _, stored = peek_cube(scene.cube)
        rows, columns = stored.shape[:2]
        start = ends.get(split, 0)
        *_, stop = _offsets(start, (rows, columns, len(grid)), o)
        ends[split] = stop
        jobs.append(Job(split, scene, (rows, columns, len(grid)), start, stop))
    first = next(iter(parts.values()))
    return Plan(first.name, first.layout, o, tuple(grid), tuple(jobs))


def estimate_seconds(plan: Plan) -> float:
    """How long writing the store will take, from preparing one scene of middling size."""
    jobs = sorted(plan.jobs, key=lambda job: job.stop - job.start)
    job = jobs[len(jobs) // 2]
    tracks = _tracks(plan.options)
    start = time.perf_counter()
    _block(job, plan, tracks)
    return (time.perf_counter() - start) * plan.size / (job.stop - job.start)


def prepare_store(
    plan: Plan,
    folder: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: Callable[[Sequence[Job]], Iterable[Job]] = iter,
) -> None:
    """Write a store. A run that was stopped continues, and ends with the same bytes.

    Args:
        plan: what goes where.
        folder: the store.
        overwrite: replace a store, or an unfinished one of another plan.
        progress: passes the scenes that are still to be written on, one by one.

    Raises:
        OutputError: the folder holds something else, or the disk lacks the space.
        DataError: a scene cannot be used: values that are not finite where they are rendered, an
            image of another size, values beyond float16.
    """
    path = Path(folder)
    done = _resume(plan, path, overwrite=overwrite)
    tracks = _tracks(plan.options)
    jobs = [job for job in plan.jobs if (job.split, job.scene.name) not in done]
    room = shutil.disk_usage(path).free
    needed = sum(job.stop - job.start for job in jobs)
    if needed > room:
        raise OutputError(
            f"the store needs {needed / 2**30:.2f} GiB more and the disk of {path} has "
            f"{room / 2**30:.2f} GiB; choose another disk, or --dtype float16"
        )
    try:
        with (path / _JOURNAL).open("a", encoding="utf-8") as journal:
            for job in progress(jobs):
                with naming(job.scene.name):
                    block, entry = _block(job, plan, tracks)
                _write_at(path / f"{job.split}.bin", job.start, block)
                done[job.split, job.scene.name] = entry
                line = {"split": job.split, "entry": entry.model_dump(mode="json")}
                journal.write(json.dumps(line) + "\n")
                journal.flush()
                os.fsync(journal.fileno())
        _finish(plan, path, tracks, done)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def _resume(plan: Plan, path: Path, *, overwrite: bool) -> dict[tuple[str, str], SceneEntry]:
    """Make the folder ready; gives the scenes that an earlier run finished."""
    fingerprint = json.dumps(plan.fingerprint(), indent=1) + "\n"
    ours = [path / _PLAN, path / _JOURNAL, path / INDEX, *path.glob("*.bin")]
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path} is a file; a store is a folder: choose another name")
    unfinished = (path / _PLAN).is_file()
    if unfinished and (path / _PLAN).read_text("utf-8") == fingerprint:
        return _journal(path / _JOURNAL)
    if path.exists() and any(path.iterdir()):
        if not (overwrite and (unfinished or (path / INDEX).is_file())):
            what = "an unfinished store of other data or options" if unfinished else "files"
            raise OutputError(
                f"{path} holds {what}; choose another name"
                + (" or pass --overwrite" if unfinished or (path / INDEX).is_file() else "")
            )
        for file in ours:
            file.unlink(missing_ok=True)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with atomic_path(path / _PLAN) as temporary:
            temporary.write_text(fingerprint, encoding="utf-8")
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"cannot make {path}: {error.strerror or error}") from error
    return {}


def _journal(path: Path) -> dict[tuple[str, str], SceneEntry]:
    """What was finished. A last line that a kill cut short does not count, and is removed."""
    if not path.is_file():
        return {}
    done = {}
    whole = b""
    for line in path.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        try:
            record = json.loads(line)
            entry = SceneEntry(**record["entry"])
        except (ValueError, KeyError, TypeError):
            break
        whole += line
        done[record["split"], entry.name] = entry
    path.write_bytes(whole)
    return done


def _finish(
    plan: Plan, path: Path, tracks: Sequence[Track], done: Mapping[tuple[str, str], SceneEntry]
) -> None:
    """The index comes last: it is what makes the folder a store."""
    splits: dict[str, SplitEntry] = {}
    for split in dict.fromkeys(job.split for job in plan.jobs):
        jobs = [job for job in plan.jobs if job.split == split]
        splits[split] = SplitEntry(
            file=f"{split}.bin",
            size=jobs[-1].stop,
            scenes=tuple(done[split, job.scene.name] for job in jobs),
        )
    index = Index(
        collection=plan.collection,
        layout=plan.layout,
        dtype=plan.options.dtype,
        wavelengths_nm=plan.wavelengths_nm,
        tracks={track.name: track.recipe() for track in tracks},
        splits=splits,
    )
    with atomic_path(path / INDEX) as temporary:
        temporary.write_text(index.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (path / _PLAN).unlink()
    (path / _JOURNAL).unlink()


def _tracks(options: PrepareOptions) -> list[Track]:
    changes = options.track_options
    others = set(changes) - set(options.tracks)
    if others:
        raise ConfigError(f"options for {', '.join(sorted(others))}, which is not asked for")
    return [get_track(name, seed=options.seed, **changes.get(name, {})) for name in options.tracks]


def _bands(scene: Scene) -> tuple[float, ...]:
    _, stored = peek_cube(scene.cube)
    grid = stored.wavelengths_nm
    if grid is None:
        grid = scene.wavelengths_nm
    if grid is None or len(np.ravel(grid)) != stored.shape[2]:
        raise DataError(
            f"{scene.cube} does not say at which wavelengths its {stored.shape[2]} bands are; "
            "convert it first: respectra convert --wavelengths 400:700:10"
        )
    return tuple(sorted(float(nm) for nm in np.ravel(grid)))


def _stamp(path: Path) -> list[Any]:
    """A file's name, size and time of change; of a folder, those of its files."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return [path.name, *([f.stat().st_size, f.stat().st_mtime_ns] for f in files)]


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


def _offsets(start: int, shape: tuple[int, int, int], o: PrepareOptions) -> list[int]:
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


def _block(
    job: Job, plan: Plan, tracks: Sequence[Track]
) -> tuple[npt.NDArray[np.uint8], SceneEntry]:
    """The bytes of one scene, and their description."""
    scene, o = job.scene, plan.options
    original = scene.open_cube()
    cube = original
    if tuple(wavelengths_of(cube).tolist()) != plan.wavelengths_nm:
        cube = resample(cube, plan.wavelengths_nm)
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
    *starts, stop = _offsets(job.start, job.shape, o)
    block = np.zeros(stop - job.start, np.uint8)
    _put(block, starts[0] - job.start, values.astype(np.dtype(o.dtype).newbyteorder("<")))
    _put(block, starts[1] - job.start, valid)
    images = {}
    for offset, track in zip(starts[2:], tracks, strict=True):
        codes, full_scale = _codes(scene, track, original)
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
        source_sha256=content_hash(scene.cube),
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


def _write_at(path: Path, offset: int, block: npt.NDArray[np.uint8]) -> None:
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.seek(offset)
        file.write(block.data)
        file.flush()
        os.fsync(file.fileno())
