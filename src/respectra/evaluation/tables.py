"""Tables: what the challenge's report prints, for any results, as text, Markdown and HTML."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jinja2

from respectra.cameras import get_track, keeps_exposure, track_title
from respectra.evaluation.auxiliary import (
    TESTS,
    OtherCamera,
    Test,
    camera_names,
    select_tests,
)
from respectra.evaluation.metrics import METRICS
from respectra.evaluation.results import PLAIN, Mean, Results
from respectra.evaluation.train_overlap import learned_notes, without_learned

#: What a table shows where there is no score.
NONE = "–"
#: Spaces between columns.
_GAP = 2
#: What a column shows of a method.
_Cell = Callable[[str], str]


@functools.cache
def open_template(name: str) -> jinja2.Template:
    """A page or table of ``templates``, which escape all text; what is not given is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("respectra.evaluation"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)


@dataclass(frozen=True)
class ReportTable:
    """A table as text.

    Attributes:
        title: one line.
        columns: titles of the columns; the first one names the row.
        rows: cells, as many in each as there are columns.
        notes: lines below it.

    Example:
        >>> table = ReportTable("Scores", ("method", "MRAE"), (("wiener", "0.05"),))
        >>> table.to_markdown().splitlines()[-1]
        '| wiener | 0.05 |'
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    @functools.cached_property
    def left(self) -> tuple[bool, ...]:
        """Whether each column is words, which stand on the left; numbers stand on the right."""
        return tuple(
            place == 0 or any(row[place][:1].isalpha() for row in self.rows)
            for place in range(len(self.columns))
        )

    @functools.cached_property
    def widths(self) -> tuple[int, ...]:
        """Characters of the longest cell of each column."""
        lines = (self.columns, *self.rows)
        return tuple(max(len(line[i]) for line in lines) for i in range(len(self.columns)))

    def split(self, width: int) -> tuple[ReportTable, ...]:
        """Tables that fit into so many characters, each with the column that names the rows."""
        groups: list[list[int]] = []
        used = 0
        for place, size in enumerate(self.widths[1:], 1):
            if not groups or used + _GAP + size > width:
                groups.append([0])
                used = self.widths[0]
            groups[-1].append(place)
            used += _GAP + size
        if len(groups) < 2:
            return (self,)
        return tuple(
            ReportTable(
                self.title if number == 0 else f"{self.title}, continued",
                tuple(self.columns[i] for i in group),
                tuple(tuple(row[i] for i in group) for row in self.rows),
                self.notes if number == len(groups) - 1 else (),
            )
            for number, group in enumerate(groups)
        )

    def to_markdown(self) -> str:
        """The table in Markdown."""
        align = ["---" if left else "---:" for left in self.left]
        lines = [self.columns, align, *self.rows]
        body = "\n".join("| " + " | ".join(_cell(c) for c in line) + " |" for line in lines)
        notes = "".join(f"\n{note}\n" for note in self.notes)
        return f"**{self.title}**\n\n{body}\n{notes}"

    def to_html(self) -> str:
        """The table as an HTML element."""
        macros = open_template("table.html").module
        return str(macros.plain_table(self))  # type: ignore[attr-defined]

    def to_text(self) -> str:
        """The table with columns of equal width, for a pipe."""
        body = "\n".join(
            (" " * _GAP)
            .join(
                cell.ljust(width) if left else cell.rjust(width)
                for cell, width, left in zip(line, self.widths, self.left, strict=True)
            )
            .rstrip()
            for line in (self.columns, *self.rows)
        )
        return "\n".join([self.title, body, *self.notes])


def accuracy_table(results: Results) -> ReportTable:
    """Table 1: MRAE with its rank, and RMSE, by track; the best method first."""
    tracks = results.protocol.options.tracks
    ranks = {track: ranking(results, track) for track in tracks}

    def ranked(track: str) -> _Cell:
        mrae = _score(results, track, PLAIN, "mrae")
        places = {name: f" ({rank})" for name, rank in ranks[track].items()}
        return lambda name: f"{mrae(name)}{places.get(name, '')}"

    columns: list[tuple[str, _Cell]] = []
    for track in tracks:
        columns += [
            (f"{track_title(track)} MRAE", ranked(track)),
            ("RMSE", _score(results, track, PLAIN, "rmse")),
        ]
    names = sorted(results.names, key=lambda n: tuple(ranks[t].get(n, 10**6) for t in tracks))
    return _by_method("1. Accuracy", names, columns, (_rules(results), *learned_notes(results)))


def unseen_table(results: Results) -> ReportTable | None:
    """Table 1 on the scenes that no method has learned from; None where that is all or none."""
    rest = without_learned(results)
    if rest is None:
        return None
    names = ", ".join(rest.protocol.scene_names())
    title = "1. Accuracy on scenes that no method has learned from"
    return dataclasses.replace(accuracy_table(rest), title=title, notes=(f"Scenes: {names}.",))


def cost_table(results: Results) -> ReportTable:
    """Table 2: seconds an image and for a 4K frame, and memory."""
    columns = (
        "Method", "Track", "s/image", "s/4K", "× floor", "Peak MiB", "Added MiB", "Pixels", "Run",
    )  # fmt: skip
    rows = [
        (
            cost.method, cost.track, _three_digits(cost.seconds), _three_digits(cost.seconds_4k),
            _three_digits(cost.seconds_4k / cost.fill_seconds_4k), f"{cost.peak_memory_mib:.0f}",
            f"{cost.added_memory_mib:.0f}", f"{cost.height}×{cost.width}",
            f"{cost.device}, {cost.threads} thr., {cost.engine}, tile {cost.tile}",
        )
        for cost in results.costs
    ]  # fmt: skip
    notes = ["4K: 8.5 million pixels, in proportion, as the challenge's report extrapolates."]
    if results.costs:
        floor = min(cost.fill_seconds_4k for cost in results.costs)
        notes.append(
            f"Floor: writing the values of a 4K cube once takes {floor:.3g} s on this machine "
            f"({results.costs[0].processor})."
        )
    return ReportTable("2. Cost", columns, tuple(rows), tuple(notes))


def auxiliary_table(results: Results, track: str) -> ReportTable:
    """Table 3 of one track: the auxiliary tests that the report has."""
    score = functools.partial(_score, results, track)
    columns = [("Plain", score(PLAIN, "mrae"))]
    if results.protocol.scene_names("out-of-scope"):
        columns.append(("Out-of-Scope", score(PLAIN, "mrae", "out-of-scope")))
    for test in select_tests("official"):
        if test.name in results.protocol.options.tests:
            columns.append((test.title, score(test.name, next(iter(test.columns)))))
    title = f"3. Auxiliary tests, {track_title(track)} (MRAE)"
    return _by_method(title, _by_rank(results, track), columns)


def further_table(results: Results, track: str) -> ReportTable:
    """The tests beyond the report, one row a test: MRAE of each method."""
    options = results.protocol.options
    chosen = [TESTS[n] for n in options.tests if not TESTS[n].official]
    names = _by_rank(results, track)
    camera = get_track(track)
    rows = [
        (
            f"{test.title} *" if test.repeats(camera) else test.title,
            *map(_score(results, track, test.name, next(iter(test.columns))), names),
        )
        for test in chosen
    ]
    pooled = pooled_cameras(results, track)
    titles = {test.title for test in chosen if isinstance(test, OtherCamera)}
    if pooled:
        rows = [row for row in rows if row[0] not in titles]
    rows += [
        (title, *(show(_pooled(results, n, track, tests)) for n in names))
        for title, tests in pooled.items()
    ]
    notes = []
    empty = [row[0] for row in rows if set(row[1:]) <= {NONE}]
    rows = [row for row in rows if row[0] not in empty]
    if empty := [title for title in empty if title not in titles]:
        notes.append(f"For no method and scene: {', '.join(empty)}.")
    if any(test.repeats(camera) for test in chosen):
        notes.append("* The track has this setting anyway: the test repeats its plain images.")
    if used := sorted({test.number for test in _cameras_there(results, track)}):
        known = camera_names(camera, options.cameras)
        notes.append(f"Other cameras: {', '.join(known[number - 1] for number in used)}.")
    return ReportTable(
        f"4. Beyond the report, {track_title(track)} (MRAE)",
        ("Test", *names),
        tuple(rows),
        tuple(notes),
    )


def pooled_cameras(results: Results, track: str) -> dict[str, list[OtherCamera]]:
    """Tests of other cameras of which tables show the mean: its title -> the tests.

    Blind, by a matrix and told are apart. Empty where no camera has another one beside it.
    """
    ways: dict[str, list[OtherCamera]] = {}
    for test in _cameras_there(results, track):
        ways.setdefault(test.title.partition(", ")[2], []).append(test)
    if all(len(same) < 2 for same in ways.values()):
        return {}
    return {
        f"{len(same)} other camera{'s' * (len(same) > 1)}{f', {way}' if way else ''}": same
        for way, same in ways.items()
    }


def _cameras_there(results: Results, track: str) -> list[OtherCamera]:
    """The chosen tests of other cameras, but for those that are more than there are cameras."""
    options = results.protocol.options
    count = len(camera_names(get_track(track), options.cameras))
    chosen = [TESTS[name] for name in options.tests]
    return [test for test in chosen if isinstance(test, OtherCamera) and test.number <= count]


def guarantees_table(results: Results, track: str) -> ReportTable:
    """Methods with and without guarantees, each beside itself."""
    score = functools.partial(_score, results, track)

    def differing(name: str) -> str:
        count, of = (
            results.total(name, track, "physical", metric)
            for metric in ("mismatching_pixels", "pixels")
        )
        return NONE if count is None or of is None else f"{count:,.0f} of {of:,.0f}"

    columns: list[tuple[str, _Cell]] = [
        ("MRAE", score(PLAIN, "mrae")),
        ("RMSE", score(PLAIN, "rmse")),
        ("Physical MRAE", score("physical", "back_projection_mrae")),
        ("MRAE to the image", score("physical", "image_mrae")),
        ("Pixels that differ", differing),
        ("ΔE 2000 to the image", score("physical", "image_delta_e_2000")),
        ("Brightness ×0.5", score("brightness-0.5", "mrae")),
        ("Brightness ×2", score("brightness-2", "mrae")),
    ]
    names = _families(results, track)
    kept = [(title, cell) for title, cell in columns if {cell(name) for name in names} != {NONE}]
    notes = (
        "Physical MRAE is the report's: camera signals of the answer against those of the "
        "truth, which the image has in 8 bits only. MRAE to the image counts what lies "
        "outside of the bounds of the image's codes.",
    )
    told = notes if "Physical MRAE" in dict(kept) else ()
    return _by_method(f"Guarantees, {track_title(track)}", names, kept, told)


def consistency_table(results: Results, track: str) -> ReportTable:
    """Physical consistency against the images themselves; needs no truth."""
    score = functools.partial(_score, results, track, "physical")
    columns = [
        ("MRAE to the image", score("image_mrae")),
        ("95 %", score("image_error_p95")),
        ("codes reproduced", score("codes_reproduced")),
        ("ΔE 2000", score("image_delta_e_2000")),
        ("95 %", score("image_delta_e_2000_p95")),
    ]
    title = f"Physical consistency with the images, {track_title(track)}"
    return _by_method(title, results.names_of(track), columns)


def report_tables(results: Results) -> tuple[ReportTable, ...]:
    """The tables that a set of results fills.

    Example:
        >>> from respectra.evaluation import EvaluationOptions, Protocol, Results, Row
        >>> options = EvaluationOptions()
        >>> protocol = Protocol(options=options, collections={"main": "mine"}, scenes=())
        >>> row = Row("main", "a", "clean", 0, "wiener", "plain", scores={"mrae": 0.05})
        >>> [table.title for table in report_tables(Results(protocol, (row,)))]
        []
    """
    options = results.protocol.options
    has_truth = any(scene.truth is not None for scene in results.protocol.scenes)
    found: list[ReportTable] = [accuracy_table(results)] if has_truth else []
    unseen = unseen_table(results) if has_truth else None
    if unseen is not None:
        found.append(unseen)
    if results.costs:
        found.append(cost_table(results))
    for track in options.tracks:
        if has_truth and options.tests:
            found.append(auxiliary_table(results, track))
            if any(not TESTS[name].official for name in options.tests):
                found.append(further_table(results, track))
        if "physical" in options.tests and keeps_exposure(track):
            found.append(consistency_table(results, track))
        if _families(results, track):
            found.append(guarantees_table(results, track))
    return tuple(found)


def ranking(
    results: Results, track: str, *, test: str = PLAIN, metric: str = "mrae"
) -> dict[str, int]:
    """Rank of each method that has all scores; equal scores share a rank.

    Scores are equal when five digits after the point are, which is what the report prints.
    """
    better = METRICS[metric].better if metric in METRICS else "lower"
    scores: dict[str, float] = {}
    for name in results.names:
        mean = results.mean(name, track, test, metric)
        if mean.complete and mean.value is not None:
            scores[name] = round(mean.value if better == "lower" else -mean.value, 5)
    ordered = sorted(scores, key=lambda name: (scores[name], name))
    return {name: 1 + sum(scores[other] < scores[name] for other in ordered) for name in ordered}


def show(mean: Mean) -> str:
    """A mean in five digits; with the number of scenes where it is not over all of them.

    ``[3/4]``: one is missing. ``[1 of 4]``: the test applies to one only.
    """
    if mean.value is None:
        return NONE
    text = f"{mean.value:.5f}" if abs(mean.value) < 1000 else f"{mean.value:.4g}"
    return f"{text}{scenes_of(mean)}"


def scenes_of(mean: Mean) -> str:
    """What is put behind a mean that is not over all scenes; empty where it is. See ``show``."""
    if not mean.complete:
        return f" [{mean.count}/{mean.expected}]"
    return f" [{mean.count} of {mean.count + mean.idle}]" if mean.idle else ""


def _score(results: Results, track: str, test: str, metric: str, role: str = "main") -> _Cell:
    """What a column shows of a method: its mean."""
    return lambda name: show(results.mean(name, track, test, metric, role=role))


def _by_method(
    title: str,
    names: Sequence[str],
    columns: Sequence[tuple[str, _Cell]],
    notes: tuple[str, ...] = (),
) -> ReportTable:
    """A table of a row a method, from titles and what is shown of a method."""
    rows = tuple((name, *(cell(name) for _, cell in columns)) for name in names)
    return ReportTable(title, ("Method", *(head for head, _ in columns)), rows, notes)


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def _by_rank(results: Results, track: str) -> Sequence[str]:
    ranks = ranking(results, track)
    return sorted(results.names_of(track), key=lambda name: ranks.get(name, 10**6))


def _families(results: Results, track: str) -> list[str]:
    """Methods that also take part with guarantees, each before those that keep some."""
    names = results.names_of(track)
    base = {name: str(results.methods.get(name, {}).get("base", name)) for name in names}
    several = {base[name] for name in names if results.guarantees(name)}
    return [
        name
        for family in dict.fromkeys(base.values())
        if family in several
        for name in sorted(names, key=lambda n: len(results.guarantees(n)))
        if base[name] == family
    ]


def _pooled(results: Results, name: str, track: str, tests: Sequence[Test]) -> Mean:
    means = [results.mean(name, track, test.name, "mrae") for test in tests]
    count, expected = sum(m.count for m in means), sum(m.expected for m in means)
    total = sum(m.value * m.count for m in means if m.value is not None)
    idle = sum(m.idle for m in means)
    return Mean(total / count if count else None, count, expected, idle)


def _rules(results: Results) -> str:
    options, names = results.protocol.options, results.protocol.scene_names()
    floor = f"floor {options.floor:g}" if options.floor else "no floor"
    zero = "" if options.floor else f", zeros: {options.on_zero}"
    return (
        f"Mean over {len(names)} scenes; MRAE with {floor}{zero}; crop: {options.crop}; mask: "
        f"{options.mask}; protocol {results.protocol.fingerprint}."
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
