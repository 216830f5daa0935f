"""The report: one self-contained HTML page of an evaluation."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import os
from collections.abc import Sequence

from respectra.cameras import track_title
from respectra.errors import ConfigError, unknown_name
from respectra.evaluation.report.background import protocol, published
from respectra.evaluation.report.details import MOST_METHODS, charted_methods
from respectra.evaluation.report.errors import breakdown, consistency
from respectra.evaluation.report.markup import Markup
from respectra.evaluation.report.page import Context
from respectra.evaluation.report.scenes import scenes
from respectra.evaluation.report.scores import accuracy, cost, guarantees, headline, tests
from respectra.evaluation.report.totals import read_track
from respectra.evaluation.results import Results, load_results
from respectra.evaluation.templating import open_template
from respectra.uploads import writing


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
    results: Results | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    methods: Sequence[str] | None = None,
    overwrite: bool = False,
) -> None:
    """Write :func:`build_report` to a file, whole or not at all.

    Args:
        results: an evaluation, or the folder that one was stored in.
        path: of the HTML file, here or by URL.
        methods: as for ``build_report``.
        overwrite: replace what is there.

    Raises:
        ConfigError: as ``build_report``.
        FormatError: the folder holds no results, or damaged ones.
        OutputError: the file exists and ``overwrite`` is false, or cannot be written.

    Example:
        >>> import respectra as rs
        >>> from respectra.evaluation import EvaluationOptions, Protocol, Results, Row
        >>> options = EvaluationOptions()
        >>> protocol = Protocol(options=options, collections={"main": "mine"}, scenes=())
        >>> row = Row("main", "a", "clean", 0, "wiener", "plain", scores={"mrae": 0.05})
        >>> rs.evaluation.save_report(Results(protocol, (row,)), "report.html")
    """
    evaluated = results if isinstance(results, Results) else load_results(results)
    with writing(path, overwrite=overwrite) as temporary:
        temporary.write_text(build_report(evaluated, methods=methods), "utf-8")


def _page(context: Context, sections: Sequence[Markup]) -> str:
    style, script = _resource("page.css"), _resource("page.js")
    frozen = context.results.protocol
    page: str = open_template("report.html").render(
        context=context,
        protocol=frozen,
        title=f"Spectral reconstruction of {frozen.collections.get('main') or 'scenes'}",
        lead=_lead(context),
        facts=_facts(context),
        headline=headline(context),
        left_out=len(context.results.names) - len(context.methods),
        sections=sections,
        track_title=track_title,
        style=style,
        script=script,
        policy=f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'",
    )
    return page


def _lead(context: Context) -> str:
    """What was evaluated, in a sentence."""
    options = context.results.protocol.options
    count, seen = len(context.results.names), len(context.results.protocol.scene_names())
    tracks = " and ".join(track_title(track) for track in options.tracks)
    return (
        f"{count} {'method' if count == 1 else 'methods'} on {seen} "
        f"{'scene' if seen == 1 else 'scenes'}, as the {tracks} "
        f"{'track shows' if len(options.tracks) == 1 else 'tracks show'} them."
    )


def _facts(context: Context) -> list[str]:
    """The rules of the evaluation."""
    options = context.results.protocol.options
    return [
        f"floor {options.floor:g}" if options.floor else "no floor",
        f"seed {', '.join(map(str, options.seeds))}",
        f"crop {options.crop}",
        f"mask {options.mask}",
        f"protocol {context.results.protocol.fingerprint}",
    ]


def _resource(name: str) -> str:
    return (importlib.resources.files(__package__) / name).read_text("utf-8")


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
