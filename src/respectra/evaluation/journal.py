"""Tasks of an evaluation, and the journals that keep what is done of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from respectra.errors import FormatError, OutputError
from respectra.evaluation.auxiliary import TESTS
from respectra.evaluation.entries import Entry
from respectra.evaluation.protocol import EvaluationOptions
from respectra.evaluation.results import PLAIN, Row, merge_rows
from respectra.evaluation.scenes import EvaluationScene
from respectra.journal import Journal


@dataclass(frozen=True)
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
    return merge_rows(rows)
