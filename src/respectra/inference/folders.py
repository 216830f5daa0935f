"""Many pictures at once: folders and patterns, a manifest of what was done, one failure at a time.

The manifest is a journal (``respectra.journal``) in the output folder. A run that ended, however
it ended, is taken up by the same command: what is done is skipped where the input, the method, its
weights and its options are those of then.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

from respectra.cameras import PICTURE_SUFFIXES
from respectra.cameras.images import InputKind
from respectra.cubes.formats import FORMATS
from respectra.errors import ConfigError, DataError, FormatError, OutputError, RespectraError
from respectra.files import file_lock, make_folder, recover, remove
from respectra.identity import content_hash
from respectra.inference.ensembles import Recovers
from respectra.inference.video_reader import CLIP_SUFFIXES
from respectra.journal import Journal

if TYPE_CHECKING:
    from respectra.cluster import Helpers

#: Name of the manifest within the output folder.
MANIFEST = "manifest.jsonl"
#: After these, no other cube could be written either.
_HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True)
class Job:
    """A picture or clip, and the cube that it becomes."""

    source: Path
    target: Path
    kind: InputKind

    @property
    def name(self) -> str:
        """The picture, as it is named in messages and manifests."""
        return str(self.source)

    @property
    def place(self) -> str:
        """The cube, as it is named in messages."""
        return str(self.target)


#: Writes the cube of a job, whole or not at all, and gives facts for the manifest.
Work = Callable[[Recovers, Job], Mapping[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> rs.save_image(rs.make_image(np.full((8, 8, 3), 0.5), encoding="srgb"), "photo.png")
        >>> [outcome.status for outcome in rs.reconstruct_files("photo.png", "cube.npz")]
        ['done']
    """

    job: Job
    status: Literal["done", "skipped", "failed"]
    """``skipped``: a run before this one had done it."""
    seconds: float
    error: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the work says of its result, such as the flicker of a clip."""
    failure: BaseException | None = None
    """What was raised."""


def find_inputs(arguments: Sequence[str | os.PathLike[str]]) -> list[tuple[Path, Path]]:
    """Pictures and clips that arguments name, each with its place in an output folder.

    Args:
        arguments: files; folders, of which all pictures and clips are taken, not those of folders
            within; patterns such as ``shots/**/*.png``, whose folders are kept below the first
            part that is no pattern.

    Returns:
        Pairs of the file and its path relative to the folder or pattern, in the order of the
        arguments, sorted within each.

    Raises:
        FormatError: a folder or pattern holds no picture.
    """
    found: dict[Path, Path] = {}
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            files = [file for file in path.iterdir() if _is_input(file)]
            root = path
        elif glob.has_magic(str(path)) and not path.exists():
            parts = path.parts
            plain = next(i for i, part in enumerate(parts) if glob.has_magic(part))
            root = Path(*parts[:plain])
            files = [file for file in root.glob("/".join(parts[plain:])) if _is_input(file)]
        else:
            found.setdefault(path, Path(path.name))
            continue
        if not files:
            known = ", ".join((*PICTURE_SUFFIXES, *CLIP_SUFFIXES))
            raise FormatError(f"{path} holds no picture and no clip ({known})")
        for file in sorted(files):
            found.setdefault(file, file.relative_to(root))
    return list(found.items())


def _is_input(file: Path) -> bool:
    suffixes = (*PICTURE_SUFFIXES, *CLIP_SUFFIXES)
    hidden = file.name.startswith(".")
    return not hidden and file.suffix.lower() in suffixes and file.is_file()


def run_jobs(
    jobs: Sequence[Job],
    output: Path,
    choose: Callable[[Job], Recovers],
    work: Work,
    *,
    options: Mapping[str, Any] | None = None,
    outputs: Callable[[Job], Sequence[Path]] = lambda job: cube_files(job.target),
    overwrite: bool = False,
    fail_fast: bool = False,
    cluster: Helpers | None = None,
) -> Iterator[Outcome]:
    """Do one job after the other, or on the workers of a cluster, and keep the manifest.

    Args:
        jobs: what is to be done.
        output: folder of the manifest; the cubes lie in it.
        choose: gives the reconstructor for a job.
        work: writes the cube of a job, whole or not at all, and gives facts for the manifest.
        options: whatever else the cubes depend on; done jobs with other options are done again.
        outputs: all files of a job, which is done when all of them are there.
        overwrite: do everything again, replacing what is there.
        fail_fast: raise the first error instead of going on.
        cluster: whose workers see the same files and do the jobs; this process without one.

    Yields:
        One outcome a job, failures among them: in order, on a cluster as they come.

    Raises:
        RespectraError: the first failure, with ``fail_fast``.
        OutputError: another run writes into the output folder, it has vanished, or nothing can be
            written into it any more.
        FormatError: the manifest was changed.
    """
    for job in jobs[:1]:
        with contextlib.suppress(DataError):
            choose(job)  # a method that does not exist makes no folder
    make_folder(output)
    with file_lock(output, inside=True):
        yield from _run_jobs(
            jobs, output, choose, work, options or {}, outputs, overwrite, fail_fast, cluster
        )


def _run_jobs(
    jobs: Sequence[Job],
    output: Path,
    choose: Callable[[Job], Recovers],
    work: Work,
    options: Mapping[str, Any],
    outputs: Callable[[Job], Sequence[Path]],
    overwrite: bool,
    fail_fast: bool,
    cluster: Helpers | None,
) -> Iterator[Outcome]:
    run = _Run(output, options, outputs, overwrite)
    settled: list[Outcome] = []

    def due() -> Iterator[tuple[_Begun, tuple[Any, ...]]]:
        """Jobs that have to be done; the others are settled."""
        for job in jobs:
            start = time.perf_counter()
            try:
                reconstructor = choose(job)  # a method that does not exist ends the run
                found = run.begin(job, reconstructor)
            except DataError as error:  # what a picture says of itself may have to be read
                found = run.failed(job, time.perf_counter() - start, error)
            if isinstance(found, Outcome):
                settled.append(found)
                if _ends(found, fail_fast, output):
                    return
                continue
            method = reconstructor if cluster is None else cluster.send(reconstructor)
            yield found, (work, method, job)

    attempts = _one_by_one(due()) if cluster is None else cluster.run(_attempt, due())
    for begun, attempt in attempts:
        yield from _taken(settled, fail_fast, output)
        if isinstance(attempt, BaseException):
            attempt = _Attempt({}, time.perf_counter() - begun.start, attempt)
        yield from _taken([run.end(begun, attempt)], fail_fast, output)
    yield from _taken(settled, fail_fast, output)


def _taken(outcomes: list[Outcome], fail_fast: bool, output: Path) -> Iterator[Outcome]:
    """Give outcomes and forget them; raise those that end the run."""
    while outcomes:
        outcome = outcomes.pop(0)
        if outcome.failure is not None and _ends(outcome, fail_fast, output):
            raise outcome.failure
        yield outcome


def _ends(outcome: Outcome, fail_fast: bool, output: Path) -> bool:
    """Whether a run ends with this outcome."""
    failure = outcome.failure
    return failure is not None and (fail_fast or _is_hopeless(failure, output))


@dataclass(frozen=True)
class _Attempt:
    """What came of working on a job."""

    facts: Mapping[str, Any]
    seconds: float
    failure: BaseException | None = None


@dataclass(frozen=True)
class _Begun:
    """A job that is worked on."""

    job: Job
    identity: Mapping[str, Any]
    start: float


def _one_by_one(
    due: Iterator[tuple[_Begun, tuple[Any, ...]]],
) -> Iterator[tuple[_Begun, _Attempt]]:
    for begun, arguments in due:
        yield begun, _attempt(*arguments)


def _attempt(work: Work, reconstructor: Recovers, job: Job) -> _Attempt:
    """Work on a job, here or on a worker."""
    start = time.perf_counter()
    try:
        facts = work(reconstructor, job)
    except (RespectraError, MemoryError) as error:
        return _Attempt({}, time.perf_counter() - start, error)
    return _Attempt(facts, time.perf_counter() - start)


class _Run:
    """A run over jobs: what the manifest says of them before and after."""

    def __init__(
        self,
        output: Path,
        options: Mapping[str, Any],
        outputs: Callable[[Job], Sequence[Path]],
        overwrite: bool,
    ) -> None:
        self.output, self.options = output, options
        self.outputs, self.overwrite = outputs, overwrite
        self._manifest: Manifest | None = None
        # Not by id, which a later reconstructor may have when this one is gone.
        self._signatures: WeakKeyDictionary[Recovers, str] = WeakKeyDictionary()

    @property
    def manifest(self) -> Manifest:
        """Begun with the first job, so that a method that does not exist leaves none."""
        self._manifest = self._manifest or Manifest(self.output)
        return self._manifest

    def begin(self, job: Job, reconstructor: Recovers) -> _Begun | Outcome:
        """Write down that a job is begun, unless it is done already or cannot be."""
        start = time.perf_counter()
        weights = self._signatures.get(reconstructor) or reconstructor.signature()
        self._signatures[reconstructor] = weights
        manifest = self.manifest
        try:
            identity = {
                "output": job.target.relative_to(self.output).as_posix(),
                "sha256": content_hash(job.source),
                "input": job.name,
                "kind": job.kind,
                "method": reconstructor.name,
                "weights": weights,
                "options": dict(self.options),
            }
            files = self.outputs(job)
            recover(job.target)
            if not self.overwrite and manifest.has_done(identity, files):
                if manifest.status(identity) == "started":  # killed before its last line
                    manifest.add({**identity, "status": "done"})
                    with file_lock(files[0]):
                        pass  # which deletes that run's lock
                return Outcome(job, "skipped", time.perf_counter() - start)
            there = [file for file in files if os.path.lexists(file)]
            if there and not self.overwrite:
                if not manifest.has_begun(identity):
                    raise OutputError(
                        f"{there[0]} exists already, not of this input by this method; choose "
                        "another folder or pass --overwrite"
                    )
                for file in there:  # of a run that was killed between two of them
                    remove(file)
                there = []
            if not there:
                manifest.add({**identity, "status": "started"})
        except (RespectraError, MemoryError) as error:
            return self.failed(job, time.perf_counter() - start, error)
        return _Begun(job, identity, start)

    def end(self, begun: _Begun, attempt: _Attempt) -> Outcome:
        """Write down what came of a job."""
        if attempt.failure is not None:
            return self.failed(begun.job, attempt.seconds, attempt.failure)
        seconds = round(attempt.seconds, 3)
        self.manifest.add({**begun.identity, "status": "done", "seconds": seconds, **attempt.facts})
        return Outcome(begun.job, "done", attempt.seconds, facts=attempt.facts)

    def failed(self, job: Job, seconds: float, failure: BaseException) -> Outcome:
        """Write down that a job failed."""
        message = str(failure) or "out of memory"
        line = {"output": str(job.target.relative_to(self.output)), "input": job.name}
        if not _is_hopeless(failure, self.output):
            self.manifest.add(
                {**line, "status": "failed", "seconds": round(seconds, 3), "error": message}
            )
        return Outcome(job, "failed", seconds, error=message, failure=failure)


def cube_files(target: Path) -> tuple[Path, ...]:
    """The files of a cube of this name: for ENVI a header and its data."""
    try:
        return FORMATS.for_writing(target).files(target)
    except ConfigError:
        return (target,)


class Manifest:
    """What was done in an output folder, one JSON line an event; the last of an output counts.

    Raises:
        OutputError: the folder cannot be written.
        FormatError: a line was changed.
    """

    def __init__(self, folder: Path) -> None:
        self._journal = Journal.resume(folder / MANIFEST)
        if not self._journal.begun:
            self._journal.begin()
        self._last: dict[str, dict[str, Any]] = {}
        for entry in self._journal.records:
            if isinstance(entry.get("output"), str):
                self._last[entry["output"]] = entry

    def has_begun(self, identity: Mapping[str, Any]) -> bool:
        """Whether what is there can only be of this: a run began with it where nothing was."""
        return self.status(identity) in ("started", "done")

    def has_done(self, identity: Mapping[str, Any], files: Sequence[Path]) -> bool:
        """Whether all files are there that were made from the same input in the same way.

        A job that was begun where no file was, and all files that are there now, is done: each
        of them appears whole. A part of them is not the whole.
        """
        return self.has_begun(identity) and all(file.exists() for file in files)

    def status(self, identity: Mapping[str, Any]) -> str | None:
        """The last that is known of an output, if it is of the same input in the same way."""
        last = self._last.get(str(identity["output"]), {})
        same = all(last.get(name) == value for name, value in identity.items() if name != "input")
        return last.get("status") if same else None

    def add(self, entry: Mapping[str, Any]) -> None:
        """Write a line.

        Raises:
            OutputError: the folder has vanished, or the disk is full.
        """
        self._journal.append(entry)
        self._last[str(entry["output"])] = self._journal.records[-1]


def _is_hopeless(failure: BaseException, output: Path) -> bool:
    """Whether jobs after this one would fail for the same reason."""
    cause: BaseException | None = failure
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _HOPELESS:
            return True
        cause = cause.__cause__
    return not output.is_dir()
