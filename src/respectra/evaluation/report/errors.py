"""Where errors lie: by band, by brightness and by cluster of spectra; and consistency."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from respectra.cameras import keeps_exposure
from respectra.evaluation.details import BRIGHTNESS_STEPS, CONSISTENCY_EDGES, DELTA_E_EDGES
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
from respectra.evaluation.report.details import MethodView, TrackView, known
from respectra.evaluation.report.page import Context, figure, prose, section, table
from respectra.evaluation.tables import ReportTable, consistency_table
from respectra.typing import FloatArray

#: Shares of the clusters at which their errors are drawn.
_SHARES = np.linspace(0.0, 1.0, 51)
#: Relative errors that a histogram shows, and where one of colour differences may end.
_CONSISTENCY_SHOWN = (1e-4, 1.0)
_DELTA_E_ENDS = (1.0, 2.0, 5.0, 10.0, 20.0)
#: Share of the pixels from which on a histogram says what lies beyond its end.
_WORTH_SAYING = 0.0005


def breakdown(context: Context) -> Markup:
    """Errors by band, brightness and cluster."""
    return section(
        "errors",
        "Where errors lie",
        context.each_track(lambda track: _track_breakdown(context, track)),
    )


def consistency(context: Context) -> Markup:
    """What the camera says of the answers: histograms and table."""
    return section(
        "consistency",
        "Consistency with the images",
        context.each_track(lambda track: _track_consistency(context, track)),
    )


def _track_breakdown(context: Context, track: TrackView) -> Child:
    steps = np.arange(1, BRIGHTNESS_STEPS + 1, dtype=np.float64)
    by_band = _curves(
        track, lambda views: _mean(known([v for v in views if v.grid == track.grid], "by_band"))
    )
    by_brightness = _curves(track, lambda views: _mean(known(views, "by_brightness")))
    by_cluster = _curves(track, lambda views: _quantiles(known(views, "cluster_errors")))
    charts: list[Child] = []
    if by_band:
        title, x_title = "By band", "wavelength (nm)"
        charts.append(_line_chart(context, title, track.grid, by_band, x_title, _about_grid(track)))
    if by_brightness:
        charts.append(
            _line_chart(
                context,
                "By brightness",
                steps.tolist(),
                by_brightness,
                "tenth of the pixels, from dark to bright",
                "Every tenth has as many pixels, sorted by their mean value in the truth.",
                dots=True,
            )
        )
    if by_cluster:
        charts.append(
            _line_chart(
                context,
                "By cluster of spectra",
                (100 * _SHARES).tolist(),
                by_cluster,
                "clusters, from the easiest to the hardest (%)",
                "The weighted score is the mean over clusters. A steep right end means that rare "
                "spectra are recovered badly.",
                y_log=True,
            )
        )
    elif charts:
        charts.append(prose("Clusters are found by the test “weighted”.", kind="note"))
    return tag("div", {"class": "charts"}, charts) if charts else None


def _about_grid(track: TrackView) -> str:
    every = [view for views in track.methods.values() for view in views]
    if len({view.grid for view in every if view.by_band is not None}) < 2:
        return "Mean over the scenes."
    return "Mean over the scenes with these wavelengths; others have other bands."


def _curves(
    track: TrackView, make: Callable[[Sequence[MethodView]], FloatArray | None]
) -> dict[str, FloatArray]:
    found = {method: make(views) for method, views in track.methods.items()}
    return {method: values for method, values in found.items() if values is not None}


def _mean(rows: Sequence[FloatArray]) -> FloatArray | None:
    """Mean of rows, each value over those that are finite; NaN where none is."""
    if not rows:
        return None
    stack = np.stack(rows)
    there = np.isfinite(stack)
    total, count = np.where(there, stack, 0.0).sum(axis=0), there.sum(axis=0)
    return np.asarray(np.where(count > 0, total / count.clip(min=1), np.nan))


def _quantiles(clusters: Sequence[FloatArray]) -> FloatArray | None:
    """Errors of the clusters of all scenes together, at the shares of them that are drawn."""
    errors = np.concatenate([np.empty(0), *clusters])
    errors = errors[np.isfinite(errors)]
    return np.quantile(errors, _SHARES) if errors.size else None


def _line_chart(
    context: Context,
    title: str,
    xs: Sequence[float],
    curves: dict[str, FloatArray],
    x_title: str,
    caption: str,
    *,
    dots: bool = False,
    y_log: bool = False,
) -> Markup:
    """One line a method, and the values as a table for those who want to read them."""
    every = [float(v) for values in curves.values() for v in values]
    y_title = "MRAE (logarithmic)" if y_log else "MRAE"
    field = plot(
        xs, every, x_title=x_title, y_title=y_title, y_log=y_log, x_margin=0.03 if dots else 0.0
    )
    ticks = [(x, f"{x:g}") for x in xs] if dots else None
    lines = [field.line(xs, v, context.kind(m), m) for m, v in curves.items()]
    points = [_dots(field, xs, v, context.kind(m)) for m, v in curves.items()] if dots else []
    ends = "; ".join(
        f"{m} from {show_value(float(np.nanmin(v)))} to {show_value(float(np.nanmax(v)))}"
        for m, v in curves.items()
        if np.isfinite(v).any()
    )
    values = ReportTable(
        f"{title}: MRAE",
        (x_title, *curves),
        tuple(
            (f"{x:g}", *(show_value(float(values[k])) for values in curves.values()))
            for k, x in enumerate(xs)
        ),
    )
    numbers = tag("details", {"class": "numbers"}, tag("summary", None, "Values"), table(values))
    drawing = field.figure(f"{title}: MRAE. {ends}.", field.axes(ticks), lines, points)
    return figure(join([drawing]), title, [caption, numbers])


def _dots(field: Plot, xs: Sequence[float], ys: FloatArray, kind: str) -> Markup:
    spots = [
        tag("circle", {"cx": field.x(x), "cy": field.y(float(y)), "r": 3.0})
        for x, y in zip(xs, ys, strict=True)
        if np.isfinite(y)
    ]
    return tag("g", {"class": f"point {kind}"}, spots)


def _track_consistency(context: Context, track: TrackView) -> Child:
    ends = [np.mean(p) for v in track.methods.values() if (p := known(v, "delta_e_p95"))]
    shown = 1.5 * float(max(ends, default=0.0))
    delta_e_end = next((end for end in _DELTA_E_ENDS if end >= shown), _DELTA_E_ENDS[-1])
    cards = []
    for method in context.methods:
        views = track.methods[method]
        charts = [
            _consistency_chart(context, method, views),
            _delta_e_chart(context, method, views, delta_e_end),
        ]
        if any(charts):
            dot = tag("span", {"class": "dot", "aria-hidden": "true"})
            name = tag("h4", None, dot, method)
            cards.append(tag("div", {"class": f"histograms {context.kind(method)}"}, name, charts))
    tested = "physical" in context.results.protocol.options.tests and keeps_exposure(track.name)
    if not cards and not tested:
        return None
    intro = prose(
        "Each answer is sent through the camera once more. Left: how far its signal lies outside "
        "of what the codes of the image allow, relative to them; right, for cameras that see "
        "colours as people do: the same as a colour difference, of which the eye notices about 1 "
        "and more. Bars count the pixels of all scenes and go by the square root of their share, "
        "so that rare errors are seen; the line marks the 95 % quantile, mean over the scenes."
    )
    parts: list[Child] = [intro, tag("div", {"class": "pair"}, cards)]
    if tested:
        best = {1: "lower", 2: "lower", 3: "higher", 4: "lower", 5: "lower"}
        parts.append(
            table(consistency_table(context.results, track.name), best=best, marks=context.marks)
        )
    return join(parts)


def _consistency_chart(context: Context, method: str, views: Sequence[MethodView]) -> Child:
    x = Scale(*_CONSISTENCY_SHOWN, 42, 248, logarithmic=True)
    field = _field(x, "relative error (logarithmic)")
    # What is smaller than the first edge has a place of its own on the left: mostly exact zeros.
    edges = np.clip(CONSISTENCY_EDGES, *_CONSISTENCY_SHOWN)
    places = [(x(float(a)), x(float(b))) for a, b in pairwise(edges)]
    places[0] = (8.0, 32.0)
    labels = [(v, show_value(v)) for v in (1e-3, 0.01, 0.1, 1.0)]
    under = text(20, field.y.start + 15, "none", "middle")
    quantile = _quantile(views, "consistency_p95")
    at = 20.0 if quantile is not None and quantile <= CONSISTENCY_EDGES[1] else None
    counts = known(views, "consistency")
    return _histogram(context, method, field, places, counts, labels, quantile, at, under)


def _delta_e_chart(context: Context, method: str, views: Sequence[MethodView], end: float) -> Child:
    field = _field(Scale(0, end, 8, 248), "ΔE 2000")
    edges: npt.NDArray[np.float64] = np.clip(DELTA_E_EDGES, 0, end)
    places = [(field.x(float(a)), field.x(float(b))) for a, b in pairwise(edges)]
    labels = [(v, show_value(v)) for v in field.x.ticks(6)]
    counts, quantile = known(views, "delta_e"), _quantile(views, "delta_e_p95")
    return _histogram(context, method, field, places, counts, labels, quantile)


def _quantile(views: Sequence[MethodView], name: str) -> float | None:
    found = known(views, name)
    return float(np.mean(found)) if found else None


def _field(x: Scale, title: str) -> Plot:
    return Plot(260, 130, x, Scale(0, 1, 92, 20), title)


def _histogram(
    context: Context,
    method: str,
    field: Plot,
    places: list[tuple[float, float]],
    scenes: Sequence[FloatArray],
    labels: list[tuple[float, str]],
    quantile: float | None,
    quantile_at: float | None = None,
    *more: Child,
) -> Child:
    """Bars by the square root of their share, the 95 % quantile, and what lies beyond the end."""
    if not scenes:
        return None
    counts = np.sum(scenes, axis=0)
    seen = np.array([b > a for a, b in places])
    top = counts[seen].max(initial=0) or 1
    kept = [place for place, use in zip(places, seen, strict=True) if use]
    heights = np.sqrt(counts[seen] / top).tolist()
    said, marks = "", []
    if quantile is not None:
        said = f"95 %: {show_value(quantile)}"
        at = field.x(quantile) if quantile_at is None else quantile_at
        right = at > field.width / 2
        line = f"M{number(at)} {number(field.y.start)}V{number(field.y.end - 10)}"
        anchor, beside = ("end", at - 4) if right else ("start", at + 4)
        marks = [
            tag("path", {"class": "quantile", "d": line}),
            text(beside, field.y.end - 6, said, anchor, "halo"),
        ]
    beyond = counts[~seen].sum() / (counts.sum() or 1)
    if beyond >= _WORTH_SAYING:
        words = f"{show_value(100 * beyond)} % beyond →"
        said += f"; {words}"
        marks.append(text(field.x.end, field.y.end + 12, words, "end"))
    return field.figure(
        f"Histogram for {method} of the {field.x_title}; {said}",
        field.axes(labels, []),
        field.bars(kept, heights, context.kind(method)),
        marks,
        *more,
        kind="chart histogram",
    )
