"""The report: one self-contained HTML page of an evaluation."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from respectra.cameras import track_title
from respectra.errors import ConfigError, unknown_name
from respectra.evaluation.auxiliary import TESTS, select_tests
from respectra.evaluation.leaderboard import LABEL, published_table
from respectra.evaluation.protocol import EvaluationOptions
from respectra.evaluation.report.charts import Child, Markup, join, tag
from respectra.evaluation.report.details import MOST_METHODS, charted_methods, read_track
from respectra.evaluation.report.errors import breakdown, consistency
from respectra.evaluation.report.page import Context, prose, section, table
from respectra.evaluation.report.scenes import scenes
from respectra.evaluation.report.scores import accuracy, cost, guarantees, headline, tests
from respectra.evaluation.results import Results, load_results
from respectra.evaluation.tables import ReportTable, open_template
from respectra.uploads import writing

#: The report of the challenge.
PAPER = "https://arxiv.org/abs/2005.03412"


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
        _published(),
        _protocol(context),
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


def _published() -> Markup:
    """The challenge's tables, apart from everything that was measured."""
    tables = [published_table(number) for number in ("1", "2", "3")]
    banner = prose(
        tag("strong", None, f"{LABEL[0].upper()}{LABEL[1:]}. "),
        "These are the scores that the teams of the 2020 challenge reached on its own data, with "
        "their own hardware. Nothing here was measured in this evaluation, and nothing here "
        "compares with what was.",
        kind="banner",
    )
    source = prose("Source: ", tag("a", {"href": PAPER}, "the challenge's report"), kind="note")
    return section("published", "Published results", banner, [table(t) for t in tables], source)


def _protocol(context: Context) -> Markup:
    """The protocol as it was frozen, and the command that gives the same."""
    results = context.results
    frozen = results.protocol
    options = frozen.options
    facts = {
        "Fingerprint": frozen.fingerprint,
        "Data": ", ".join(f"{role}: {name}" for role, name in frozen.collections.items()) or "–",
        "Tracks": ", ".join(options.tracks),
        "Seeds": ", ".join(map(str, options.seeds)),
        "Floor of relative errors": f"{options.floor:g}" if options.floor else "none (official)",
        "Zeros in the truth": "below the floor" if options.floor else options.on_zero,
        "Crop": options.crop,
        "Mask": options.mask,
        "Clusters": f"{options.clusters}, " + (
            "started officially"
            if options.cluster_init_size is None
            else f"started among {options.cluster_init_size} pixels"
        ),
        "Metrics": ", ".join(options.metrics),
        "Tests": ", ".join(options.tests) or "none",
        "Other cameras": ", ".join(camera.name for camera in options.cameras)
        or "those known, and derived ones",
        "Versions": ", ".join(f"{name} {version}" for name, version in frozen.versions.items()),
    }  # fmt: skip
    return section(
        "protocol",
        "Protocol",
        prose("Scores compare where the fingerprint is the same: equal rules on equal scenes."),
        _definitions(facts),
        tag("h3", None, "Command"),
        _command(results),
        tag("h3", None, "Rules"),
        _definitions(frozen.statements),
        tag("h3", None, "Methods"),
        table(_methods_table(results)),
        tag("h3", None, "Files"),
        table(_files_table(results)),
    )


