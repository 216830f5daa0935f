"""Results: one row a scene, method and test, with the protocol beside them."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from respectra.errors import ConfigError, FormatError
from respectra.evaluation.measuring import Cost
from respectra.evaluation.protocol import FORMAT, Protocol
from respectra.files import atomic_path
from respectra.guards.text import read_json, read_object, read_text
from respectra.storage import local_folder

#: Columns that say what a row is about.
KEYS = ("role", "scene", "track", "seed", "method", "test")
#: Name of the test that is none: the image as it is.
PLAIN = "plain"
#: Columns that are no scores.
_OTHERS = (*KEYS, "fingerprint", "note", "seconds", "peak_memory_mib", "height", "width", "jobs")
#: What the columns hold that are not decimal numbers.
_TEXTS = frozenset({"role", "scene", "track", "method", "test", "fingerprint", "note"})
_WHOLE = frozenset({"seed", "height", "width", "jobs"})


@dataclass(frozen=True)
class Row:
    """The scores of one method in one test on one scene.

    Attributes:
        role: ``main``, or ``out-of-scope`` for the second collection.
        scene: name of the scene.
        track: of the image.
        seed: of the noise.
        method: name of the entry.
        test: ``plain``, or an auxiliary test.
        fingerprint: of the entry.
        scores: metric -> value; empty where the test does not apply or failed.
        note: why it is empty.
        seconds: of the reconstruction; with several jobs they share the machine.
        peak_memory_mib: largest resident memory of the process during it.
        height: rows of the image.
        width: columns of the image.
        jobs: processes that ran beside each other.

    Example:
        >>> Row("main", "a", "clean", 0, "wiener", "plain", scores={"mrae": 0.05}).as_dict()["mrae"]
        0.05
    """

    role: str
    scene: str
    track: str
    seed: int
    method: str
    test: str
    fingerprint: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    seconds: float | None = None
    peak_memory_mib: float | None = None
    height: int | None = None
    width: int | None = None
    jobs: int = 1

    @property
    def key(self) -> tuple[Any, ...]:
        """What no two rows share."""
        return tuple(getattr(self, name) for name in KEYS)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, scores among them."""
        return {**{name: getattr(self, name) for name in _OTHERS}, **self.scores}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Row:
        """The inverse of :meth:`as_dict`.

        Raises:
            FormatError: a column is missing.
        """
        try:
            known = {name: values[name] for name in _OTHERS}
        except KeyError as error:
            raise FormatError(f"a row of results lacks the column {error}") from None
        scores = {n: float(v) for n, v in values.items() if n not in _OTHERS and v is not None}
        return cls(**known, scores=scores)


@dataclass(frozen=True)
class Mean:
    """A mean over scenes and seeds.

    Attributes:
        value: the mean, or None where no scene has the score.
        count: scores that it is over.
        expected: scores that a complete evaluation has.
        idle: scenes and seeds that the test does not apply to.
    """

    value: float | None
    count: int
    expected: int
    idle: int = 0

    @property
    def complete(self) -> bool:
        """Whether no score is missing."""
        return self.value is not None and self.count == self.expected

    @property
    def over_all(self) -> bool:
        """Whether it is over every scene and seed, so that it may stand beside others unmarked."""
        return self.complete and self.idle == 0


