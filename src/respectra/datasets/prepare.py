"""Writing a store by its plan: scene after scene, continued where it was stopped."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from respectra import storage, uploads
from respectra.cache import cache_folder
from respectra.datasets.store import INDEX, PART, Index, SceneEntry, SplitEntry
from respectra.datasets.store_plan import (
    Plan,
    PreparedScene,
    make_block,
    make_scene,
    sources_of,
    tracks_of,
)
from respectra.errors import FormatError, OutputError
from respectra.files import (
    ensure_present,
    file_lock,
    make_folder,
    move_into_place,
    recover,
    remove,
    writing_to,
)
from respectra.journal import Journal
from respectra.progress import Progress, as_progress, tracked
from respectra.urls import Url, parse_place

if TYPE_CHECKING:
    from respectra.cluster import Cluster

#: Of a store that is to be put elsewhere: what it was made from.
_SOURCES = ".sources"
_HINT = "scenes that are complete are kept; see to the folder and run the same command again"


def estimate_seconds(plan: Plan) -> float:
    """How long writing the store will take, from preparing one scene of middling size.

    Example:
        >>> import respectra as rs
        >>> from respectra.datasets.still_life import still_life
        >>> rs.save_cube(still_life(32, 32), "cubes/a.npz")
        >>> plan = rs.datasets.plan_store({"train": rs.open_collection("cubes")})
        >>> estimate_seconds(plan) >= 0
        True
    """
    jobs = sorted(plan.jobs, key=lambda job: job.stop - job.start)
    job = jobs[len(jobs) // 2]
    tracks = tracks_of(plan.options)
    start = time.perf_counter()
    make_block(job, plan, tracks)
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
        >>> import respectra as rs
        >>> from respectra.datasets.still_life import still_life
        >>> rs.save_cube(still_life(32, 32), "cubes/a.npz")
        >>> plan = rs.datasets.plan_store({"train": rs.open_collection("cubes")})
        >>> prepare_store(plan, "store")
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
        uploads.put_outputs(growing, url / INDEX, first=growing / INDEX)
        stale = [name for name in there if name.endswith(".bin") and not (growing / name).exists()]
        uploads.delete([url / name for name in stale])
        remove(growing)


def _is_grown(plan: Plan, growing: Path) -> bool:
    """Whether a store is complete here, of scenes as they are now."""
    try:
        return (growing / _SOURCES).read_text("utf-8") == _digest_of_sources(plan)
    except OSError:
        return False


def _digest_of_sources(plan: Plan) -> str:
    return storage.digest(str([sources_of(job.scene) for job in plan.jobs]))


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
        self.tracks = tracks_of(plan.options)
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
        if record["sources"] == sources_of(job.scene):
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
        what, replaceable = "files", (self.path / INDEX).is_file()
        if not any(not file.name.startswith(".") for file in self.path.iterdir()):
            if self.journal.begun or not self.part.is_dir():
                return
            what, replaceable = "an unfinished store of other data or options", True
        if not (overwrite and replaceable):
            advice = " or pass --overwrite" if replaceable else ""
            raise OutputError(f"{self.path} holds {what}; choose another name{advice}")

    def add(self, job: PreparedScene) -> None:
        """Make a scene and write it."""
        self._write(job, *make_scene(job, self.plan, self.tracks))

    def add_from(self, cluster: Cluster, progress: Progress) -> None:
        """Have workers make the missing scenes, and write them as they come."""
        missing = self.missing()
        plan = cluster.send(dataclasses.replace(self.plan, jobs=()))
        made = cluster.run(make_scene, ((job, (job, plan)) for job in missing))
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
        for file in self.path.glob("*.bin"):
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


def _write_at(path: Path, offset: int, block: npt.NDArray[np.uint8]) -> None:
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.seek(offset)
        file.write(block.data)
        file.flush()
        os.fsync(file.fileno())
