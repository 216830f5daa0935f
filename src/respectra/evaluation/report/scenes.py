"""Scene by scene: the picture, where each method errs, and true against recovered spectra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from respectra.cameras import track_title
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
from respectra.evaluation.report.details import (
    MOST_SCENES,
    MethodView,
    Pixel,
    SceneView,
    known,
    plain_scores,
)
from respectra.evaluation.report.page import Context, figure, prose, section
from respectra.evaluation.report.pictures import ErrorScale, colour_table, data_uri

#: Characters that all error maps may take together, and one of them.
_ALL_MAPS = 2_200_000
_ONE_MAP = 16_000
#: Characters of one preview.
_ONE_PREVIEW = 18_000
_SMALL_SCALE = "0 0 190 36"
#: Scenes that are unfolded when the page opens.
_OPEN = 2
#: A scene as a track shows it: number and name of the track, and the scene.
_Seen = tuple[int, str, SceneView]


@dataclass
class _Gallery:
    """What scenes share: scores, scale of colours, and room."""

    context: Context
    scores: Mapping[str, Mapping[tuple[str, str, str], float]]
    scale: ErrorScale
    map_quota: int


def scenes(context: Context) -> Markup:
    """The section of all scenes."""
    seen: dict[tuple[str, str], list[_Seen]] = {}
    for number_, track in enumerate(context.tracks):
        for scene in track.scenes:
            seen.setdefault((scene.role, scene.name), []).append((number_, track.name, scene))
    if not seen:
        return Markup()
    every = [scene for views in seen.values() for *_, scene in views]
    maps = [error for scene in every for error in known(list(scene.methods.values()), "error_map")]
    gallery = _Gallery(
        context,
        {track.name: plain_scores(context.results, track.name) for track in context.tracks},
        ErrorScale.of(maps),
        min(_ONE_MAP, _ALL_MAPS // max(1, len(maps))),
    )
    cards = (
        [_card(gallery, place, views) for place, views in enumerate(seen.values())]
        if maps
        else [tag("div", {"class": "maps"}, [_picture(views[0][-1]) for views in seen.values()])]
    )
    total = len(context.results.protocol.scenes)
    few = (
        f"{len(seen)} of {total} scenes, at even distances in their order; at most {MOST_SCENES} "
        "are shown one by one."
        if len(seen) < total and total > MOST_SCENES
        else None
    )
    intro = (
        "Numbers on a picture mark a pixel in the middle of each kind of spectrum in it, the most "
        "frequent kind first; their spectra are plotted. In an error map ▲ marks the pixel of "
        "least and ▼ that of largest error among those that are not dark; their spectra are "
        "below it, and the number is their MRAE."
        if maps
        else "These images have no truth: nobody can say where a method errs."
    )
    return section(
        "scenes",
        "Scenes",
        prose(intro),
        prose(few) if few else None,
        _scale_bar(gallery.scale) if maps else None,
        cards,
    )


def _card(gallery: _Gallery, place: int, views: Sequence[_Seen]) -> Markup:
    """One scene, folded unless it is among the first."""
    first = views[0][-1]
    picture = _preview(first, place)
    thumbnail = (
        tag(
            "svg",
            {"class": "thumbnail", "viewBox": _box(first), "aria-hidden": "true"},
            picture,
        )
        if picture
        else tag("span", {"class": "thumbnail"})
    )
    far = tag("span", {"class": "flag"}, "out of scope") if first.role == "out-of-scope" else None
    lines = [
        tag("span", {"class": f"track t{number_}"}, _summary_scores(gallery, track, scene))
        for number_, track, scene in views
    ]
    title = tag("span", {"class": "scene-title"}, tag("h3", None, first.name), far, lines)
    summary = tag("summary", None, thumbnail, title)
    blocks = [
        tag(
            "div",
            {"class": f"track t{number_}"},
            tag("h4", {"class": "track-title"}, track_title(track)) if len(views) > 1 else None,
            _scene_body(gallery, track, scene, place),
        )
        for number_, track, scene in views
    ]
    return tag("details", {"class": "scene", "open": place < _OPEN}, summary, blocks)


def _picture(scene: SceneView) -> Markup | None:
    """A scene of which nothing is known but its picture."""
    if scene.preview is None:
        return None
    uri = data_uri(scene.preview, _ONE_PREVIEW)
    image = tag("img", {"class": "map", "src": uri, "alt": f"Preview of {scene.name}"})
    return tag("figure", None, image, tag("figcaption", None, scene.name))


def _summary_scores(gallery: _Gallery, track: str, scene: SceneView) -> Child:
    """MRAE of each method in one line."""
    keys = {method: (scene.role, scene.name, method) for method in gallery.context.methods}
    scores = gallery.scores[track]
    found = {method: scores[key] for method, key in keys.items() if key in scores}
    least = min(found.values(), default=0.0)
    return [
        tag(
            "span",
            {"class": f"score {gallery.context.kind(m)}" + (" best" if v == least else "")},
            tag("span", {"class": "dot", "aria-hidden": "true"}),
            f"{m} {show_value(v)}",
        )
        for m, v in found.items()
    ]


def _scene_body(gallery: _Gallery, track: str, scene: SceneView, place: int) -> Child:
    parts: list[Child] = []
    if scene.preview is not None:
        spots = [
            _spot(scene, int(row), int(column), str(kind))
            for kind, (row, column) in enumerate(scene.pixels, 1)
        ]
        label = f"Preview of {scene.name}" + (
            f", with {len(spots)} numbered pixels whose spectra are plotted" if spots else ""
        )
        use = tag("use", {"href": f"#picture-{place}"})
        box = {"class": "map", "viewBox": _box(scene), "role": "img", "aria-label": label}
        there = any(view.error_map is not None for view in scene.methods.values())
        caption = tag("figcaption", None, tag("b", None, "The scene"))
        colours = _small_scale() if there else None
        drawing = tag("svg", box, use, spots)
        parts.append(tag("figure", {"class": "method"}, drawing, caption, colours))
    scores = gallery.scores[track]
    for method in gallery.context.methods:
        view = scene.methods.get(method)
        if view is not None and view.error_map is not None:
            mrae = scores.get((scene.role, scene.name, method))
            parts.append(_method_card(gallery, scene, method, view, mrae))
    maps = tag("div", {"class": "maps"}, parts) if parts else None
    return join([maps, _spectra(gallery.context, scene)])


def _method_card(
    gallery: _Gallery, scene: SceneView, method: str, view: MethodView, mrae: float | None
) -> Markup:
    """An error map with the spectra at its best and its worst pixel."""
    assert view.error_map is not None
    height, width = view.error_map.shape
    uri = data_uri(gallery.scale.colours(view.error_map), gallery.map_quota)
    coarse = " coarse" if max(height, width) < 100 else ""
    score = f"MRAE {mrae:.5f}" if mrae is not None else ""
    label = f"Error map of {method} on {scene.name}, {score}".rstrip(", ")
    image = tag(
        "image",
        {"href": uri, "width": width, "height": height, "preserveAspectRatio": "none"},
    )
    spots = [
        _spot(scene, pixel.row, pixel.column, sign)
        for pixel, sign in ((view.best, "▲"), (view.worst, "▼"))
        if pixel is not None
    ]
    shape = {"viewBox": f"0 0 {width} {height}", "role": "img", "aria-label": label}
    picture = tag("svg", {"class": f"map{coarse}", **shape}, image, spots)
    kind = gallery.context.kind(method)
    caption = tag(
        "figcaption",
        None,
        tag("span", {"class": "dot", "aria-hidden": "true"}),
        tag("b", None, method),
        tag("span", {"class": "figure-score"}, score),
    )
    sparks = [
        _spark(scene, method, pixel, sign, word, kind, gallery.context.floor)
        for pixel, sign, word in ((view.best, "▲", "best"), (view.worst, "▼", "worst"))
        if pixel is not None
    ]
    return tag(
        "figure",
        {"class": f"method {kind}"},
        picture,
        caption,
        tag("div", {"class": "sparks"}, sparks),
    )


def _spark(
    scene: SceneView, method: str, pixel: Pixel, sign: str, word: str, kind: str, floor: float
) -> Markup:
    """True and recovered spectrum of one pixel, in little space."""
    width, height = 130.0, 62.0
    values = [*pixel.truth.tolist(), *pixel.estimate.tolist()]
    chart = Plot(
        width,
        height,
        Scale.over(scene.wavelengths_nm.tolist(), 1, width - 1, margin=0),
        Scale.over(values, height - 2, 3, from_zero=True),
    )
    error = pixel.error(floor)
    said = "" if error is None else f" {show_value(error)}"
    base = tag("path", {"class": "axis", "d": f"M0 {chart.y(0.0):.1f}H{width:g}"})
    label = f"{method}, {word} pixel: true and recovered spectrum; MRAE{said or ' undefined'}"
    drawing = chart.figure(
        label,
        base,
        chart.line(scene.wavelengths_nm.tolist(), pixel.truth, "truth"),
        chart.line(scene.wavelengths_nm.tolist(), pixel.estimate, kind),
        kind="spark",
    )
    return tag("div", None, drawing, tag("span", {"class": "small"}, f"{sign} {word}{said}"))


def _spectra(context: Context, scene: SceneView) -> Child:
    """True and recovered spectra at the pixels of the scene's kinds of spectra."""
    charts = []
    grid = scene.wavelengths_nm.tolist()
    for kind in range(len(scene.pixels)):
        lines = {
            method: view.spectra[kind]
            for method, view in scene.methods.items()
            if view.spectra is not None
        }
        truth = scene.spectra[kind]
        if not lines:
            continue
        values = [*truth.tolist(), *(v for line in lines.values() for v in line.tolist())]
        chart = plot(grid, values, width=300, height=180)
        row, column = scene.pixels[kind]
        label = (
            f"Pixel {kind + 1} of {scene.name}: true spectrum, and as recovered by "
            f"{', '.join(lines)}"
        )
        drawing = chart.figure(
            label,
            chart.axes([(v, f"{v:g}") for v in chart.x.ticks(4)]),
            chart.line(grid, truth, "truth", "truth"),
            [chart.line(grid, line, context.kind(m), m) for m, line in lines.items()],
        )
        where = f"row {row}, column {column}"
        share = f"its kind: {100 * scene.shares[kind]:.0f} % of the brighter half of the pixels"
        charts.append(figure(drawing, f"Pixel {kind + 1}", f"{where}; {share}"))
    if not charts:
        return None
    strip = {"class": "small-multiples", "tabindex": "0", "role": "group", "aria-label": "Spectra"}
    note = "Spectra over the wavelength in nm. The thick line is the truth."
    return join([prose(note, kind="note"), tag("div", strip, charts)])


