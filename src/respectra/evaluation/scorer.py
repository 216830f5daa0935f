"""Tasks of an evaluation, the journals that keep what is done of them, and who does them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from respectra.errors import DataError, FormatError, OutputError, RespectraError, naming
from respectra.evaluation.auxiliary import (
    TESTS,
    Case,
    Challenge,
    InputTest,
    OutputTest,
    Recover,
    Test,
    score,
)
from respectra.evaluation.details import method_details, save_details, scene_details
from respectra.evaluation.entries import Entry
from respectra.evaluation.measuring import MeasuredRun, measured
from respectra.evaluation.protocol import EvaluationOptions
from respectra.evaluation.results import PLAIN, Row, details_path, scene_path
from respectra.evaluation.scenes import EvaluationScene
from respectra.files import make_folder
from respectra.journal import Journal
from respectra.storage import Copied


@dataclasses.dataclass(frozen=True)
class ScoringTask:
    """One scene as one track sees it, for all methods: images are made once."""

    subject: EvaluationScene
    track: str
    seed: int

    def journal(self, folder: Path) -> Path:
        """File that keeps the rows that are done, one a line."""
        where = folder / "journal" / self.subject.role / self.track / str(self.seed)
        return where / f"{self.subject.name}.jsonl"


def tasks_of(subjects: Sequence[EvaluationScene], options: EvaluationOptions) -> list[ScoringTask]:
    """Every scene with every track that can show it, and every seed of its noise."""
    return [
        ScoringTask(subject, track, seed)
        for subject in subjects
        for track in options.tracks
        for seed in options.seeds_of(track)
        if subject.cube is not None or track in subject.images
    ]


def open_journal(path: Path) -> tuple[Journal, list[Row]]:
    """The journal of a task, and its rows; see ``respectra.journal``.

    Raises:
        FormatError: a line was changed.
    """
    journal = Journal.resume(path)
    try:
        return journal, [Row.from_dict(record) for record in journal.records]
    except (TypeError, ValueError) as error:  # a FormatError is a ValueError
        raise FormatError(f"{path}: {error}; delete the file to score its scene again") from None


def wanted_rows(
    task: ScoringTask, entries: Sequence[Entry], options: EvaluationOptions
) -> list[tuple[str, str]]:
    """Method and test of every row of a task.

    What is drawn out of scope is scored plainly: the collection is the test.
    """
    tests = options.tests if task.subject.role == "main" else ()
    takers = [one for one in entries if one.takes_part(task.track)]
    return [(one.name, test) for one in takers for test in (PLAIN, *tests)]


def require_rows(
    tasks: Sequence[ScoringTask], folder: Path, entries: Sequence[Entry], options: EvaluationOptions
) -> None:
    """See that all that was scored is in the folder.

    Raises:
        OutputError: rows are missing: the folder vanished, or another one took its place.
    """
    there = wanted = 0
    for task in tasks:
        names = set(wanted_rows(task, entries, options))
        _, rows = open_journal(task.journal(folder))
        there += len(names & {(row.method, row.test) for row in rows})
        wanted += len(names)
    if there < wanted:
        raise OutputError(
            f"{folder} holds {there} of {wanted} rows: it vanished or was changed meanwhile; "
            "see to the folder and run the same command again"
        )


def collect_rows(
    tasks: Sequence[ScoringTask],
    folder: Path,
    methods: Mapping[str, Any],
    options: EvaluationOptions,
) -> tuple[Row, ...]:
    """All rows, in an order that does not depend on who finished first."""
    places = {name: place for place, name in enumerate(methods)}
    tests = {name: place for place, name in enumerate((PLAIN, *TESTS))}
    tracks = {name: place for place, name in enumerate(options.tracks)}
    rows = [row for task in tasks for row in open_journal(task.journal(folder))[1]]
    rows.sort(
        key=lambda r: (r.role, tracks[r.track], places[r.method], tests[r.test], r.scene, r.seed)
    )
    found: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        if found.setdefault(row.key, row) is not row:
            raise DataError(f"two rows are about {' '.join(map(str, row.key))}")
    return tuple(rows)


@dataclasses.dataclass(frozen=True)
class Work:
    """What every process knows.

    Attributes:
        entries: the methods.
        options: how to score.
        folder: where the evaluation is worked on.
        cache: folder of the clusters of scenes.
        threads: of a process.
        jobs: processes beside each other.
        url: where the evaluation belongs, if that is elsewhere.
        copies: what the scenes are copies of, for workers on other machines.
    """

    entries: tuple[Entry, ...]
    options: EvaluationOptions
    folder: Path
    cache: Path
    threads: int
    jobs: int
    url: str | None = None
    copies: tuple[Copied, ...] = ()


#: Takes a row as plain values.
Take = Callable[[dict[str, Any]], None]


def lacking(task: ScoringTask, work: Work) -> tuple[Journal, frozenset[tuple[str, str]]]:
    """The journal of a task, and which rows it lacks."""
    journal, rows = open_journal(task.journal(work.folder))
    done = {(row.method, row.test) for row in rows}
    return journal, frozenset(wanted_rows(task, work.entries, work.options)) - done


def begin_journal(journal: Journal, work: Work) -> None:
    """Begin the journal of a task, where it is not begun.

    Raises:
        OutputError: the evaluation's folder has vanished.
    """
    if journal.begun:
        return
    if not (work.folder / "protocol.json").is_file():  # which every evaluation begins with
        raise OutputError(
            f"{work.folder} has vanished; see to the folder and run the same command again"
        )
    make_folder(journal.path.parent)
    journal.begin()


@dataclasses.dataclass(frozen=True)
class _Sheet:
    """The rows that a task's journal lacks, and what takes them."""

    task: ScoringTask
    case: Case
    wanted: frozenset[tuple[str, str]]
    take: Take
    jobs: int

    def wants(self, one: Entry, test: str) -> bool:
        """Whether a row is missing."""
        return (one.name, test) in self.wanted

    def row(self, one: Entry, test: str) -> Row:
        """What the row is about."""
        task, subject = self.task, self.task.subject
        return Row(subject.role, subject.name, task.track, task.seed, one.name, test)

    def write(
        self,
        one: Entry,
        test: str,
        scores: Mapping[str, float] | None = None,
        *,
        note: str = "",
        cost: MeasuredRun | None = None,
    ) -> None:
        """Put a row into the journal, if it is missing there."""
        if not self.wants(one, test):
            return
        row = dataclasses.replace(
            self.row(one, test),
            fingerprint=one.fingerprint_for(self.task.track),
            scores=scores or {},
            note=note,
            seconds=None if cost is None else cost.seconds,
            peak_memory_mib=None if cost is None else cost.peak_mib,
            height=self.case.image.sizes["y"],
            width=self.case.image.sizes["x"],
            jobs=self.jobs,
        )
        self.take(row.as_dict())


