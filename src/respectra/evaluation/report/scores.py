"""The first half of the page: who is how accurate, at what cost, and what the tests add."""

from __future__ import annotations

import math
from collections.abc import Sequence

from respectra.cameras import track_title
from respectra.evaluation.auxiliary import TESTS
from respectra.evaluation.measuring import Cost
from respectra.evaluation.report.charts import (
    Child,
    Markup,
    Plot,
    Scale,
    join,
    number,
    plot,
    show_value,
    tag,
    text,
)
from respectra.evaluation.report.details import TrackView
from respectra.evaluation.report.page import Context, figure, prose, section, table
from respectra.evaluation.results import PLAIN
from respectra.evaluation.tables import (
    accuracy_table,
    auxiliary_table,
    cost_table,
    further_table,
    guarantees_table,
    pooled_cameras,
    ranking,
    scenes_of,
    unseen_table,
)


def headline(context: Context) -> Markup:
    """The result in a few figures: the best method of each track."""
    results = context.results
    tiles = []
    for track in context.tracks:
        ranks = ranking(results, track.name)
        best = [name for name, rank in ranks.items() if rank == 1]
        first = [name for name in best if not results.guarantees(name)] or best
        mean = results.mean(first[0], track.name, PLAIN, "mrae").value if first else None
        if mean is None:
            continue
        of = f"best of {len(ranks)} methods" if len(ranks) > 1 else "the only method"
        tiles.append(
            tag(
                "div",
                {"class": "tile"},
                prose(f"{track_title(track.name)} track", kind="tile-name"),
                prose(tag("b", None, f"{mean:.5f}"), " MRAE", kind="tile-value"),
                prose(tag("strong", None, ", ".join(first)), f", {of}", kind="tile-note"),
                _colour_said(context, first[0], track.name),
            )
        )
    return tag("div", {"class": "tiles"}, tiles) if tiles else Markup()


def _colour_said(context: Context, method: str, track: str) -> Markup | None:
    """How true to the image's colours the best method is, where that was tested."""
    mean, high = (
        context.results.mean(method, track, "physical", f"image_delta_e_2000{end}")
        for end in ("", "_p95")
    )
    if mean.value is None or high.value is None:
        return None
    words = f"ΔE 2000 to the image: mean {show_value(mean.value)}, 95 % {show_value(high.value)}"
    return prose(f"{words}{scenes_of(mean)}", kind="tile-note")


def accuracy(context: Context) -> Markup:
    """Table 1."""
    if not context.has_truth:
        return Markup()
    content = [accuracy_table(context.results)]
    unseen = unseen_table(context.results)
    if unseen is not None:
        content.append(unseen)
    best = dict.fromkeys(range(1, len(content[0].columns)), "lower")
    return section(
        "accuracy",
        "Accuracy",
        prose(
            "MRAE is the mean relative error over all pixels and bands; RMSE the root of the mean "
            "square error. Lower is better; the best value of a column is marked."
        ),
        [table(one, best=best, marks=context.marks) for one in content],
    )


def cost(context: Context) -> Markup:
    """Table 2, and cost against accuracy."""
    if not context.results.costs:
        return Markup()
    content = cost_table(context.results)
    charts = context.each_track(lambda track: _cost_chart(context, track))
    return section(
        "cost",
        "Cost",
        table(content, marks=context.marks),
        charts,
    )


def tests(context: Context) -> Markup:
    """Table 3, the tests beyond the report, and both as a chart."""
    chosen = context.results.protocol.options.tests
    second = bool(context.results.protocol.scene_names("out-of-scope"))
    if not context.has_truth or not (chosen or second):
        return Markup()
    return section(
        "tests",
        "Auxiliary tests",
        prose(
            "What happens to the error when the picture is not what the method was made for. "
            "Physical consistency is the error of the camera's values, not of the spectra."
        ),
        context.each_track(lambda track: _track_tests(context, track)),
    )


def guarantees(context: Context) -> Markup:
    """Methods with and without guarantees."""
    results = context.results

    def compared(track: TrackView) -> Child:
        content = guarantees_table(results, track.name)
        return table(content, marks=context.marks) if content.rows else None

    blocks = context.each_track(compared)
    if not blocks:
        return Markup()
    return section(
        "guarantees",
        "Guarantees",
        prose(
            "The same methods, with their cubes made to keep what their names add: the camera sees "
            "the cube as it saw the scene, no value is negative, and so on. Each stands below "
            "itself without."
        ),
        blocks,
    )


