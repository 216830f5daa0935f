"""Writing a store: planned first, then scene after scene, continued where it was stopped."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from respectra import storage
from respectra.cache import cache_folder
from respectra.cameras import Track, get_track
from respectra.config import Config
from respectra.cubes import fit_bands
from respectra.cubes.parts import cube_hash
from respectra.datasets.collections import Collection, Scene
from respectra.datasets.store import (
    ALIGNMENT,
    INDEX,
    PART,
    CubeType,
    ImageEntry,
    Index,
    SceneEntry,
    SplitEntry,
)
from respectra.datasets.validity import valid_pixels
from respectra.errors import ConfigError, DataError, FormatError, OutputError, naming
from respectra.files import (
    ensure_present,
    file_lock,
    make_folder,
    move_into_place,
    recover,
    remove,
    writing_to,
)
from respectra.identity import content_hash
from respectra.journal import Journal
from respectra.progress import Progress, as_progress, tracked
from respectra.urls import Url, parse_place

if TYPE_CHECKING:
    from respectra.cluster import Cluster

#: Of unfinished stores of earlier versions.
_OLD_PLAN, _OLD_JOURNAL = "plan.json", "journal.jsonl"
#: Of a store that is to be put elsewhere: what it was made from.
_SOURCES = ".sources"
_HINT = "scenes that are complete are kept; see to the folder and run the same command again"
_LARGEST_HALF = float(np.finfo(np.float16).max)


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
            f"{other} has other ones; resample all of them: --resample 400:700:10"
        )
    jobs: list[PreparedScene] = []
    ends: dict[str, int] = {}
    for split, scene in scenes:
        stored = scene.peek()
        rows, columns = stored.shape[:2]
        start = ends.get(split, 0)
        *_, stop = _offsets(start, (rows, columns, len(grid)), o)
        ends[split] = stop
        jobs.append(PreparedScene(split, scene, (rows, columns, len(grid)), start, stop))
    first = next(iter(parts.values()))
    return Plan(first.name, first.layout, o, tuple(grid), tuple(jobs))


def estimate_seconds(plan: Plan) -> float:
    """How long writing the store will take, from preparing one scene of middling size.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> cube = rs.make_cube(np.full((32, 32, 31), 0.5), range(400, 701, 10))
        >>> rs.save_cube(cube, "cubes/a.npz")
        >>> estimate_seconds(plan_store({"train": rs.open_collection("cubes")})) >= 0
        True
    """
    jobs = sorted(plan.jobs, key=lambda job: job.stop - job.start)
    job = jobs[len(jobs) // 2]
    tracks = _tracks(plan.options)
    start = time.perf_counter()
    _block(job, plan, tracks)
    return (time.perf_counter() - start) * plan.size / (job.stop - job.start)


def prepare_store(
    plan: Plan,
    folder: str | os.PathLike[str] | Url,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    cluster: Cluster | None = None,
) -> None:
    """Write a store. A run that was stopped continues, and ends with the same bytes.

    Args:
        plan: what goes where.
        folder: the store, or its URL. It then grows in the cache folder, which needs room for it,
            and is put when it is whole, its index last.
        overwrite: replace a store, or an unfinished one of another plan.
        progress: told how many scenes are done.
        cluster: whose workers see the same files and prepare the scenes; they are written here.

    Raises:
        OutputError: the folder holds something else, another process writes it, or the disk lacks
            the space.
        DataError: a scene cannot be used: values that are not finite where they are rendered, an
            image of another size, values beyond float16.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> cube = rs.make_cube(np.full((32, 32, 31), 0.5), range(400, 701, 10))
        >>> rs.save_cube(cube, "cubes/a.npz")
        >>> prepare_store(plan_store({"train": rs.open_collection("cubes")}), "store")
        >>> len(rs.datasets.open_store("store")["train"])
        1
    """
    place = parse_place(folder)
    if isinstance(place, Url):
        _prepare_there(plan, place, overwrite=overwrite, progress=progress, cluster=cluster)
    else:
        _prepare_here(plan, place, overwrite, as_progress(progress), cluster)


def _prepare_there(plan: Plan, url: Url, *, overwrite: bool, **options: Any) -> None:
    """Let a store grow here, in a folder of its own for each plan and URL, and put it there."""
    storage.require_bucket(url)
    growing = cache_folder() / "stores" / storage.digest(f"{url} {plan.fingerprint()}")
    make_folder(growing.parent)
    with file_lock(growing):
        grown = _is_grown(plan, growing)
        there = storage.names_in(url)
        of_before = grown and there <= storage.names_in(growing)  # put by a run that was stopped
        store = INDEX in there or all(name.endswith(".bin") for name in there)
        if there and not of_before and not (overwrite and store):
            advice = " or pass --overwrite" if store else ""
            raise OutputError(f"{url} holds files; choose another name{advice}")
        if not grown:
            if (growing / INDEX).is_file():
                remove(growing)
            prepare_store(plan, growing, **options)
            (growing / _SOURCES).write_text(_digest_of_sources(plan), encoding="utf-8")
        storage.put_outputs(growing, url / INDEX, first=growing / INDEX)
        stale = [name for name in there if name.endswith(".bin") and not (growing / name).exists()]
        storage.delete([url / name for name in stale])
        remove(growing)


def _is_grown(plan: Plan, growing: Path) -> bool:
    """Whether a store is complete here, of scenes as they are now."""
    try:
        return (growing / _SOURCES).read_text("utf-8") == _digest_of_sources(plan)
    except OSError:
        return False


def _digest_of_sources(plan: Plan) -> str:
    return storage.digest(str([_sources(job.scene) for job in plan.jobs]))


def _prepare_here(
    plan: Plan, path: Path, overwrite: bool, shown: Progress, cluster: Cluster | None
) -> None:
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path} is a file; a store is a folder: choose another name")
    make_folder(path)
    with file_lock(path, inside=True), writing_to(path, _HINT):
        recover(path / INDEX, others=["*.bin"])
        growth = _Growth(plan, path)
        if not growth.is_in_place():
            growth.begin(overwrite=overwrite)
            _require_room(path, sum(job.stop - job.start for job in growth.missing()))
            if cluster is None:
                for job in tracked(growth.missing(), shown, "preparing"):
                    growth.add(job)
            else:
                growth.add_from(cluster, shown)
            growth.move()
        growth.tidy()
        ensure_present([path / INDEX])


def _require_room(path: Path, needed: int) -> None:
    room = shutil.disk_usage(path).free
    if needed > room:
        raise OutputError(
            f"the store needs {needed / 2**30:.2f} GiB more and the disk of {path} has "
            f"{room / 2**30:.2f} GiB; choose another disk, or --dtype float16"
        )


class _Growth:
    """A store that grows in the folder ``.part`` within its own, until it is complete.

    A record of its journal is a scene: its entry in the index, and the hashes of the files that
    it was made from. A scene whose files have changed since is made again.
    """

    def __init__(self, plan: Plan, path: Path) -> None:
        self.plan, self.path, self.part = plan, path, path / PART
        self.tracks = _tracks(plan.options)
        self.done: dict[tuple[str, str], SceneEntry] = {}
        try:
            self.journal = Journal.resume(self.part / "journal", plan.fingerprint())
            for record in self.journal.records:
                self._take(record)
        except (FormatError, KeyError, TypeError, ValueError):
            self.journal = Journal(self.part / "journal", plan.fingerprint())
            self.done = {}

    def _take(self, record: Mapping[str, Any]) -> None:
        entry = SceneEntry(**record["entry"])
        key = record["split"], entry.name
        job = next(job for job in self.plan.jobs if (job.split, job.scene.name) == key)
        self.done.pop(key, None)
        if record["sources"] == _sources(job.scene):
            self.done[key] = entry

    def missing(self) -> list[PreparedScene]:
        """The scenes that are still to be written."""
        return [job for job in self.plan.jobs if (job.split, job.scene.name) not in self.done]

    def is_in_place(self) -> bool:
        """Whether an earlier run has moved the complete store to its place."""
        if self.missing() or any(self.part.glob("*.bin")):
            return False
        try:
            return (self.path / INDEX).read_text("utf-8") == self._index()
        except OSError:
            return False

    def begin(self, *, overwrite: bool) -> None:
        """See that the place is free, and begin what an earlier run has not."""
        self._require_place(overwrite=overwrite)
        if not self.journal.begun:
            remove(self.part)
            make_folder(self.part)
            self.journal.begin()
        for job in self.plan.jobs:  # a file that is gone or cut takes its scenes with it
            key = job.split, job.scene.name
            file = self.part / f"{job.split}.bin"
            if key in self.done and not (file.is_file() and file.stat().st_size >= job.stop):
                del self.done[key]

    def _require_place(self, *, overwrite: bool) -> None:
        if not any(self.part.glob("*.bin")):  # nothing of an earlier run is worth keeping
            remove(self.part)
            self.journal = Journal(self.journal.path, self.plan.fingerprint())
            self.done = {}
        unfinished = (self.path / _OLD_PLAN).is_file()
        replaceable = unfinished or (self.path / INDEX).is_file()
        if any(not file.name.startswith(".") for file in self.path.iterdir()):
            what = "an unfinished store of an earlier version" if unfinished else "files"
        elif self.part.is_dir() and not self.journal.begun:
            what, replaceable = "an unfinished store of other data or options", True
        else:
            return
        if not (overwrite and replaceable):
            advice = " or pass --overwrite" if replaceable else ""
            raise OutputError(f"{self.path} holds {what}; choose another name{advice}")

    def add(self, job: PreparedScene) -> None:
        """Make a scene and write it."""
        self._write(job, *_made(job, self.plan, self.tracks))

    def add_from(self, cluster: Cluster, progress: Progress) -> None:
        """Have workers make the missing scenes, and write them as they come."""
        missing = self.missing()
        plan = cluster.send(dataclasses.replace(self.plan, jobs=()))
        made = cluster.run(_made, ((job, (job, plan)) for job in missing))
        for job, result in tracked(made, progress, "preparing", len(missing)):
            if isinstance(result, BaseException):
                raise result
            self._write(job, *result)

    def _write(
        self,
        job: PreparedScene,
        sources: list[list[str]],
        block: npt.NDArray[np.uint8],
        entry: SceneEntry,
    ) -> None:
        _write_at(self.part / f"{job.split}.bin", job.start, block)
        line = {"split": job.split, "entry": entry.model_dump(mode="json"), "sources": sources}
        self.journal.append(line)
        self.done[job.split, job.scene.name] = entry

    def move(self) -> None:
        """The index comes last: it is what makes the folder a store."""
        (self.part / INDEX).write_text(self._index(), encoding="utf-8")
        names = [INDEX, *(f"{split}.bin" for split in self._splits())]
        move_into_place([(self.part / n, self.path / n) for n in names], overwrite=True)

    def tidy(self) -> None:
        """Delete what the store that is complete now does not need."""
        remove(self.part)
        kept = {f"{split}.bin" for split in self._splits()}
        for file in (*self.path.glob("*.bin"), self.path / _OLD_PLAN, self.path / _OLD_JOURNAL):
            if file.name not in kept:
                remove(file)

    def _splits(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(job.split for job in self.plan.jobs))

    def _index(self) -> str:
        plan = self.plan
        splits: dict[str, SplitEntry] = {}
        for split in self._splits():
            jobs = [job for job in plan.jobs if job.split == split]
            splits[split] = SplitEntry(
                file=f"{split}.bin",
                size=jobs[-1].stop,
                scenes=tuple(self.done[split, job.scene.name] for job in jobs),
            )
        index = Index(
            collection=plan.collection,
            layout=plan.layout,
            dtype=plan.options.dtype,
            wavelengths_nm=plan.wavelengths_nm,
            tracks={track.name: track.recipe() for track in self.tracks},
            splits=splits,
        )
        return index.model_dump_json(indent=1) + "\n"


def _made(
    job: PreparedScene, plan: Plan, tracks: Sequence[Track] | None = None
) -> tuple[list[list[str]], npt.NDArray[np.uint8], SceneEntry]:
    """What a scene was made from, its bytes, and their description."""
    sources = _sources(job.scene)
    with naming(job.scene.name):
        return sources, *_block(job, plan, tracks or _tracks(plan.options))


def _sources(scene: Scene) -> list[list[str]]:
    """Name and content of the files of a scene."""
    images = [[path.name, content_hash(path)] for path in scene.images.values()]
    return [[scene.cube.name, cube_hash(scene.cube)], *images]


def _tracks(options: PrepareOptions) -> list[Track]:
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
    *starts, stop = _offsets(job.start, job.shape, o)
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


def _write_at(path: Path, offset: int, block: npt.NDArray[np.uint8]) -> None:
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.seek(offset)
        file.write(block.data)
        file.flush()
        os.fsync(file.fileno())
