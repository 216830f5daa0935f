"""What all sections of the page share: methods and their colours, tracks, tables, figures."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from respectra.cameras import track_title
from respectra.evaluation.report.charts import Child, Markup, join, tag
from respectra.evaluation.report.details import TrackView
from respectra.evaluation.results import Results
from respectra.evaluation.tables import ReportTable, open_template

_LEADING_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")


@dataclass(frozen=True)
class Context:
    """What a section needs to know.

    Attributes:
        results: the evaluation.
        methods: those that figures show; the place of one is the number of its colour.
        tracks: what is shown of each track.
    """

    results: Results
    methods: tuple[str, ...]
    tracks: tuple[TrackView, ...]

    @property
    def has_truth(self) -> bool:
        """Whether any scene has a truth."""
        return any(scene.truth is not None for scene in self.results.protocol.scenes)

    @property
    def floor(self) -> float:
        """Smallest denominator of relative errors."""
        return self.results.protocol.options.floor

    def kind(self, method: str) -> str:
        """The class that gives a method its colour."""
        return f"series m{self.methods.index(method)}"

    @property
    def marks(self) -> dict[str, str]:
        """The same for all methods, for the dots of tables."""
        return {method: self.kind(method) for method in self.methods}

    def each_track(self, make: Callable[[TrackView], Child], heading: str = "h3") -> list[Markup]:
        """Blocks that the switch of tracks shows one at a time."""
        blocks = []
        for place, track in enumerate(self.tracks):
            content = join([make(track)])
            if content:
                title = tag(heading, {"class": "track-title"}, track_title(track.name))
                blocks.append(tag("div", {"class": f"track t{place}"}, title, content))
        return blocks


def section(place: str, title: str, *content: Child) -> Markup:
    """A section with its heading; nothing if it holds nothing."""
    inside = join(content)
    if not inside:
        return Markup()
    head = tag("h2", {"id": f"{place}-title"}, title)
    return tag("section", {"id": place, "aria-labelledby": f"{place}-title"}, head, inside)


def prose(*content: Child, kind: str | None = None) -> Markup:
    """A paragraph."""
    return tag("p", {"class": kind}, content)


def figure(chart: Child, title: str, caption: Child = None, kind: str | None = None) -> Markup:
    """A chart with its title above it and what to see in it below."""
    head = tag("h4", None, title)
    words = tag("figcaption", None, caption) if caption else None
    return tag("figure", {"class": kind}, head, chart, words)


def table(
    content: ReportTable,
    *,
    best: Mapping[int, str] | None = None,
    by_row: bool = False,
    marks: Mapping[str, str] | None = None,
) -> Markup:
    """A table that scrolls within itself where the page is narrow.

    Args:
        content: the table.
        best: column -> ``lower`` or ``higher``: the best value of it is marked.
        by_row: mark the lowest value of each row instead.
        marks: first cell -> class of a dot of its colour before it.
    """
    winners = _winners(content, best or {}, by_row=by_row)
    macros = open_template("table.html").module
    return Markup(macros.scored_table(content, winners, marks or {}))  # type: ignore[attr-defined]


def _value(words: str) -> float | None:
    """The number a cell begins with; None for a mean that lacks scenes, which does not compare."""
    found = None if "[" in words else _LEADING_NUMBER.match(words)
    return float(found.group()) if found else None


def _winners(
    content: ReportTable, best: Mapping[int, str], *, by_row: bool
) -> set[tuple[int, int]]:
    """Cells that are the best of their column or row, where there is somebody to be better than."""
    rows, columns = range(len(content.rows)), range(1, len(content.columns))
    lanes = (
        [([(row, column) for column in columns], min) for row in rows]
        if by_row
        else [
            ([(row, column) for row in rows], min if better == "lower" else max)
            for column, better in best.items()
        ]
    )
    winners = set()
    for places, choose in lanes:
        known = {at: v for at in places if (v := _value(content.rows[at[0]][at[1]])) is not None}
        if len(known) > 1:
            top = choose(known.values())
            winners |= {at for at, value in known.items() if value == top}
    return winners