def _cost_chart(context: Context, track: TrackView) -> Child:
    found = []
    for method in context.methods:
        spent = context.results.cost(method, track.name)
        mrae = context.results.mean(method, track.name, PLAIN, "mrae")
        if spent is not None and mrae.value is not None and mrae.over_all:
            found.append((method, spent, mrae.value))
    if not found:
        return None
    floor = min(spent.fill_seconds_4k for _, spent, _ in found)
    chart = plot(
        [floor, *(spent.seconds_4k for _, spent, _ in found)],
        [mrae for _, _, mrae in found],
        width=460,
        height=290,
        x_title="seconds for a 4K frame (logarithmic)",
        y_title="MRAE",
        x_log=True,
        x_margin=0.06,
        from_zero=False,
    )
    place = chart.x(floor)
    wall = [
        tag("path", {"class": "wall", "d": f"M{number(place)} {chart.y.start}V{chart.y.end}"}),
        text(place + 6, chart.y.start - 8, "writing the cube once", "start", "wall-name"),
    ]
    points = _points(context, chart.x, chart.y, found)
    words = "; ".join(
        f"{method} {show_value(spent.seconds_4k)} s, MRAE {mrae:.5f}"
        for method, spent, mrae in found
    )
    return figure(
        chart.figure(f"Cost against accuracy. {words}.", chart.axes(), wall, points),
        "Cost against accuracy",
        [
            "Down and to the left is better. The dashed line is the time to write the values of "
            "such a cube once: no method is faster. Methods that lack scenes are left out. None "
            "of the others is both faster and more accurate than one of these:",
            tag("ul", None, [_named(context, m, "") for m in _best_bargains(found)]),
        ],
        "side",
    )


def _points(
    context: Context, x: Scale, y: Scale, found: Sequence[tuple[str, Cost, float]]
) -> list[Markup]:
    """A point and a name a method; names stand beside their points, where nothing else is."""
    placed = [(method, spent, mrae, x(spent.seconds_4k), y(mrae)) for method, spent, mrae in found]
    taken = [(across - 8, across + 8, up) for *_, across, up in placed]
    points = []
    for method, spent, mrae, across, up in sorted(placed, key=lambda one: one[4]):
        start, beside = _free_place(across, up, 7.0 * len(method), x, taken)
        taken.append((start, start + 7.0 * len(method), beside))
        right = start > across
        label = text(
            across + (10 if right else -10), beside + 4, method, "start" if right else "end",
            "point-name",
        )  # fmt: skip
        dot = tag("circle", {"cx": across, "cy": up, "r": 6.0})
        tip = tag("title", None, f"{method}: {show_value(spent.seconds_4k)} s, MRAE {mrae:.5f}")
        points.append(tag("g", {"class": f"point {context.kind(method)}"}, tip, dot, label))
    return points


def _free_place(
    across: float, up: float, length: float, x: Scale, taken: Sequence[tuple[float, float, float]]
) -> tuple[float, float]:
    """Where a name begins, and its height: as near as may be, on the right rather than the left."""
    for distance in range(200):
        for height in (up - distance, up + distance):
            for start in (across + 9, across - length - 9):
                inside = x.start <= start and start + length <= x.end
                if inside and not any(
                    a < start + length and start < b and abs(height - h) < 12 for a, b, h in taken
                ):
                    return start, height
    return across + 9, up


def _best_bargains(found: Sequence[tuple[str, Cost, float]]) -> list[str]:
    """Methods that no other one beats in both time and error, the fastest first."""
    kept: list[str] = []
    least = math.inf
    for method, _, mrae in sorted(found, key=lambda one: (one[1].seconds_4k, one[2])):
        if mrae < least:
            kept.append(method)
            least = mrae
    return kept


def _weakest(context: Context, rows: Sequence[tuple[str, dict[str, float]]]) -> list[Markup]:
    """The test in which each method's error grows most."""
    plain = rows[0][1]
    items = []
    for method in context.methods:
        known = [(s[method] / plain[method], title) for title, s in rows[1:] if method in s
                 and plain.get(method)]  # fmt: skip
        if known:
            factor, title = max(known)
            items.append(_named(context, method, f": {title}, ×{show_value(factor)}"))
    return items


