"""Running an evaluation: scene by scene, on several processes, continuing where one stopped."""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.process
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil
import xarray as xr

from respectra.cubes import inspect
from respectra.errors import ConfigError, RespectraError
from respectra.evaluation import metrics
from respectra.evaluation.auxiliary import (
    TESTS,
    Case,
    Challenge,
    ChallengeTest,
    Judgement,
    Recover,
    Test,
    score,
)
from respectra.evaluation.contestants import Contestant
from respectra.evaluation.details import method_details, save_details, scene_details
from respectra.evaluation.measuring import (
    Cost,
    Measured,
    fill_bandwidth,
    limited_threads,
    measure_cost,
    measured,
)
from respectra.evaluation.protocol import Options, Protocol
from respectra.evaluation.results import (
    PLAIN,
    Results,
    Row,
    details_path,
    load_protocol,
    merge_rows,
    save_protocol,
    save_results,
    scene_path,
)
from respectra.evaluation.subjects import Subject
from respectra.files import atomic_path

T = TypeVar("T")
#: Shows how far something got: takes items, what they are and how many; yields them.
Progress = Callable[[Iterable[Any], str, int], Iterator[Any]]


@dataclass(frozen=True)
class _Task:
    """One scene as one track sees it, for all methods: images are made once."""

    subject: Subject
    track: str
    seed: int

    def journal(self, folder: Path) -> Path:
        """File that keeps the rows that are done, one a line."""
        where = folder / "journal" / self.subject.role / self.track / str(self.seed)
        return where / f"{self.subject.name}.jsonl"


@dataclass(frozen=True)
class _Work:
    """What every process knows."""

    contestants: tuple[Contestant, ...]
    options: Options
    folder: Path
    cache: Path
    threads: int
    jobs: int


def evaluate(
    contestants: Sequence[Contestant],
    subjects: Sequence[Subject],
    report: str | os.PathLike[str],
    options: Options | None = None,
    *,
    collections: Mapping[str, str] | None = None,
    jobs: int = 1,
    threads: int = 1,
    timing_runs: int = 3,
    cluster_cache: str | os.PathLike[str] | None = None,
    progress: Progress = lambda items, what, count: iter(items),
) -> Results:
    """Score methods on scenes and store everything in a folder.

    The scores do not depend on ``jobs``. A folder that holds an evaluation by the same protocol is
    continued: what is there is not computed again, and further methods are added.

    Args:
        contestants: the methods; see ``find_contestants``.
        subjects: the scenes; see ``subjects_of``.
        report: folder to write.
        options: how to score.
        collections: role -> name of the folder the scenes came from.
        jobs: processes beside each other, each with its own copy of the methods. More than one
            needs contestants that can be pickled and, in a script, a guarded main block.
        threads: threads of each process.
        timing_runs: runs by which time and memory of each method are measured before anything
            else, on the largest scene; 0 leaves that out.
        cluster_cache: folder that keeps the clusters of the weighted score; in ``report`` by
            default.
        progress: shows how far it got.

    Raises:
        ConfigError: the folder holds an evaluation by another protocol, nothing to evaluate, or
            two different methods of one name.
        DataError: a scene's file cannot be read.
    """
    chosen = options or Options()
    if not contestants or not subjects:
        raise ConfigError("an evaluation needs at least one method and one scene")
    if jobs < 1 or threads < 1 or timing_runs < 0:
        raise ConfigError("jobs and threads are at least 1, timing runs at least 0")
    for one in contestants:
        if not one.name or set(one.name) & set("/\\\0") or one.name.startswith("."):
            raise ConfigError(
                f"a method's name becomes that of a file; {one.name!r} cannot be one: NAME=FILE"
            )
    names = [(subject.role, subject.name) for subject in subjects]
    if len(set(names)) < len(names):
        raise ConfigError("two scenes of one collection have the same name; rename one")
    folder = Path(report)
    protocol = Protocol(
        options=chosen,
        collections=dict(collections or {}),
        scenes=tuple(subject.record() for subject in subjects),
    )
    protocol, facts = _continue(folder, protocol, contestants)
    work = _Work(
        contestants=tuple(contestants),
        options=chosen,
        folder=folder,
        cache=folder / "clusters" if cluster_cache is None else Path(cluster_cache),
        threads=threads,
        jobs=jobs,
    )
    costs = _measure_costs(work, _largest(subjects), timing_runs, progress)
    tasks = _tasks(subjects, chosen)
    for _ in progress(_run(tasks, work), "scoring", len(tasks)):
        pass
    rows = _collect(_tasks(subjects, protocol.options), folder, facts, protocol.options)
    results = Results(protocol, rows, costs, facts, folder)
    save_results(results, folder)
    return results


