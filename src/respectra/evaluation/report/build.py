"""The report: one self-contained HTML page of an evaluation."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import os
from collections.abc import Sequence
from pathlib import Path

from respectra.cameras import track_title
from respectra.errors import ConfigError, unknown_name
from respectra.evaluation.report.background import protocol, published
from respectra.evaluation.report.details import MOST_METHODS, charted_methods
from respectra.evaluation.report.errors import breakdown, consistency
from respectra.evaluation.report.markup import Attributes, Child, Markup, join, tag
from respectra.evaluation.report.page import Context, prose
from respectra.evaluation.report.scenes import scenes
from respectra.evaluation.report.scores import accuracy, cost, guarantees, headline, tests
from respectra.evaluation.report.totals import read_track
from respectra.evaluation.results import Results
from respectra.files import atomic_path
from respectra.storage import uploading
from respectra.urls import Url, is_url


def build_report(results: Results, *, methods: Sequence[str] | None = None) -> str:
    """A page that shows an evaluation and needs nothing from elsewhere.

    Tables have every method. Figures have those of ``methods``, by default the best eight; of more
    than twenty scenes, twenty are shown one by one. Scores and details are read, never computed
    anew. Every string of the results is escaped, and the page's own policy keeps it from loading
    anything or running any script but its own.

    Args:
        results: from ``evaluate`` or ``load_results``.
        methods: names of the methods in the figures, at most eight.

    Returns:
        HTML, well below 5 MB for twenty scenes.

    Raises:
        ConfigError: the results hold nothing, an unknown method, or too many of them.

    Example:
        >>> import respectra as rs
        >>> from respectra.evaluation import EvaluationOptions, Protocol, Results, Row
        >>> options = EvaluationOptions()
        >>> protocol = Protocol(options=options, collections={"main": "mine"}, scenes=())
        >>> row = Row("main", "a", "clean", 0, "wiener", "plain", scores={"mrae": 0.05})
        >>> "<html" in rs.evaluation.build_report(Results(protocol, (row,)))
        True
    """
    if not results.rows:
        raise ConfigError("the evaluation holds no scores yet; run respectra evaluate to its end")
    for name in methods or ():
        if name not in results.names:
            raise unknown_name("method of the evaluation", name, results.names)
    if methods is not None and not 0 < len(set(methods)) <= MOST_METHODS:
        raise ConfigError(
            f"figures show 1 to {MOST_METHODS} methods, got {len(set(methods))}; name fewer"
        )
    wanted = None if methods is None else tuple(dict.fromkeys(methods))
    charted = charted_methods(results, wanted)
    tracks = tuple(read_track(results, t, charted) for t in results.protocol.options.tracks)
    context = Context(results, charted, tracks)
    sections = [
        accuracy(context),
        cost(context),
        tests(context),
        scenes(context),
        breakdown(context),
        consistency(context),
        guarantees(context),
        published(),
        protocol(context),
    ]
    return _page(context, [one for one in sections if one])


def save_report(
    results: Results,
    path: str | os.PathLike[str],
    *,
    methods: Sequence[str] | None = None,
    overwrite: bool = False,
) -> None:
    """Write :func:`build_report` to a file, whole or not at all.

    Raises:
        ConfigError: as ``build_report``.
        OutputError: the file exists and ``overwrite`` is false, or cannot be written.

    Example:
        >>> import respectra as rs
        >>> from respectra.evaluation import EvaluationOptions, Protocol, Results, Row
        >>> options = EvaluationOptions()
        >>> protocol = Protocol(options=options, collections={"main": "mine"}, scenes=())
        >>> row = Row("main", "a", "clean", 0, "wiener", "plain", scores={"mrae": 0.05})
        >>> rs.evaluation.save_report(Results(protocol, (row,)), "report.html")
    """
    writing = (
        uploading(Url.parse(str(path)), overwrite=overwrite)
        if is_url(path)
        else atomic_path(Path(path), overwrite=overwrite)
    )
    with writing as temporary:
        temporary.write_text(build_report(results, methods=methods), "utf-8")


def _page(context: Context, sections: Sequence[Markup]) -> str:
    style, script = _resource("page.css"), _resource("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    name = context.results.protocol.collections.get("main") or "scenes"
    title = f"Spectral reconstruction of {name}"
    head = [
        tag("meta", {"charset": "utf-8"}),
        tag("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
        tag("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        tag("meta", {"name": "color-scheme", "content": "light dark"}),
        tag("title", None, title),
        tag("style", None, style),
    ]
    body = [
        tag("a", {"class": "skip", "href": "#content"}, "Skip to the content"),
        _header(context, title),
        _bar(context),
        tag("main", {"id": "content"}, sections),
        tag(
            "footer",
            None,
            prose(
                f"Respectra {context.results.protocol.versions.get('respectra', '')} · "
                f"protocol {context.results.protocol.fingerprint}"
            ),
        ),
        tag("script", None, script),
    ]
    whole = tag("html", {"lang": "en"}, tag("head", None, head), tag("body", None, body))
    return f"<!doctype html>\n{whole}\n"


def _header(context: Context, title: str) -> Markup:
    frozen = context.results.protocol
    options = frozen.options
    count, seen = len(context.results.names), len(frozen.scene_names())
    tracks = " and ".join(track_title(track) for track in options.tracks)
    words = (
        f"{count} {'method' if count == 1 else 'methods'} on {seen} "
        f"{'scene' if seen == 1 else 'scenes'}, as the {tracks} "
        f"{'track shows' if len(options.tracks) == 1 else 'tracks show'} them."
    )
    facts = [
        f"floor {options.floor:g}" if options.floor else "no floor",
        f"seed {', '.join(map(str, options.seeds))}",
        f"crop {options.crop}",
        f"mask {options.mask}",
        f"protocol {frozen.fingerprint}",
    ]
    return tag(
        "header",
        None,
        prose("Respectra · evaluation report", kind="kicker"),
        tag("h1", None, title),
        prose(words, kind="lead"),
        tag("ul", {"class": "facts"}, [tag("li", None, fact) for fact in facts]),
        headline(context),
    )


def _bar(context: Context) -> Markup:
    """Switch of tracks and legend, which stay in sight; both work by the script."""
    parts: list[Child] = []
    if len(context.tracks) > 1:
        buttons = [
            tag(
                "button",
                {"type": "button", "data-track": f"t{place}", "aria-pressed": "false"},
                track_title(track.name),
            )
            for place, track in enumerate(context.tracks)
        ]
        group: Attributes = {
            "class": "switch",
            "role": "group",
            "aria-label": "Track",
            "hidden": True,
        }
        parts.append(tag("div", {**group, "hidden": True}, buttons))
    chips = [
        tag(
            "button",
            {
                "type": "button",
                "class": f"chip {context.kind(method)}",
                "data-method": f"m{place}",
                "aria-pressed": "false",
            },
            _sample(f"line {context.kind(method)}"),
            method,
        )
        for place, method in enumerate(context.methods)
    ]
    truth = tag("span", {"class": "chip"}, _sample("line truth"), "truth")
    legend: Attributes = {"class": "legend", "role": "group", "aria-label": "Methods"}
    parts.append(tag("div", legend, truth if context.has_truth else None, chips))
    left_out = len(context.results.names) - len(context.methods)
    if left_out:
        parts.append(prose(f"Figures leave out {left_out} methods; tables have all.", kind="note"))
    return tag("nav", {"class": "bar", "aria-label": "What is shown"}, parts)


def _sample(kind: str) -> Markup:
    box = {"viewBox": "0 0 22 8", "class": "sample", "aria-hidden": "true"}
    return tag("svg", box, tag("path", {"class": kind, "d": "M1 4H21"}))


def _resource(name: str) -> Markup:
    folder = importlib.resources.files("respectra.evaluation.report")
    return join([Markup((folder / name).read_text("utf-8"))])


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