@dataclass(frozen=True)
class Results:
    """An evaluation.

    Attributes:
        protocol: options, data, versions.
        rows: in the order of methods, tracks and tests.
        costs: time and memory of each method.
        methods: facts of each entry, by name.
        folder: where it is stored, details included.

    Example:
        >>> from respectra.evaluation import EvaluationOptions, Protocol, Results, Row
        >>> options = EvaluationOptions()
        >>> protocol = Protocol(options=options, collections={"main": "mine"}, scenes=())
        >>> row = Row("main", "a", "clean", 0, "wiener", "plain", scores={"mrae": 0.05})
        >>> Results(protocol, (row,)).mean("wiener", "clean", "plain", "mrae").value
        0.05
    """

    protocol: Protocol
    rows: tuple[Row, ...]
    costs: tuple[Cost, ...] = ()
    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    folder: Path | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the methods, in the order of the rows."""
        return tuple(dict.fromkeys(row.method for row in self.rows))

    def names_of(self, track: str) -> tuple[str, ...]:
        """Names of the methods that took part in a track."""
        return tuple(dict.fromkeys(row.method for row in self.select(track=track)))

    def select(self, **wanted: Any) -> Iterator[Row]:
        """Rows whose columns have these values: ``select(method="pca", test="plain")``."""
        for row in self.rows:
            if all(getattr(row, name) == value for name, value in wanted.items()):
                yield row

    def mean(self, method: str, track: str, test: str, metric: str, *, role: str = "main") -> Mean:
        """Mean over scenes and seeds; a scene where the test does not apply is not expected."""
        rows = list(self.select(method=method, track=track, test=test, role=role))
        seeds = self.protocol.options.seeds_of(track)
        idle = sum(bool(row.note) and not row.note.startswith("failed") for row in rows)
        expected = len(self.protocol.scene_names(role, track)) * len(seeds) - idle
        values = [row.scores[metric] for row in rows if metric in row.scores]
        value = math.fsum(values) / len(values) if values else None
        return Mean(value, len(values), expected, idle)

    def total(self, method: str, track: str, test: str, metric: str) -> float | None:
        """Sum over scenes and seeds, for what counts something; None where nothing is known."""
        rows = self.select(method=method, track=track, test=test, role="main")
        values = [row.scores[metric] for row in rows if metric in row.scores]
        return math.fsum(values) if values else None

    def guarantees(self, method: str) -> tuple[str, ...]:
        """What a method's cubes were made to keep."""
        return tuple(self.methods.get(method, {}).get("guarantees", ()))

    def cost(self, method: str, track: str) -> Cost | None:
        """What a method costs."""
        found = (c for c in self.costs if c.method == method and c.track == track)
        return next(found, None)

    def details(self, row: Row) -> Path | None:
        """File with the details of a plain row; see ``respectra.evaluation.details``."""
        return None if self.folder is None else details_path(self.folder, row)


def details_path(folder: Path, row: Row) -> Path:
    """Where the details of a method on a scene are."""
    return folder / "details" / row.role / row.track / row.scene / f"{row.method}.npz"


def scene_path(folder: Path, role: str, track: str, scene: str) -> Path:
    """Where the details of a scene are."""
    return folder / "details" / role / track / f"{scene}.npz"


