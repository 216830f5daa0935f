"""Folders by URL: the same jobs and the same manifest, inputs fetched and cubes put.

``folders.run_jobs`` works on files here. For what lies elsewhere it sees a mirror: an input is a
small file that holds the tag of the true one, an output is there when the true one is there whole.
Whoever does a job fetches its picture into a folder of its own, makes the cube there, and puts it.

The manifest of an output folder grows there as it does here; see :mod:`respectra.mirror`.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from respectra import storage
from respectra.cameras import PICTURE_SUFFIXES
from respectra.errors import FormatError, RespectraError
from respectra.files import ensure_absent, remove
from respectra.inference.ensembles import Recovers
from respectra.inference.folders import (
    MANIFEST,
    Job,
    Outcome,
    Work,
    cube_files,
    find_inputs,
    run_jobs,
)
from respectra.inference.video_reader import CLIP_SUFFIXES
from respectra.mirror import GrowingFile
from respectra.urls import Place, Url, parse_place

if TYPE_CHECKING:
    from respectra.cluster import Cluster


@dataclass(frozen=True)
class RemoteJob(Job):
    """A job whose picture or cube has a URL; ``source`` and ``target`` are their mirrors."""

    source_url: str | None = None
    target_url: str | None = None

    @property
    def name(self) -> str:
        """The picture, as it is named in messages and manifests."""
        return self.source_url or super().name

    @property
    def place(self) -> str:
        """The cube, as it is named in messages."""
        return self.target_url or super().place


def find_places(arguments: Sequence[str]) -> list[tuple[Place, PurePath]]:
    """As ``find_inputs``, for URLs as well.

    Raises:
        FormatError: a folder or pattern holds no picture or cannot be reached.
    """
    found: dict[Place, PurePath] = {}
    for argument in arguments:
        where = parse_place(argument)
        if isinstance(where, Path):
            for path, relative in find_inputs([where]):
                found.setdefault(path, relative)
            continue
        known = (*PICTURE_SUFFIXES, *CLIP_SUFFIXES)
        if not where.is_pattern and where.suffix.lower() in known:
            found.setdefault(where, PurePath(where.name))
            continue
        inputs = [
            (url, place)
            for url, place in storage.find(where)
            if url.suffix.lower() in known and not url.name.startswith(".")
        ]
        if not inputs:
            raise FormatError(f"{where} holds no picture and no clip ({', '.join(known)})")
        for url, place in inputs:
            found.setdefault(url, place)
    return list(found.items())


class Mirror:
    """What lies elsewhere, as ``run_jobs`` sees it; made by :func:`mirrored`.

    Attributes:
        output: the folder of the manifest here.
    """

    def __init__(self, output: Place) -> None:
        self._url = output if isinstance(output, Url) else None
        self._held: tempfile.TemporaryDirectory[str] | None = None
        self.output = self._folder / "output" if isinstance(output, Url) else output
        self._manifest: GrowingFile | None = None

    @property
    def _folder(self) -> Path:
        """Made when something has to lie in it."""
        self._held = self._held or tempfile.TemporaryDirectory(prefix="respectra-")
        return Path(self._held.name)

    def close(self) -> None:
        """Delete what is here."""
        if self._held is not None:
            self._held.cleanup()

    def job(self, source: Place, place: PurePath, target: Place, kind: Any) -> Job:
        """The job of a picture."""
        if isinstance(source, Path) and isinstance(target, Path):
            return Job(source, target, kind)
        here = source
        if isinstance(source, Url):
            here = self._folder / "inputs" / storage.digest(str(source)) / source.name
        there = target
        if isinstance(target, Url):
            below = str(target).removeprefix(str(self._url)).strip("/") or target.name
            there = self.output / below
        assert isinstance(here, Path)
        assert isinstance(there, Path)
        return RemoteJob(
            here,
            there,
            kind,
            str(source) if isinstance(source, Url) else None,
            str(target) if isinstance(target, Url) else None,
        )

    def choose(self, choose: Callable[[Job], Recovers]) -> Callable[[Job], Recovers]:
        """A choice of reconstructors that looks at the true pictures."""

        def chosen(job: Job) -> Recovers:
            if not isinstance(job, RemoteJob) or job.source_url is None:
                return choose(job)
            job.source.parent.mkdir(parents=True, exist_ok=True)
            job.source.write_text(storage.fingerprint(Url.parse(job.source_url)))
            with storage.local_copy(job.source_url) as path:
                return choose(Job(path, job.target, job.kind))

        return chosen

    def ensure_absent(self, job: Job, *, overwrite: bool) -> None:
        """Refuse an output that exists already.

        Raises:
            OutputError: it does, and ``overwrite`` is false.
        """
        if isinstance(job, RemoteJob) and job.target_url is not None:
            storage.ensure_absent(Url.parse(job.target_url), overwrite=overwrite)
        else:
            ensure_absent(job.target, overwrite=overwrite)

    def run(
        self,
        jobs: Sequence[Job],
        choose: Callable[[Job], Recovers],
        work: Work,
        *,
        outputs: Callable[[Job], Sequence[Path]],
        cluster: Cluster | None,
        **options: Any,
    ) -> Iterator[Outcome]:
        """As ``folders.run_jobs``, with its arguments; the manifest is where the cubes are.

        Raises:
            RespectraError: as there; or the place of the cubes cannot be reached any more.
        """
        if not any(isinstance(job, RemoteJob) for job in jobs):
            yield from run_jobs(
                jobs, self.output, choose, work, outputs=outputs, cluster=cluster, **options
            )
            return
        self.begin()
        try:
            yield from run_jobs(
                jobs,
                self.output,
                self.choose(choose),
                RemoteWork(work),
                outputs=self.outputs(outputs),
                cluster=Synced(self, cluster),
                **options,
            )
        except BaseException:
            with contextlib.suppress(RespectraError):
                self.end()
            raise
        self.end()

    def outputs(self, outputs: Callable[[Job], Sequence[Path]]) -> Callable[[Job], Sequence[Path]]:
        """The files of a job, which are there where the true ones are."""

        def files(job: Job) -> Sequence[Path]:
            found = outputs(job)
            if isinstance(job, RemoteJob) and job.target_url is not None:
                url = Url.parse(job.target_url)
                for file in found:
                    there = storage.exists(url.with_name(file.name))
                    if there:
                        file.parent.mkdir(parents=True, exist_ok=True)
                        file.touch()
                    else:
                        remove(file)
            return found

        return files

    # --- the manifest ----------------------------------------------------------------------------

    def begin(self) -> None:
        """Fetch the manifest."""
        if self._url is not None:
            self._manifest = GrowingFile(self.output / MANIFEST, self._url / MANIFEST)
            self._manifest.begin()

    def sync(self) -> None:
        """Put the lines that are new.

        Raises:
            OutputError: the place cannot be reached, or another run writes there.
        """
        if self._manifest is not None:
            self._manifest.sync()

    def end(self) -> None:
        """Put the whole manifest."""
        if self._manifest is not None:
            self._manifest.end()


@contextlib.contextmanager
def mirrored(output: Place) -> Iterator[Mirror]:
    """A mirror for as long as a run takes; its folder is a temporary one, made when needed."""
    mirror = Mirror(output)
    try:
        yield mirror
    finally:
        mirror.close()


class Synced:
    """Workers, or this process, for ``run_jobs``: each job's line is put before it is begun."""

    def __init__(self, mirror: Mirror, cluster: Any | None) -> None:
        self._mirror, self._cluster = mirror, cluster

    def send(self, value: Any) -> Any:
        """See ``Cluster.send``."""
        return value if self._cluster is None else self._cluster.send(value)

    def run(
        self, function: Callable[..., Any], jobs: Iterable[tuple[Any, tuple[Any, ...]]]
    ) -> Iterator[tuple[Any, Any]]:
        """See ``Cluster.run``."""

        def lined() -> Iterator[tuple[Any, tuple[Any, ...]]]:
            for job in jobs:
                self._mirror.sync()
                yield job

        if self._cluster is not None:
            yield from self._cluster.run(function, lined())
            return
        for label, arguments in lined():
            yield label, function(*arguments)


@dataclass(frozen=True)
class RemoteWork:
    """Work on files here, done for those that lie elsewhere.

    Attributes:
        work: writes the cube of a job whose files are here.
    """

    work: Work

    def __call__(self, reconstructor: Recovers, job: Job) -> Mapping[str, Any]:
        """Fetch, work, put."""
        if not isinstance(job, RemoteJob):
            return self.work(reconstructor, job)
        with contextlib.ExitStack() as stack:
            source = job.source
            if job.source_url is not None:
                source = stack.enter_context(storage.local_copy(job.source_url))
            if job.target_url is None:
                return self.work(reconstructor, Job(source, job.target, job.kind))
            url = Url.parse(job.target_url)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="respectra-")))
            target = folder / url.name
            with storage.named(target, url):
                facts = self.work(reconstructor, Job(source, target, job.kind))
            storage.put_outputs(folder, url, first=cube_files(target)[0])
            return facts
