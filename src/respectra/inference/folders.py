"""Many pictures at once: a manifest of what was done, one failure at a time.

The manifest is a journal (``respectra.journal``) in the output folder. A run that ended, however
it ended, is taken up by the same command: what is done is skipped where the input, the method, its
weights and its options are those of then. Of a folder beyond this machine the manifest grows there
as it does here; see :class:`respectra.mirror.GrowingFile`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from respectra import storage
from respectra.cameras import InputKind
from respectra.errors import DataError, OutputError, RespectraError
from respectra.files import file_lock, make_folder, recover, remove
from respectra.identity import content_hash
from respectra.inference.ensembles import Recovers
from respectra.inference.jobs import Job, Outcome, cube_files
from respectra.journal import Journal
from respectra.mirror import GrowingFile
from respectra.urls import Place, Url

if TYPE_CHECKING:
    from respectra.cluster import Cluster

#: Name of the manifest within the output folder.
MANIFEST = "manifest.jsonl"
#: After these, no other cube could be written either.
_HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

#: Gives what recovers a picture of a kind.
Choose = Callable[[Path, InputKind], Recovers]
#: Writes the cube of a picture of a kind, whole or not at all, and gives facts for the manifest.
Work = Callable[[Recovers, Path, Path, InputKind], Mapping[str, Any]]
#: All files that the cube of this name, of the picture of that, is made of.
Outputs = Callable[[Path, Place], Sequence[Path]]


def run_jobs(
    jobs: Sequence[Job],
    output: Place,
    choose: Choose,
    work: Work,
    *,
    options: Mapping[str, Any] | None = None,
    outputs: Outputs = lambda target, source: cube_files(target),
    overwrite: bool = False,
    fail_fast: bool = False,
    cluster: Cluster | None = None,
) -> Iterator[Outcome]:
    """Do one job after the other, or on the workers of a cluster, and keep the manifest.

    Args:
        jobs: what is to be done.
        output: folder of the manifest; the cubes lie in it.
        choose: gives the reconstructor for a job.
        work: writes the cube of a job.
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
            job.told_to(choose)  # a method that does not exist makes no folder
    settled: list[Outcome] = []

    def due() -> Iterator[tuple[_Begun, tuple[Any, ...]]]:
        """Jobs that have to be done; the others are settled."""
        for job in jobs:
            start = time.perf_counter()
            try:
                reconstructor = job.told_to(choose)  # a method that does not exist ends the run
                found = run.begin(job, reconstructor, start)
            except DataError as error:  # what a picture says of itself may have to be read
                found = run.end(_failed(job, start, error))
            if isinstance(found, Outcome):
                settled.append(found)
                if run.ends_with(found):
                    return
                continue
            manifest.sync()
            method = reconstructor if cluster is None else cluster.send(reconstructor)
            yield (job, found, start), (work, method, job)

    with _manifest_of(output) as manifest:
        run = _Run(output, manifest, options or {}, outputs, overwrite, fail_fast)
        attempts = _one_by_one(due()) if cluster is None else cluster.run(_attempt, due())
        for (job, identity, start), outcome in attempts:
            yield from run.taken(settled)
            if isinstance(outcome, BaseException):
                outcome = _failed(job, start, outcome)
            yield from run.taken([run.end(outcome, identity)])
        yield from run.taken(settled)


#: A job that is worked on, what its cube depends on, and when it was begun.
_Begun = tuple[Job, Mapping[str, Any], float]


def _one_by_one(
    due: Iterator[tuple[_Begun, tuple[Any, ...]]],
) -> Iterator[tuple[_Begun, Outcome]]:
    for begun, arguments in due:
        yield begun, _attempt(*arguments)


def _attempt(work: Work, reconstructor: Recovers, job: Job) -> Outcome:
    """Work on a job, here or on a worker."""
    start = time.perf_counter()
    try:
        with job.here() as (source, target):
            facts = work(reconstructor, source, target, job.kind)
    except (RespectraError, MemoryError) as error:
        return _failed(job, start, error)
    return Outcome(job, "done", time.perf_counter() - start, facts=facts)


def _failed(job: Job, start: float, failure: BaseException) -> Outcome:
    seconds, message = time.perf_counter() - start, str(failure) or "out of memory"
    return Outcome(job, "failed", seconds, error=message, failure=failure)


