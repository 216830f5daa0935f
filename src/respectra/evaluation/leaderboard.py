"""The leaderboard: methods of several evaluations ranked by track, and what was published."""

from __future__ import annotations

import csv
import dataclasses
import functools
import importlib.resources
import os
from collections.abc import Sequence
from typing import Literal

from respectra.cameras import track_title
from respectra.errors import ConfigError, unknown_name
from respectra.evaluation.auxiliary import TESTS
from respectra.evaluation.metrics import METRICS
from respectra.evaluation.results import PLAIN, Results, Row, load_results
from respectra.evaluation.tables import NONE, ReportTable, open_template, ranking, show
from respectra.evaluation.train_overlap import learned_notes, without_learned

_UNSEEN = "scenes that no method has learned from"
#: Stands above every published table.
LABEL = "published on ARAD"
#: Where they are from.
SOURCE = "Arad et al., NTIRE 2020 Challenge on Spectral Reconstruction from an RGB Image"
_TITLES = {
    "1": "results on the test images",
    "2": "seconds an image as the teams reported them",
    "3": "auxiliary tests of the top three (MRAE)",
}


def make_leaderboard(
    results: Sequence[Results | str | os.PathLike[str]], *, metric: str = "mrae", test: str = PLAIN
) -> tuple[ReportTable, ...]:
    """One table a track and protocol; what does not compare stands in tables of its own.

    Where a method has learned from some of the scenes, or was chosen by them, it is said, and a
    second table ranks by the others.

    Args:
        results: evaluations, or folders that such were stored in. Those with the same rules on the
            same scenes are joined.
        metric: score to rank by.
        test: ``plain``, or an auxiliary test.

    Raises:
        ConfigError: nothing given, an unknown test, a metric that no row has, or two different
            methods of one name.
        FormatError: a folder that holds no results, or damaged ones.

    Example:
        >>> from respectra.evaluation import EvaluationOptions, Protocol, Results, Row
        >>> options = EvaluationOptions()
        >>> protocol = Protocol(options=options, collections={"main": "mine"}, scenes=())
        >>> scores = {"pca": {"mrae": 0.06}, "wiener": {"mrae": 0.05}}
        >>> rows = [Row("main", "a", "clean", 0, n, "plain", scores=scores[n]) for n in scores]
        >>> [table] = make_leaderboard([Results(protocol, tuple(rows))])
        >>> table.rows[0]
        ('–', 'pca', '0.06000 [1/0]', '–', '–')
    """
    if not results:
        raise ConfigError("a leaderboard needs at least one folder of results")
    if test != PLAIN and test not in TESTS:
        raise unknown_name("test", test, (PLAIN, *TESTS))
    every = [one if isinstance(one, Results) else load_results(one) for one in results]
    measured = {name for one in every for row in one.select(test=test) for name in row.scores}
    if metric not in measured:
        raise unknown_name(f"score of the test {test!r}", metric, measured or ("nothing",))
    groups: dict[str, list[Results]] = {}
    for one in every:
        groups.setdefault(one.protocol.fingerprint, []).append(one)
    boards = []
    for same in groups.values():
        joined = _joined(same)
        rest = without_learned(joined)
        for track in joined.protocol.options.tracks:
            boards.append(_board(joined, track, metric, test))
            if rest is not None:
                board = _board(rest, track, metric, test)
                boards.append(dataclasses.replace(board, title=f"{board.title}, {_UNSEEN}"))
    return tuple(boards)


def published_table(number: Literal["1", "2", "3"]) -> ReportTable:
    """Table 1 (results), 2 (runtimes) or 3 (auxiliary tests) of the report.

    VIPLab2 stands twice as VIPLab1 in the report's table 2.

    Raises:
        ConfigError: there is no such table.

    Example:
        >>> published_table("1").columns[:3]
        ('Team', 'User name', 'Clean MRAE')
    """
    if number not in _TITLES:
        raise unknown_name("published table", number, _TITLES)
    columns, *rows = _lines(number)
    return ReportTable(
        f"Report, table {number}: {_TITLES[number]} ({LABEL})",
        columns,
        tuple(tuple(cell or NONE for cell in row) for row in rows),
        (f"Source: {SOURCE}. Not measured here and not comparable with what was.",),
    )


@functools.cache
def _lines(number: str) -> tuple[tuple[str, ...], ...]:
    folder = importlib.resources.files("respectra.evaluation") / "data"
    text = (folder / f"published_table_{number}.csv").read_text("utf-8")
    return tuple(tuple(line) for line in csv.reader(text.splitlines()))


def to_markdown(boards: Sequence[ReportTable]) -> str:
    """All tables in Markdown."""
    return "\n".join(board.to_markdown() for board in boards)


def to_html(boards: Sequence[ReportTable], title: str = "Leaderboard") -> str:
    """A page of its own that needs nothing from elsewhere."""
    page: str = open_template("leaderboard.html").render(title=title, tables=boards)
    return page


def _joined(same: Sequence[Results]) -> Results:
    """Evaluations by one protocol as one; a method evaluated twice counts once."""
    protocol = same[0].protocol
    known: dict[tuple[str, str], str] = {}
    rows: dict[tuple[object, ...], Row] = {}
    for one in same:
        protocol = protocol.joined(one.protocol)
        for row in one.rows:
            if known.setdefault((row.method, row.track), row.fingerprint) != row.fingerprint:
                raise ConfigError(
                    f"two different methods are called {row.method!r}; evaluate one of them "
                    "under another name: NAME=FILE"
                )
            rows.setdefault(row.key, row)
    methods = {name: facts for one in reversed(same) for name, facts in one.methods.items()}
    costs = tuple(c for one in same for c in one.costs)
    return Results(protocol, tuple(rows.values()), costs, methods)


def _board(results: Results, track: str, metric: str, test: str) -> ReportTable:
    ranks = ranking(results, track, test=test, metric=metric)
    names = sorted(results.names, key=lambda name: (ranks.get(name, 10**6), name))
    further = [m for m in ("mrae", "rmse") if m != metric and test == PLAIN]
    costs = {name: results.cost(name, track) for name in names}
    entries = [
        (
            str(ranks.get(name, NONE)),
            name,
            show(results.mean(name, track, test, metric)),
            *(show(results.mean(name, track, test, other)) for other in further),
            NONE if cost is None else f"{cost.seconds:.3g}",
        )
        for name, cost in costs.items()
    ]
    title = METRICS[metric].title if metric in METRICS else metric
    what = "" if test == PLAIN else f", {TESTS[test].title}"
    options = results.protocol.options
    return ReportTable(
        f"{track_title(track)}{what}",
        ("Rank", "Method", title, *(METRICS[m].title for m in further), "s/image"),
        tuple(entries),
        (
            f"{len(results.protocol.scene_names())} scenes, floor {options.floor:g}, "
            f"crop {options.crop}, protocol {results.protocol.fingerprint}. Methods that lack "
            "scenes are not ranked.",
            *learned_notes(results),
        ),
    )