class Scorer:
    """Scores tasks in one process, which keeps the methods it has made."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.tests: tuple[Test, ...] = tuple(TESTS[name] for name in work.options.tests)
        self._made: dict[tuple[str, str], Recover] = {}

    def score(self, task: ScoringTask) -> None:
        """Add the rows that a task's journal lacks."""
        journal, wanted = lacking(task, self.work)
        if not wanted:
            return
        case = self._open(task)
        begin_journal(journal, self.work)
        self._fill(task, case, wanted, journal.append)

    def rows(self, task: ScoringTask, wanted: frozenset[tuple[str, str]]) -> list[dict[str, Any]]:
        """The rows of a task that are wanted, for somebody else's journal."""
        found: list[dict[str, Any]] = []
        self._fill(task, self._open(task), wanted, found.append)
        return found

    def _open(self, task: ScoringTask) -> Case:
        with naming(task.subject.name):
            return task.subject.open(task.track, task.seed, self.work.options, self.work.cache)

    def _fill(
        self, task: ScoringTask, case: Case, wanted: frozenset[tuple[str, str]], take: Take
    ) -> None:
        tests = self.tests if task.subject.role == "main" else ()
        sheet = _Sheet(task, case, wanted, take, self.work.jobs)
        self._judge(sheet, [test for test in tests if isinstance(test, OutputTest)])
        for test in tests:
            if isinstance(test, InputTest):
                self._challenge(sheet, test)

    def _judge(self, sheet: _Sheet, tests: Sequence[OutputTest]) -> None:
        """The plain test and the judgements: all that needs the cube of the image as it is."""
        names = (PLAIN, *(test.name for test in tests))
        case, options, track = sheet.case, self.work.options, sheet.task.track
        scene: dict[str, Any] | None = None
        for one in self.work.entries:
            if not any(sheet.wants(one, name) for name in names):
                continue
            scores: Mapping[str, float] = {}
            try:
                recover = self._recover(one, track)
                estimate, cost = measured(lambda: recover(case.image))  # noqa: B023 - called here
                if case.truth is not None:
                    scores = score(case.truth, estimate, case, options.metrics, valid=case.valid)
            except RespectraError as error:
                for name in names:
                    sheet.write(one, name, note=f"failed: {error}")
                continue
            for test in tests:
                if sheet.wants(one, test.name):
                    given, lacks = _judgement(test, case, estimate, recover)
                    sheet.write(one, test.name, given, note=lacks)
            if sheet.wants(one, PLAIN):
                if sheet.task.seed == options.seeds[0]:
                    scene = self._scene(sheet) if scene is None else scene
                    clustered = case.truth is not None and "weighted" in options.tests
                    labels = case.labels() if clustered else None
                    found = method_details(case, estimate, scene, labels)
                    save_details(found, details_path(self.work.folder, sheet.row(one, PLAIN)))
                note = "" if scores else "the scene has no truth"
                sheet.write(one, PLAIN, scores, note=note, cost=cost)

    def _challenge(self, sheet: _Sheet, test: InputTest) -> None:
        """One challenge: its image is made once and shown to every method."""
        takers = [one for one in self.work.entries if sheet.wants(one, test.name)]
        if not takers:
            return
        challenge: Challenge | None = None
        lacks = test.missing(sheet.case)
        if not lacks:
            try:
                challenge = test.challenge(sheet.case)
            except RespectraError as error:
                lacks = f"failed: {error}"
        for one in takers:
            if challenge is None:
                sheet.write(one, test.name, note=lacks)
                continue
            try:
                recover = self._recover(one, sheet.task.track)
                sheet.write(one, test.name, test.score(sheet.case, recover, challenge))
            except RespectraError as error:
                sheet.write(one, test.name, note=f"failed: {error}")

    def _recover(self, one: Entry, track: str) -> Recover:
        key = one.name, track
        if key not in self._made:
            self._made[key] = one.make(track)
        return self._made[key]

    def _scene(self, sheet: _Sheet) -> dict[str, npt.NDArray[Any]]:
        found = scene_details(sheet.case)
        subject = sheet.task.subject
        path = scene_path(self.work.folder, subject.role, sheet.task.track, subject.name)
        save_details(found, path)
        return found


def _judgement(
    test: OutputTest, case: Case, estimate: Any, recover: Recover
) -> tuple[dict[str, float], str]:
    """The scores of a judgement, and why there are none."""
    lacks = test.missing(case)
    if lacks:
        return {}, lacks
    try:
        scores = dict(test.score(case, estimate, recover))
    except RespectraError as error:
        return {}, f"failed: {error}"
    return scores, "" if scores else "the method does not offer it"