def _named(context: Context, method: str, words: str) -> Markup:
    dot = tag("span", {"class": f"dot {context.kind(method)}", "aria-hidden": "true"})
    return tag("li", None, dot, method, words)


def _track_tests(context: Context, track: TrackView) -> Markup:
    results = context.results
    official = auxiliary_table(results, track.name)
    best = dict.fromkeys(range(1, len(official.columns)), "lower")
    parts: list[Child] = [table(official, best=best, marks=context.marks)]
    if any(not TESTS[name].official for name in results.protocol.options.tests):
        parts.append(table(further_table(results, track.name), by_row=True))
    return join([_test_chart(context, track), parts])


def _test_chart(context: Context, track: TrackView) -> Child:
    """One row a test, one dot a method: its error against that on the plain pictures."""
    rows = [(title, scores) for title, scores in _test_rows(context, track) if scores]
    if len(rows) < 2:
        return None
    values = [v for _, scores in rows for v in scores.values() if v > 0]
    if not values:
        return None
    top, bottom, width = 8.0, 8.0 + 30 * len(rows), 460.0
    x = Scale.over(values, 140, width - 14, logarithmic=True)
    y = Scale(-len(rows), 0, bottom, top)
    chart = Plot(width, bottom + 42, x, y, "MRAE (logarithmic)")
    ticks = [(v, show_value(v)) for v in x.ticks(7)]
    lane_step = min(5.0, 20.0 / len(context.methods))
    dots = []
    for place, (title, scores) in enumerate(rows):
        for lane, method in enumerate(context.methods):
            value = scores.get(method, 0.0)
            if value > 0:
                beside = (lane - (len(context.methods) - 1) / 2) * lane_step
                tip = tag("title", None, f"{method}, {title}: {value:.5f}")
                at = {"cx": x(value), "cy": y(-place - 0.5) + beside, "r": 4.5}
                kind = {"class": f"point {context.kind(method)}"}
                dots.append(tag("g", kind, tip, tag("circle", at)))
    axes = chart.axes(ticks, [(-place - 0.5, title) for place, (title, _) in enumerate(rows)])
    label = f"MRAE of {', '.join(context.methods)} in each test; the tables below say the same."
    return figure(
        chart.figure(label, axes, dots),
        "Every test at a glance",
        [
            "One dot a method, always in the same order; further to the right is a larger error. "
            "Means over some of the scenes stand in the tables alone. Where each method loses most "
            "against its plain score:",
            tag("ul", None, _weakest(context, rows)),
        ],
        "side",
    )


def _test_rows(context: Context, track: TrackView) -> list[tuple[str, dict[str, float]]]:
    """(title, method -> MRAE), the plain pictures first."""
    results = context.results
    chosen = [TESTS[name] for name in results.protocol.options.tests]
    chosen = [t for t in chosen if next(iter(t.columns)) in ("mrae", "weighted_mrae")]
    pooled = pooled_cameras(results, track.name)
    means_only = [test for test in chosen if pooled and test.name.startswith("camera-")]

    def scores(test: str, metric: str, role: str = "main") -> dict[str, float]:
        means = {m: results.mean(m, track.name, test, metric, role=role) for m in context.methods}
        return {
            m: mean.value
            for m, mean in means.items()
            if mean.value is not None and mean.over_all and math.isfinite(mean.value)
        }

    rows = [("Plain", scores(PLAIN, "mrae"))]
    rows.append(("Out of scope", scores(PLAIN, "mrae", "out-of-scope")))
    rows += [
        (t.title, scores(t.name, next(iter(t.columns)))) for t in chosen if t not in means_only
    ]
    for title, tests in pooled.items():
        every = [scores(t.name, "mrae") for t in tests]
        rows.append((title, _mean_of(every, context.methods)))
    return rows


def _mean_of(every: Sequence[dict[str, float]], methods: Sequence[str]) -> dict[str, float]:
    known = {m: [scores[m] for scores in every if m in scores] for m in methods}
    return {m: math.fsum(values) / len(values) for m, values in known.items() if values}