def suitable_jobs(subjects: int, memory_gb: float, memory_share: float = 0.6) -> int:
    """Processes that a machine can run beside each other.

    Args:
        subjects: scenes.
        memory_gb: what one process needs.
        memory_share: share of the free memory to use.
    """
    free = psutil.virtual_memory().available / 1e9 * memory_share
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(cores or 1, subjects, int(free / memory_gb)))


def _continue(
    folder: Path, protocol: Protocol, contestants: Sequence[Contestant]
) -> tuple[Protocol, dict[str, Mapping[str, Any]]]:
    """Prepare a folder, or make sure that it can be continued.

    Returns:
        The protocol of all that the folder will hold, and the facts of all its methods.
    """
    facts: dict[str, Mapping[str, Any]] = {}
    tracks = protocol.options.tracks
    if (folder / "protocol.json").is_file():
        try:
            protocol = load_protocol(folder).joined(protocol)
        except ConfigError as error:
            raise ConfigError(f"{folder}: {error}; choose another folder") from None
        if (folder / "methods.json").is_file():
            facts = json.loads((folder / "methods.json").read_text("utf-8"))
    elif folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty and holds no evaluation; choose another folder")
    for one in contestants:
        known = dict(facts.get(one.name, {}))
        prints = {track: one.fingerprint_for(track) for track in tracks}
        before = known.get("fingerprints", {})
        if any(before.get(track, value) != value for track, value in prints.items()):
            raise ConfigError(
                f"{folder} holds another method called {one.name!r}; name this one apart: "
                f"NAME={one.name}"
            )
        trained = {**known.get("trained_for", {}), **one.facts.get("trained_for", {})}
        facts[one.name] = {
            **one.facts,
            "trained_for": trained,
            "fingerprints": {**before, **prints},
        }
    save_protocol(protocol, folder)
    with atomic_path(folder / "methods.json", overwrite=True) as path:
        path.write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    return protocol, facts


def _tasks(subjects: Sequence[Subject], options: Options) -> list[_Task]:
    return [
        _Task(subject, track, seed)
        for subject in subjects
        for track in options.tracks
        for seed in options.seeds_of(track)
        if subject.cube is not None or track in subject.images
    ]


def _largest(subjects: Sequence[Subject]) -> Subject:
    """The scene with the most pixels; the first one where none has a cube."""

    def pixels(subject: Subject) -> int:
        if subject.cube is None:
            return 0
        rows, columns, _ = inspect(subject.cube)["shape"]
        return int(rows * columns)

    return max(subjects, key=pixels)


def _measure_costs(
    work: _Work, subject: Subject, runs: int, progress: Progress
) -> tuple[Cost, ...]:
    """Time and memory of each method on one scene, before the machine is busy."""
    path = work.folder / "costs.json"
    costs = [Cost(**c) for c in json.loads(path.read_text("utf-8"))] if path.is_file() else []
    known = {(cost.fingerprint, cost.track) for cost in costs}
    wanted = [
        (one, track)
        for track in work.options.tracks
        for one in work.contestants
        if (one.fingerprint_for(track), track) not in known
        and (subject.cube is not None or track in subject.images)
    ]
    if runs and wanted:
        rate = fill_bandwidth()
        for one, track in progress(wanted, "timing", len(wanted)):
            case = subject.open(track, work.options.seeds[0], work.options, None)
            with limited_threads(work.threads):
                costs.append(
                    measure_cost(
                        one.make(track),
                        case.image,
                        method=one.name,
                        fingerprint=one.fingerprint_for(track),
                        track=track,
                        device=str(one.facts.get("device", "cpu")),
                        threads=work.threads,
                        runs=runs,
                        fill_rate=rate,
                    )
                )
            with atomic_path(path, overwrite=True) as temporary:
                temporary.write_text(json.dumps([c.model_dump(mode="json") for c in costs]))
    return tuple(costs)


