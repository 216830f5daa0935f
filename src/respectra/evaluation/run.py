"""Running an evaluation: scene by scene, on several processes, continuing where one stopped."""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.process
import dataclasses
import multiprocessing
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from respectra.errors import ConfigError, naming
from respectra.evaluation.entries import MEMORY_GB, Entry, Methods, entries_of
from respectra.evaluation.measuring import Cost, fill_bandwidth, limited_threads, measure_cost
from respectra.evaluation.protocol import EvaluationOptions, Protocol
from respectra.evaluation.report import save_report
from respectra.evaluation.results import (
    Results,
    load_costs,
    load_methods,
    load_protocol,
    save_costs,
    save_methods,
    save_protocol,
    save_results,
)
from respectra.evaluation.scenes import EvaluationScene, Scenes, scenes_of
from respectra.evaluation.scorer import (
    Scorer,
    ScoringTask,
    Work,
    collect_rows,
    require_rows,
    tasks_of,
)
from respectra.evaluation.sharing import score_on
from respectra.files import file_lock, writing_to
from respectra.guards.limits import free_memory
from respectra.mirror import Mirror, Rules, mirrored
from respectra.progress import Progress, as_progress, tracked
from respectra.renaming import renamed_arguments
from respectra.threads import available_cores
from respectra.urls import parse_place

if TYPE_CHECKING:
    from respectra.cluster import Cluster

PathLike = str | os.PathLike[str]
#: How an evaluation that lies elsewhere is kept in step: first the details of a scene, then the
#: journal that speaks of them, at the end the tables, ``results.csv`` last. A run that is killed
#: has lost the scene it was at, and the same command goes on with it.
_KEPT = Rules(
    folders=("details", "clusters", "journal"),
    shared=("details", "clusters"),
    late="details",
    last=("protocol.json", "methods.json", "costs.json", "results.parquet", "results.csv"),
    at_end="results.",
)


@renamed_arguments(entries="methods", subjects="data")
def evaluate(
    methods: Methods,
    data: Scenes,
    output: PathLike | None = None,
    options: EvaluationOptions | None = None,
    *,
    report: PathLike | None = None,
    device: str = "cpu",
    collections: Mapping[str, str] | None = None,
    jobs: int = 1,
    threads: int = 1,
    timing_runs: int = 3,
    cluster_cache: PathLike | None = None,
    progress: Progress | None = None,
    cluster: Cluster | None = None,
) -> Results:
    """Score methods on scenes and store everything in a folder.

    The scores do not depend on ``jobs``. A folder that holds an evaluation by the same protocol is
    continued: what is there is not computed again, and further methods are added.

    Args:
        methods: names of classical methods, weights files, or entries of :func:`find_entries`; one
            or several.
        data: a folder of scenes or its URL, a collection, or scenes of
            :func:`evaluation_scenes_of`.
        output: folder to write; by URL as well, and then ``Results.folder`` is None.
        options: how to score.
        report: an HTML file that shows the results, replaced if it is there.
        device: of methods that are given by name, as for :func:`respectra.load`.
        collections: role -> name of the folder that scenes came from, where ``data`` does not say.
        jobs: processes beside each other, each with its own copy of the methods; 0 for as many as
            fit. More than one needs entries that can be pickled and, in a script, a guarded main
            block.
        threads: threads of each process.
        timing_runs: runs by which time and memory of each method are measured before anything
            else, on the largest scene; 0 leaves that out.
        cluster_cache: folder that keeps the clusters of the weighted score; in ``output`` by
            default.
        progress: told how far it is.
        cluster: whose workers see the same files and score, instead of ``jobs``; the journals
            are written here.

    Raises:
        ConfigError: the folder holds an evaluation by another protocol, nothing to evaluate, or
            two different methods of one name.
        DataError: a scene's file cannot be read.
        OutputError: another process writes to the folder, or it vanished meanwhile.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> rng = np.random.default_rng(0)
        >>> cube = rs.make_cube(rng.uniform(0.1, 1, (32, 32, 31)), range(400, 701, 10))
        >>> rs.save_cube(cube, "cubes/a.npz")
        >>> results = rs.evaluation.evaluate("wiener", "cubes", "report", timing_runs=0)
        >>> results.names
        ('wiener',)
    """
    output, report = _outputs(output, report)
    chosen, shown = options or EvaluationOptions(), as_progress(progress)
    subjects, named = scenes_of(data)
    entries = entries_of(methods, tracks=chosen.tracks, device=device)
    if jobs == 0:
        needed_gb = (float(one.facts.get("memory_gb", MEMORY_GB)) for one in entries)
        jobs = _suitable_jobs(len(subjects), max(needed_gb, default=MEMORY_GB))
    _check(entries, subjects, jobs, threads, timing_runs)
    protocol = Protocol(
        options=chosen,
        collections=dict(named if collections is None else collections),
        scenes=tuple(subject.record() for subject in subjects),
    )
    with mirrored(parse_place(output), _KEPT) as mirror:
        folder = mirror.folder
        work = Work(
            entries=tuple(entries),
            options=chosen,
            folder=folder,
            cache=folder / "clusters" if cluster_cache is None else Path(cluster_cache),
            threads=threads,
            jobs=jobs if cluster is None else cluster.threads,
            url=None if mirror.url is None else str(mirror.url),
        )
        results = _evaluate(mirror, protocol, work, subjects, timing_runs, cluster, shown)
        if report is not None:
            save_report(results, report, overwrite=True)
    return results if mirror.url is None else dataclasses.replace(results, folder=None)