def save_results(results: Results, folder: Path) -> None:
    """Write ``results.csv``, ``protocol.json``, ``methods.json``, ``costs.json``, each whole.

    ``results.parquet`` is written as well where pyarrow is installed.
    """
    save_protocol(results.protocol, folder)
    save_costs(results.costs, folder)
    save_methods(results.methods, folder)
    columns = _columns(results.rows)
    with (
        atomic_path(folder / "results.csv", overwrite=True) as path,
        path.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for row in results.rows:
            values = row.as_dict().items()
            writer.writerow({k: repr(v) if isinstance(v, float) else v for k, v in values})
    _save_parquet(results.rows, columns, folder / "results.parquet")


def save_protocol(protocol: Protocol, folder: Path) -> None:
    """Write ``protocol.json``."""
    _write_json(protocol.model_dump(mode="json"), folder / "protocol.json")


def save_costs(costs: Iterable[Cost], folder: Path) -> None:
    """Write ``costs.json``."""
    _write_json([cost.model_dump(mode="json") for cost in costs], folder / "costs.json")


def save_methods(facts: Mapping[str, Mapping[str, Any]], folder: Path) -> None:
    """Write ``methods.json``."""
    _write_json(facts, folder / "methods.json")


def load_protocol(folder: Path) -> Protocol:
    """Read ``protocol.json``.

    Raises:
        FormatError: there is none, or it is damaged or of a newer format.
    """
    path = folder / "protocol.json"
    values = read_json(path)
    if not isinstance(values, dict) or not isinstance(values.get("format"), int):
        raise FormatError(f"{path} is not the protocol of an evaluation")
    if values["format"] > FORMAT:
        raise FormatError(
            f"{folder} has format {values['format']}, this version reads up to {FORMAT}"
        )
    try:
        return Protocol(**values)
    except ConfigError as error:
        raise FormatError(f"{path}: {error}") from None


def load_results(folder: str | os.PathLike[str]) -> Results:
    """Read an evaluation that was stored; of a URL, a copy is kept in the cache folder.

    Raises:
        FormatError: the folder holds none, or a damaged one.

    Example:
        >>> import respectra as rs
        >>> try:
        ...     load_results("nowhere")
        ... except rs.RespectraError as error:
        ...     "nowhere" in str(error)
        True
    """
    root = local_folder(folder)
    if not (root / "results.csv").is_file():
        raise FormatError(
            f"{root} holds no results; give the folder that respectra evaluate wrote with -o"
        )
    protocol = load_protocol(root)
    return Results(protocol, _read_rows(root), load_costs(root), load_methods(root), root)


def load_costs(folder: Path) -> tuple[Cost, ...]:
    """Read ``costs.json``.

    Raises:
        FormatError: there is none, or it was edited into something else.
    """
    path = folder / "costs.json"
    try:
        return tuple(Cost(**cost) for cost in read_json(path))
    except (TypeError, ConfigError) as error:
        raise FormatError(f"{path} holds no costs: {error}") from None


def load_methods(folder: Path) -> dict[str, Mapping[str, Any]]:
    """Read ``methods.json``: the facts of each method by its name.

    Raises:
        FormatError: there is none, or it was edited into something else.
    """
    path = folder / "methods.json"
    facts = read_object(path)
    for name, known in facts.items():
        if not isinstance(known, dict):
            raise FormatError(f"{path} holds no facts of {name!r}")
        for part, kind in (("guarantees", list), ("fingerprints", dict), ("trained_for", dict)):
            if not isinstance(known.get(part, kind()), kind):
                raise FormatError(f"{path}: the {part} of {name!r} are not what they were")
    return facts


def _read_rows(folder: Path) -> tuple[Row, ...]:
    path = folder / "results.csv"
    lines = csv.DictReader(io.StringIO(read_text(path), newline=""), restkey="", restval="")
    try:
        rows = tuple(Row.from_dict(_parsed(line)) for line in lines)
    except FormatError:
        raise
    except (csv.Error, TypeError, ValueError) as error:
        raise FormatError(f"{path} is damaged: {error}") from None
    for row in rows:
        parts = (row.role, row.track, row.scene, row.method)  # they become names of files
        if not {"", ".", ".."}.isdisjoint(parts) or any("/" in part for part in parts):
            raise FormatError(f"{path} names a scene or a method that cannot be: {parts}")
    return rows


def _parsed(line: Mapping[str, str]) -> dict[str, Any]:
    """The values of a line; an empty number is none."""
    return {
        name: value
        if name in _TEXTS
        else (None if value == "" else (int(value) if name in _WHOLE else float(value)))
        for name, value in line.items()
    }


def _columns(rows: Iterable[Row]) -> list[str]:
    scores = dict.fromkeys(name for row in rows for name in row.scores)
    return [*_OTHERS, *scores]


def _save_parquet(rows: Iterable[Row], columns: list[str], path: Path) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        return
    values = [row.as_dict() for row in rows]
    table = pyarrow.table({name: [row.get(name) for row in values] for name in columns})
    with atomic_path(path, overwrite=True) as temporary:
        pyarrow.parquet.write_table(table, temporary)


def _write_json(values: Any, path: Path) -> None:
    with atomic_path(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n", "utf-8")
