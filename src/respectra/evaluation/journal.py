"""Tasks of an evaluation, and the journals that keep what is done of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from respectra.errors import ConfigError
from respectra.evaluation.auxiliary import TESTS
from respectra.evaluation.protocol import Options
from respectra.evaluation.results import PLAIN, Row, merge_rows
from respectra.evaluation.scenes import EvaluationScene
from respectra.guards.text import parse_object


@dataclass(frozen=True)
class Task:
    """One scene as one track sees it, for all methods: images are made once."""

    subject: EvaluationScene
    track: str
    seed: int

    def journal(self, folder: Path) -> Path:
        """File that keeps the rows that are done, one a line."""
        where = folder / "journal" / self.subject.role / self.track / str(self.seed)
        return where / f"{self.subject.name}.jsonl"


def tasks_of(subjects: Sequence[EvaluationScene], options: Options) -> list[Task]:
    """Every scene with every track that can show it, and every seed of its noise."""
    return [
        Task(subject, track, seed)
        for subject in subjects
        for track in options.tracks
        for seed in options.seeds_of(track)
        if subject.cube is not None or track in subject.images
    ]


@contextlib.contextmanager
def file_lock(folder: Path) -> Iterator[None]:
    """Be the only process that writes results to a folder, where the system can say so.

    Raises:
        ConfigError: another one does.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"another evaluation is writing to {folder}; wait for it, or choose another folder"
            ) from None
        yield


def read_journal(path: Path) -> list[Row]:
    """The rows of a journal; a last line that a killed run left half written is cut off."""
    if not path.is_file():
        return []
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return [
        Row.from_dict(parse_object(line, f"line {number} of {path}"))
        for number, line in enumerate(whole.splitlines(), 1)
    ]


def collect_rows(
    tasks: Sequence[Task], folder: Path, methods: Mapping[str, Any], options: Options
) -> tuple[Row, ...]:
    """All rows, in an order that does not depend on who finished first."""
    places = {name: place for place, name in enumerate(methods)}
    tests = {name: place for place, name in enumerate((PLAIN, *TESTS))}
    tracks = {name: place for place, name in enumerate(options.tracks)}
    rows = [row for task in tasks for row in read_journal(task.journal(folder))]
    rows.sort(
        key=lambda r: (r.role, tracks[r.track], places[r.method], tests[r.test], r.scene, r.seed)
    )
    return merge_rows(rows)