def _evaluate(
    mirror: Mirror,
    protocol: Protocol,
    work: Work,
    subjects: Sequence[EvaluationScene],
    timing_runs: int,
    cluster: Cluster | None,
    shown: Progress,
) -> Results:
    """Score what the folder lacks, and write it down."""
    folder = work.folder
    with file_lock(folder, inside=True), writing_to(folder):
        protocol, facts = _continue(folder, protocol, work.entries)
        mirror.sync()
        costs = _measure_costs(work, _largest(subjects), timing_runs, shown)
        tasks = tasks_of(subjects, work.options)
        for _ in tracked(_run(tasks, work, cluster), shown, "scoring", len(tasks)):
            mirror.sync()
        require_rows(tasks, folder, work.entries, work.options)
        rows = collect_rows(tasks_of(subjects, protocol.options), folder, facts, protocol.options)
        results = Results(protocol, rows, costs, facts, folder)
        save_results(results, folder)
        require_rows(tasks, folder, work.entries, work.options)
        mirror.end()
    return results


def _outputs(output: PathLike | None, report: PathLike | None) -> tuple[PathLike, PathLike | None]:
    """Folder and page; the folder was called ``report`` before."""
    if output is not None:
        return output, report
    if report is None:
        raise ConfigError("an evaluation needs a folder to write: evaluate(methods, data, output)")
    message = "evaluate(report=FOLDER) is now output=FOLDER; report is an HTML file"
    warnings.warn(message, DeprecationWarning, stacklevel=4)
    return report, None


def _suitable_jobs(subjects: int, memory_gb: float) -> int:
    """Processes that need so much memory each, in three fifths of what is free."""
    fitting = int(0.6 * free_memory() / 1e9 / memory_gb)
    return max(1, min(available_cores(), subjects, fitting))


def _check(
    entries: Sequence[Entry],
    subjects: Sequence[EvaluationScene],
    jobs: int,
    threads: int,
    timing_runs: int,
) -> None:
    if not entries or not subjects:
        raise ConfigError("an evaluation needs at least one method and one scene")
    if jobs < 1 or threads < 1 or timing_runs < 0:
        raise ConfigError("jobs and threads are at least 1, timing runs at least 0")
    for one in entries:
        if not one.name or set(one.name) & set("/\\\0") or one.name.startswith("."):
            raise ConfigError(
                f"a method's name becomes that of a file; {one.name!r} cannot be one: NAME=FILE"
            )
    names = [(subject.role, subject.name) for subject in subjects]
    if len(set(names)) < len(names):
        raise ConfigError("two scenes of one collection have the same name; rename one")


def _continue(
    folder: Path, protocol: Protocol, entries: Sequence[Entry]
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
            facts = load_methods(folder)
    elif any(not path.name.startswith(".") for path in folder.glob("*")):
        raise ConfigError(f"{folder} is not empty and holds no evaluation; choose another folder")
    for one in entries:
        known = dict(facts.get(one.name, {}))
        prints = {track: one.fingerprint_for(track) for track in tracks if one.takes_part(track)}
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
    save_methods(facts, folder)
    return protocol, facts


def _largest(subjects: Sequence[EvaluationScene]) -> EvaluationScene:
    """The scene with the most pixels; the first one where none has a cube."""

    def pixels(subject: EvaluationScene) -> int:
        if subject.cube is None:
            return 0
        rows, columns, _ = subject.scene(subject.cube).peek().shape
        return rows * columns

    return max(subjects, key=pixels)


def _measure_costs(
    work: Work, subject: EvaluationScene, runs: int, progress: Progress
) -> tuple[Cost, ...]:
    """Costs of each method on one scene, before the machine is busy with scoring.

    Those that the folder holds are not measured again; 0 runs measure nothing.
    """
    there = (work.folder / "costs.json").is_file()
    costs = list(load_costs(work.folder)) if there else []
    known = {(cost.fingerprint, cost.track) for cost in costs}
    wanted = [
        (one, track)
        for track in work.options.tracks
        for one in work.entries
        if one.takes_part(track)
        and (one.fingerprint_for(track), track) not in known
        and (subject.cube is not None or track in subject.images)
    ]
    if not (runs and wanted):
        return tuple(costs)
    rate = fill_bandwidth()
    for one, track in tracked(wanted, progress, "timing"):
        with naming(subject.name):
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
        save_costs(costs, work.folder)
    return tuple(costs)


def _run(
    tasks: Sequence[ScoringTask], work: Work, cluster: Cluster | None
) -> Iterator[ScoringTask]:
    """Do the tasks; yields each when it is done."""
    if cluster is not None:
        yield from score_on(cluster, tasks, work)
        return
    if work.jobs == 1:
        scorer = Scorer(work)
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
_here: list[Scorer] = []


def _start(work: Work) -> None:
    _here.append(Scorer(work))


def _score_here(task: ScoringTask) -> ScoringTask:
    scorer = _here[0]
    with limited_threads(scorer.work.threads):
        scorer.score(task)
    return task