def _run(tasks: Sequence[_Task], work: _Work) -> Iterator[_Task]:
    """Do the tasks; yields each when it is done."""
    if work.jobs == 1:
        scorer = _Scorer(work)
        with limited_threads(work.threads):
            for task in tasks:
                scorer.score(task)
                yield task
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        work.jobs, context, initializer=_start, initargs=(work,)
    ) as pool:
        waiting = [pool.submit(_score_here, task) for task in tasks]
        try:
            for done in concurrent.futures.as_completed(waiting):
                yield done.result()
        except concurrent.futures.process.BrokenProcessPool:
            raise ConfigError(
                f"one of {work.jobs} processes was killed, most likely for want of memory; run the "
                "same again with fewer jobs: what is done is kept"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


#: The scorer of a process that was started to score.
_here: list[_Scorer] = []


def _start(work: _Work) -> None:
    _here.append(_Scorer(work))


def _score_here(task: _Task) -> _Task:
    scorer = _here[0]
    with limited_threads(scorer.work.threads):
        scorer.score(task)
    return task


class _Scorer:
    """Scores tasks in one process, which keeps the methods it has made."""

    def __init__(self, work: _Work) -> None:
        self.work = work
        self.tests: tuple[Test, ...] = tuple(TESTS[name] for name in work.options.tests)
        self._made: dict[tuple[str, str], Recover] = {}

    def score(self, task: _Task) -> None:
        """Add the rows that a task's journal lacks."""
        journal = task.journal(self.work.folder)
        done = {(row.method, row.test) for row in _read_journal(journal)}
        # What is drawn out of scope is scored plainly: the collection is the test.
        tests = self.tests if task.subject.role == "main" else ()
        wanted = {
            (one.name, test)
            for one in self.work.contestants
            for test in (PLAIN, *(t.name for t in tests))
        } - done
        if not wanted:
            return
        case = task.subject.open(task.track, task.seed, self.work.options, self.work.cache)
        journal.parent.mkdir(parents=True, exist_ok=True)
        with journal.open("a", encoding="utf-8") as file:

            def keep(row: Row) -> None:
                if (row.method, row.test) in wanted:
                    file.write(json.dumps(row.as_dict()) + "\n")
                    file.flush()

            self._judge(task, case, tests, wanted, keep)
            self._challenge(task, case, tests, wanted, keep)

    def _judge(
        self,
        task: _Task,
        case: Case,
        tests: Sequence[Test],
        wanted: set[tuple[str, str]],
        keep: Callable[[Row], None],
    ) -> None:
        """The plain test and the judgements: all that needs the cube of the image as it is."""
        judgements = [test for test in tests if isinstance(test, Judgement)]
        names = {PLAIN, *(test.name for test in judgements)}
        scene: dict[str, Any] | None = None
        for one in self.work.contestants:
            if not any((one.name, name) in wanted for name in names):
                continue
            row = _row(task, case, one, PLAIN, self.work.jobs)
            try:
                recover = self._recover(one, task.track)
                estimate, cost = measured(lambda: recover(case.image))  # noqa: B023 - called here
                scores: Mapping[str, float] = {}
                if case.truth is not None:
                    options = self.work.options
                    scores = score(case.truth, estimate, case, options.metrics, valid=case.valid)
            except RespectraError as error:
                for name in names:
                    keep(_row(task, case, one, name, self.work.jobs, note=f"failed: {error}"))
                continue
            for test in judgements:
                if (one.name, test.name) in wanted:
                    keep(self._judgement(task, case, one, test, estimate, recover))
            if (one.name, PLAIN) in wanted:
                if task.seed == self.work.options.seeds[0]:
                    scene = self._scene(task, case) if scene is None else scene
                    found = method_details(case, estimate, scene, self._labels(case))
                    save_details(found, details_path(self.work.folder, row))
                note = "" if scores else "the scene has no truth"
                keep(_row(task, case, one, PLAIN, self.work.jobs, scores, note, cost))

    def _judgement(
        self,
        task: _Task,
        case: Case,
        one: Contestant,
        test: Judgement,
        estimate: xr.DataArray,
        recover: Recover,
    ) -> Row:
        lacks, scores = test.missing(case), {}
        if not lacks:
            try:
                scores = dict(test.score(case, estimate, recover))
                lacks = "" if scores else "the method does not offer it"
            except RespectraError as error:
                lacks = f"failed: {error}"
        return _row(task, case, one, test.name, self.work.jobs, scores, lacks)

    def _challenge(
        self,
        task: _Task,
        case: Case,
        tests: Sequence[Test],
        wanted: set[tuple[str, str]],
        keep: Callable[[Row], None],
    ) -> None:
        """The challenges: each image is made once and shown to every method."""
        for test in tests:
            if not isinstance(test, ChallengeTest):
                continue
            takers = [one for one in self.work.contestants if (one.name, test.name) in wanted]
            if not takers:
                continue
            task_set: Challenge | None = None
            lacks = test.missing(case)
            if not lacks:
                try:
                    task_set = test.challenge(case)
                except RespectraError as error:
                    lacks = f"failed: {error}"
            for one in takers:
                if task_set is None:
                    keep(_row(task, case, one, test.name, self.work.jobs, note=lacks))
                    continue
                try:
                    scores = test.score(case, self._recover(one, task.track), task_set)
                except RespectraError as error:
                    note = f"failed: {error}"
                    keep(_row(task, case, one, test.name, self.work.jobs, note=note))
                else:
                    keep(_row(task, case, one, test.name, self.work.jobs, scores))

    def _recover(self, one: Contestant, track: str) -> Recover:
        key = one.name, track
        if key not in self._made:
            self._made[key] = one.make(track)
        return self._made[key]

    def _scene(self, task: _Task, case: Case) -> dict[str, Any]:
        found = scene_details(case)
        subject = task.subject
        save_details(found, scene_path(self.work.folder, subject.role, task.track, subject.name))
        return found

    def _labels(self, case: Case) -> np.ndarray[Any, np.dtype[np.int32]] | None:
        """Clusters of the scene, where the weighted score keeps them."""
        if "weighted" not in self.work.options.tests or case.truth is None:
            return None
        rules = case.rules
        return metrics.spectral_clusters(
            case.truth,
            rules.clusters,
            case.seed,
            init_size=rules.cluster_init_size,
            cache=rules.cluster_cache,
        )


def _row(
    task: _Task,
    case: Case,
    one: Contestant,
    test: str,
    jobs: int,
    scores: Mapping[str, float] | None = None,
    note: str = "",
    cost: Measured | None = None,
) -> Row:
    return Row(
        role=task.subject.role,
        scene=task.subject.name,
        track=task.track,
        seed=task.seed,
        method=one.name,
        test=test,
        fingerprint=one.fingerprint_for(task.track),
        scores=dict(scores or {}),
        note=note,
        seconds=None if cost is None else cost.seconds,
        peak_memory_mib=None if cost is None else cost.peak_mib,
        height=case.image.sizes["y"],
        width=case.image.sizes["x"],
        jobs=jobs,
    )


def _read_journal(path: Path) -> list[Row]:
    """The rows of a journal; a last line that a killed run left half written is cut off."""
    if not path.is_file():
        return []
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return [Row.from_dict(json.loads(line)) for line in whole.decode("utf-8").splitlines()]


def _collect(
    tasks: Sequence[_Task], folder: Path, facts: Mapping[str, Any], options: Options
) -> tuple[Row, ...]:
    """All rows, in an order that does not depend on who finished first."""
    methods = {name: place for place, name in enumerate(facts)}
    tests = {name: place for place, name in enumerate((PLAIN, *TESTS))}
    tracks = {name: place for place, name in enumerate(options.tracks)}
    rows = [row for task in tasks for row in _read_journal(task.journal(folder))]
    rows.sort(
        key=lambda r: (r.role, tracks[r.track], methods[r.method], tests[r.test], r.scene, r.seed)
    )
    return merge_rows(rows)