@dataclass
class _Run:
    """A run over jobs: what the manifest says of them before and after."""

    output: Place
    manifest: Manifest
    options: Mapping[str, Any]
    outputs: Outputs
    overwrite: bool
    fail_fast: bool

    def __post_init__(self) -> None:
        # Not by id, which a later reconstructor may have when this one is gone.
        self._signatures: WeakKeyDictionary[Recovers, str] = WeakKeyDictionary()

    def begin(self, job: Job, reconstructor: Recovers, start: float) -> Mapping[str, Any] | Outcome:
        """Write down that a job is begun, and what its cube depends on.

        An outcome is given of one that is done already or cannot be.
        """
        weights = self._signatures.get(reconstructor) or reconstructor.signature()
        self._signatures[reconstructor] = weights
        try:
            identity = {
                "output": self._name_of(job.target),
                "sha256": _hash_of(job.source),
                "input": job.name,
                "kind": job.kind,
                "method": reconstructor.name,
                "weights": weights,
                "options": dict(self.options),
            }
            if self._is_settled(job, identity):
                return Outcome(job, "skipped", time.perf_counter() - start)
        except (RespectraError, MemoryError) as error:
            return self.end(_failed(job, start, error))
        return identity

    def _is_settled(self, job: Job, identity: Mapping[str, Any]) -> bool:
        """Whether nothing is left to do of a job; else the manifest says that it is begun.

        A job that was begun where no file was, and all files that are there now, is done: each
        of them appears whole. A part of them is not the whole.

        Raises:
            OutputError: something else is there.
        """
        files = self._files_of(job)
        there = [file for file in files if storage.exists(file)]
        before = self.manifest.status(identity)
        whole = there == files and all(isinstance(file, Url) or file.exists() for file in files)
        if not self.overwrite and before in ("started", "done") and whole:
            if before == "started":  # killed before its last line
                self.manifest.add({**identity, "status": "done"})
                if isinstance(files[0], Path):
                    with file_lock(files[0]):
                        pass  # which deletes that run's lock
            return True
        if there and not self.overwrite:
            if before not in ("started", "done"):
                raise OutputError(
                    f"{there[0]} exists already, not of this input by this method; choose "
                    "another folder or pass --overwrite"
                )
            for file in there:  # of a run that was killed between two of them
                if isinstance(file, Path):
                    remove(file)
            there = []
        if not there:
            self.manifest.add({**identity, "status": "started"})
        return False

    def _files_of(self, job: Job) -> list[Place]:
        if isinstance(job.target, Path):
            recover(job.target)
            return list(self.outputs(job.target, job.source))
        names = self.outputs(Path(job.target.name), job.source)
        return [job.target.with_name(file.name) for file in names]

    def _name_of(self, target: Place) -> str:
        """A cube, as the manifest names it."""
        if isinstance(target, Path):
            assert isinstance(self.output, Path)
            return target.relative_to(self.output).as_posix()
        return str(target).removeprefix(str(self.output)).strip("/") or target.name

    def end(self, outcome: Outcome, identity: Mapping[str, Any] | None = None) -> Outcome:
        """Write down what came of a job, and of one that is done what its cube depends on."""
        job, ended = outcome.job, {"seconds": round(outcome.seconds, 3)}
        if outcome.failure is None:
            self.manifest.add({**(identity or {}), "status": "done", **ended, **outcome.facts})
        elif not self._is_hopeless(outcome.failure):
            line = {"output": self._name_of(job.target), "input": job.name, "status": "failed"}
            self.manifest.add({**line, **ended, "error": outcome.error})
        return outcome

    def taken(self, outcomes: list[Outcome]) -> Iterator[Outcome]:
        """Give outcomes and forget them; raise those that end the run."""
        while outcomes:
            outcome = outcomes.pop(0)
            if outcome.failure is not None and self.ends_with(outcome):
                raise outcome.failure
            yield outcome

    def ends_with(self, outcome: Outcome) -> bool:
        """Whether a run ends with this outcome."""
        failure = outcome.failure
        return failure is not None and (self.fail_fast or self._is_hopeless(failure))

    def _is_hopeless(self, failure: BaseException) -> bool:
        """Whether jobs after this one would fail for the same reason."""
        cause: BaseException | None = failure
        while cause is not None:
            if isinstance(cause, OSError) and cause.errno in _HOPELESS:
                return True
            cause = cause.__cause__
        return isinstance(self.output, Path) and not self.output.is_dir()


def _hash_of(source: Place) -> str:
    """What another content of a picture has another of; one elsewhere is not fetched for that."""
    if isinstance(source, Path):
        return content_hash(source)
    return hashlib.sha256(storage.fingerprint(source).encode()).hexdigest()


class Manifest:
    """What was done in an output folder, one JSON line an event; the last of an output counts.

    ``there`` is what stands for the file elsewhere.

    Raises:
        OutputError: the folder cannot be written.
        FormatError: a line was changed.
    """

    def __init__(self, file: Path, there: GrowingFile | None = None) -> None:
        self._journal, self._there = Journal.resume(file), there
        if not self._journal.begun:
            self._journal.begin()
        self._last: dict[str, dict[str, Any]] = {}
        for entry in self._journal.records:
            if isinstance(entry.get("output"), str):
                self._last[entry["output"]] = entry

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

    def sync(self) -> None:
        """Put the lines that are new, where the manifest is elsewhere.

        Raises:
            OutputError: the place cannot be reached, or another run writes there.
        """
        if self._there is not None:
            self._there.sync()


@contextlib.contextmanager
def _manifest_of(output: Place) -> Iterator[Manifest]:
    """The manifest of an output folder, for the only run that writes there."""
    if isinstance(output, Url):
        with tempfile.TemporaryDirectory(prefix="respectra-") as folder:
            there = GrowingFile(Path(folder) / MANIFEST, output / MANIFEST)
            with there.growing():
                yield Manifest(there.path, there)
        return
    make_folder(output)
    with file_lock(output, inside=True):
        yield Manifest(output / MANIFEST)