def _preview(scene: SceneView, place: int) -> Markup | None:
    """The picture, once; it is shown again by its name."""
    if scene.preview is None:
        return None
    height, width = scene.preview.shape[:2]
    shape = {"width": width, "height": height, "preserveAspectRatio": "none"}
    uri = data_uri(scene.preview, _ONE_PREVIEW)
    return tag("image", {"id": f"picture-{place}", "href": uri, **shape})


def _box(scene: SceneView) -> str:
    assert scene.preview is not None
    height, width = scene.preview.shape[:2]
    return f"0 0 {width} {height}"


def _spot(scene: SceneView, row: int, column: int, sign: str) -> Markup:
    """A mark at a pixel of the scene; of the same size whatever the size of the picture."""
    shape = (
        next(v.error_map.shape for v in scene.methods.values() if v.error_map is not None)
        if scene.preview is None
        else scene.preview.shape
    )
    unit = max(shape[:2]) / 192
    x, y = (column + 0.5) / scene.step, (row + 0.5) / scene.step
    return tag(
        "g",
        {"class": "spot", "transform": f"translate({x:.1f} {y:.1f}) scale({unit:.3g})"},
        tag("circle", {"r": 7.5}),
        text(0, 3.8, sign, "middle"),
    )


def _scale_bar(scale: ErrorScale) -> Markup:
    """The colours of all error maps with their values; a small one that scenes show again."""
    table = colour_table()
    stops = [
        tag("stop", {"offset": f"{p / 255:.3f}", "stop-color": f"#{bytes(table[p]).hex()}"})
        for p in np.linspace(0, 255, 24).round().astype(int)
    ]
    gradient = tag("linearGradient", {"id": "error-colours"}, stops)
    small = tag(
        "symbol", {"id": "error-scale", "viewBox": _SMALL_SCALE}, _scale_content(scale, 190.0, 4)
    )
    box = {
        "viewBox": "0 0 420 36",
        "class": "scale-bar",
        "role": "img",
        "aria-label": "Colours of all error maps: relative error "
        f"from {show_value(scale.low)} to {show_value(scale.high)}, logarithmic",
    }
    drawing = tag("svg", box, tag("defs", None, gradient, small), _scale_content(scale, 420.0, 7))
    words = "Mean relative error over the bands; one logarithmic scale for all maps."
    return tag("figure", {"class": "scale"}, drawing, tag("figcaption", None, words))


def _scale_content(scale: ErrorScale, width: float, most: int) -> Child:
    side = 12.0
    x = Scale(scale.low, scale.high, side, width - side, logarithmic=True)
    ticks = x.ticks(most)
    place = {"x": side, "y": 2, "width": width - 2 * side, "height": 12, "rx": 2}
    return [
        tag("rect", {**place, "fill": "url(#error-colours)"}),
        tag("path", {"class": "axis", "d": "".join(f"M{number(x(v))} 14v4" for v in ticks)}),
        [text(x(v), 31, show_value(v), "middle") for v in ticks],
    ]


def _small_scale() -> Markup:
    box = {"viewBox": _SMALL_SCALE, "class": "scale-bar", "aria-hidden": "true"}
    return tag("svg", box, tag("use", {"href": "#error-scale"}))
