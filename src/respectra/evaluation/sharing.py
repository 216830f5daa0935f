"""Workers that score: what they are sent, and what they give back.

The journals are written by whoever sends the work. Details are written by the workers, into the
folder that they see as well; of an evaluation elsewhere, they are put there.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from respectra import storage, uploads
from respectra.evaluation.measuring import limited_threads
from respectra.evaluation.scorer import Scorer, ScoringTask, Work, begin_journal, lacking
from respectra.journal import Journal
from respectra.urls import Url

if TYPE_CHECKING:
    from respectra.cluster import Cluster

__all__ = ["score_on"]


def score_on(cluster: Cluster, tasks: Sequence[ScoringTask], work: Work) -> Iterator[ScoringTask]:
    """Have workers score what is lacking; the rows are written down here.

    Yields:
        each task when it is done.
    """
    files = [path for task in tasks for path in task.subject.files()]
    sent = cluster.send(dataclasses.replace(work, copies=storage.copies_of(files)))
    complete: list[ScoringTask] = []

    def due() -> Iterator[tuple[tuple[ScoringTask, Journal], tuple[Any, ...]]]:
        for task in tasks:
            journal, wanted = lacking(task, work)
            if wanted:
                yield (task, journal), (sent, task, wanted)
            else:
                complete.append(task)

    for (task, journal), rows in cluster.run(_score_there, due()):
        if isinstance(rows, BaseException):
            raise rows
        begin_journal(journal, work)
        for row in rows:
            journal.append(row)
        yield task
    yield from complete


class _Desk:
    """What a worker scores with, for the work that it was sent."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.roots = {copied.root: copied.here() for copied in work.copies}
        self._held: tempfile.TemporaryDirectory[str] | None = None
        if work.url is not None:
            self._held = tempfile.TemporaryDirectory(prefix="respectra-")
            folder = Path(self._held.name)
            cache = folder / "clusters" if work.cache == work.folder / "clusters" else work.cache
            work = dataclasses.replace(work, folder=folder, cache=cache)
        self.scorer = Scorer(work)

    def rows(self, task: ScoringTask, wanted: frozenset[tuple[str, str]]) -> list[dict[str, Any]]:
        """The rows of a task; its details are where they belong."""
        task = dataclasses.replace(task, subject=task.subject.moved(self.roots))
        with limited_threads(self.work.threads):
            rows = self.scorer.rows(task, wanted)
        if self.work.url is not None:
            folder = self.scorer.work.folder
            for path in sorted((folder / "details").rglob("*.npz")):
                name = path.relative_to(folder).as_posix()
                uploads.put(path, Url.parse(self.work.url) / name)
            shutil.rmtree(folder / "details", ignore_errors=True)
        return rows


_desks: list[_Desk] = []


def _score_there(
    work: Work, task: ScoringTask, wanted: frozenset[tuple[str, str]]
) -> list[dict[str, Any]]:
    if not _desks or _desks[0].work is not work:
        _desks[:] = [_Desk(work)]
    return _desks[0].rows(task, wanted)