def reproduction_command(results: Results) -> tuple[str | None, tuple[str, ...]]:
    """The command line that repeats an evaluation.

    Returns:
        The command, or None where it cannot be given as one; and what it leaves open.
    """
    frozen = results.protocol
    options = frozen.options
    sources, notes = [], []
    kept = dict.fromkeys(filter(None, map(results.guarantees, results.names)))
    for name in results.names:
        if results.guarantees(name):
            continue
        source = results.methods.get(name, {}).get("source")
        if not isinstance(source, str):
            notes.append(f"{name} was made in Python, not on the command line")
        else:
            plain = source in (name, f"{name}.safetensors")
            sources.append(source if plain else f"{name}={source}")
    usual = EvaluationOptions()
    fixed = {name: getattr(usual, name) for name in ("clusters", "mask", "metrics")}
    sizes = (None, usual.cluster_init_size)
    reachable = EvaluationOptions(**{**dict(options), **fixed})
    if reachable != options or options.cluster_init_size not in sizes:
        notes.append("some options can be set in Python only; Options below has them all")
    if not sources:
        return None, tuple(notes)
    main = frozen.collections.get("main", "SCENES")
    has_truth = any(scene.truth is not None for scene in frozen.scenes if scene.role == "main")
    words = ["respectra", "evaluate", *sources, "--data" if has_truth else "--images", main]
    words += ["--scenes", ",".join(frozen.scene_names())]
    if frozen.scene_names("out-of-scope"):
        words += ["--out-of-scope", frozen.collections.get("out-of-scope", "SCENES")]
        words += ["--out-of-scope-scenes", ",".join(frozen.scene_names("out-of-scope"))]
    for names in kept:
        words += ["--guarantees", ",".join(names)]
    if options.cameras:
        words += ["--cameras", "CAMERAS"]
        notes.append("CAMERAS stands for files of the responses that Options names")
    words += ["--track", ",".join(options.tracks), "--aux", _tests(options.tests)]
    words += ["--floor", repr(options.floor), "--on-zero", options.on_zero]
    words += ["--crop", options.crop, "--seed", ",".join(map(str, options.seeds))]
    if options.cluster_init_size is None:
        words.append("--official-clusters")
    words += _how_measured(results)
    return shlex.join([*words, "-o", "REPORT"]), tuple(notes)


def _how_measured(results: Results) -> list[str]:
    """Device, threads and runs, where all methods had the same."""
    words = []
    for option, values in {
        "--device": {spent.device for spent in results.costs},
        "--threads": {str(spent.threads) for spent in results.costs},
        "--timing-runs": {str(spent.runs) for spent in results.costs} or {"0"},
    }.items():
        if len(values) == 1:
            words += [option, values.pop()]
    return words


def _tests(names: tuple[str, ...]) -> str:
    for word in ("none", "official", "all"):
        if names == tuple(test.name for test in select_tests(word)):
            return word
    return ",".join(name for name in TESTS if name in names)


def _command(results: Results) -> Markup:
    command, notes = reproduction_command(results)
    values = results.protocol.options.model_dump(mode="json")
    values["cameras"] = [camera["name"] for camera in values["cameras"]]
    options = json.dumps(values, indent=1)
    return join(
        [
            tag("pre", {"tabindex": "0"}, tag("code", None, command)) if command else None,
            prose(
                "Folders are named as they were, without what stands before them. "
                + "".join(f"{note}. " for note in notes),
                kind="note",
            ),
            tag(
                "details",
                None,
                tag("summary", None, "Options"),
                tag("pre", {"tabindex": "0"}, tag("code", None, options)),
            ),
        ]
    )


def _definitions(facts: Mapping[str, str]) -> Markup:
    pairs: list[Child] = [
        tag("div", None, tag("dt", None, name), tag("dd", None, value))
        for name, value in facts.items()
    ]
    return tag("dl", None, pairs)


def _methods_table(results: Results) -> ReportTable:
    rows = []
    for name in results.names:
        facts: Mapping[str, Any] = results.methods.get(name, {})
        prints = facts.get("fingerprints")
        shown = ", ".join(f"{k} {v}" for k, v in prints.items()) if isinstance(prints, dict) else ""
        parameters = facts.get("parameters")
        rows.append(
            (
                name,
                str(facts.get("method", "–")),
                str(facts.get("source", "–")),
                f"{parameters:,}" if isinstance(parameters, int) else "–",
                str(facts.get("device", "–")),
                shown or "–",
            )
        )
    columns = ("Name", "Method", "Source", "Parameters", "Device", "Fingerprint by track")
    return ReportTable("Methods", columns, tuple(rows))


def _files_table(results: Results) -> ReportTable:
    rows = tuple(
        (scene.name, scene.role, what, digest)
        for scene in results.protocol.scenes
        for what, digest in {"truth": scene.truth, **scene.images}.items()
        if digest is not None
    )
    return ReportTable("SHA-256 of every file", ("Scene", "Role", "File", "SHA-256"), rows)
