"""The end of the page: what was published elsewhere, and all that is needed to reproduce."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from respectra.evaluation.auxiliary import TESTS, select_tests
from respectra.evaluation.protocol import EvaluationOptions
from respectra.evaluation.published import LABEL, published_table
from respectra.evaluation.report.markup import Child, Markup, join, tag
from respectra.evaluation.report.page import Context, prose, section, table
from respectra.evaluation.results import Results
from respectra.evaluation.tables import ReportTable

#: The report of the challenge.
PAPER = "https://arxiv.org/abs/2005.03412"


def published() -> Markup:
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


def protocol(context: Context) -> Markup:
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
        "--device": {cost.device for cost in results.costs},
        "--threads": {str(cost.threads) for cost in results.costs},
        "--timing-runs": {str(cost.runs) for cost in results.costs} or {"0"},
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
