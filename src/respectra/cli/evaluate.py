"""``respectra evaluate`` scores methods."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from respectra.cli.app import app, echo, out, print_json, show_progress, warn
from respectra.cli.help import RUNNING
from respectra.cli.leaderboard import print_tables
from respectra.cli.options import (
    CubeOptions,
    WorkerOptions,
    argument,
    flag,
    option,
    output_option,
    split_numbers,
    split_words,
)
from respectra.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from respectra.evaluation import EvaluationOptions, Results

_SCORES = "How it is scored"
_FURTHER = "Further tests"
_BLIND = "Blind mode"


@app.command()
def evaluate(
    methods: Annotated[
        list[str] | None,
        argument(
            "METHOD|WEIGHTS",
            "Classical methods, 'classical' for all of them, weights that ship, or weights "
            "files; NAME=FILE gives one a name.",
        ),
    ] = None,
    *,
    data: Annotated[
        str | None, option("FOLDER|URL", "Folder of scenes.", unset="give this or --images")
    ] = None,
    images: Annotated[
        str | None,
        option(
            "FOLDER|URL",
            "Folder of images whose truth nobody has, instead.",
            unset="scenes with truth",
        ),
    ] = None,
    track: Annotated[str, option("NAME,...", "Tracks: clean, real-world, exposed.")] = "clean",
    aux: Annotated[
        str,
        option(
            "NAME,...",
            "Auxiliary tests: official (those of the challenge's report), all, none, or "
            "names such as shuffle,brightness-0.5,camera,camera-told,camera-matrix.",
            _FURTHER,
        ),
    ] = "official",
    lights: Annotated[
        bool, flag("--lights", "Also score under eight lights, not told and told.", _FURTHER)
    ] = False,
    references: Annotated[
        int | None,
        option(
            "N",
            "Also score with the spectra of N pixels known, which are left out.",
            _FURTHER,
            unset="none known",
        ),
    ] = None,
    guarantees: Annotated[
        list[str] | None,
        option(
            "A,B...",
            "Score every method a second time with its cubes made to keep these: consistent, "
            "consistent-exact, non-negative, exposure-invariant, smooth. Given again, a third "
            "time with others.",
            _FURTHER,
            unset="once, as they are",
        ),
    ] = None,
    output: Annotated[
        str | None,
        output_option(
            "FOLDER|URL", "Folder to write, or to continue.", unset="needed but in blind mode"
        ),
    ] = None,
    jobs: Annotated[
        int, option("N", "Processes; 0 for as many as fit. Same scores.", RUNNING, min=0)
    ] = 1,
    threads: Annotated[int, option("N", "Threads of each process.", RUNNING, min=1)] = 1,
    sharing: WorkerOptions,
    scenes: Annotated[str | None, option("NAME,...", "Only these scenes.", unset="all")] = None,
    floor: Annotated[
        float,
        option(
            "VALUE",
            "Smallest denominator of MRAE, in the cubes' values; 0 is official.",
            _SCORES,
            min=0.0,
        ),
    ] = 0.0,
    on_zero: Annotated[
        str, option("NAME", "Zeros in the truth without a floor: raise, inf, exclude.", _SCORES)
    ] = "raise",
    crop: Annotated[
        str, option("NAME", "none (2020) or ntire-2022 (128 pixels each side).", _SCORES)
    ] = "none",
    resample: Annotated[
        str | None,
        option(
            "NM",
            "Score at these bands in nm, whatever the scenes': 400:700:10. Images are "
            "rendered of the resampled scenes.",
            _SCORES,
            unset="bands as they are",
        ),
    ] = None,
    reading: CubeOptions,
    seeds: Annotated[str, option("SEED,...", "Seeds of the noise: 0,1.", names=("--seed",))] = "0",
    out_of_scope: Annotated[
        str | None,
        option(
            "FOLDER|URL",
            "A second folder, of scenes unlike those trained on.",
            _FURTHER,
            unset="none",
        ),
    ] = None,
    out_of_scope_scenes: Annotated[
        str | None,
        option("NAME,...", "Only these scenes of it; of --data without it.", _FURTHER, unset="all"),
    ] = None,
    cameras: Annotated[
        list[Path] | None,
        option(
            "PATH",
            "Also score through these responses, blind, by a matrix and told, unless --aux "
            "names tests of cameras: a file, an archive or a folder. Of more than twenty, twenty "
            "at even distances. May be repeated.",
            _FURTHER,
            unset="known and derived ones",
        ),
    ] = None,
    official_clusters: Annotated[
        bool,
        flag(
            "--official-clusters", "Start k-means as the challenge did: minutes a scene.", _FURTHER
        ),
    ] = False,
    device: Annotated[str, option("NAME", "auto, cpu, cuda, ...", RUNNING)] = "cpu",
    force: Annotated[
        bool, flag("--force", "Score weights also on tracks that they are not for.", _FURTHER)
    ] = False,
    metrics: Annotated[
        str | None,
        option(
            "NAME,...",
            "Further metrics, such as those of other packages.",
            _SCORES,
            unset="none further",
        ),
    ] = None,
    timing_runs: Annotated[
        int, option("N", "Runs that are timed; 0 for no timing.", RUNNING, min=0)
    ] = 3,
    truth: Annotated[
        str | None, option("FOLDER|URL", "Folder of hidden truths.", _BLIND, unset="none")
    ] = None,
    submitted: Annotated[
        str | None, option("FOLDER|URL", "Folder of submitted cubes.", _BLIND, unset="none")
    ] = None,
    as_json: Annotated[bool, flag("--json", "Print JSON for a program.")] = False,
) -> None:
    """Score methods as the challenge did: accuracy, cost and auxiliary tests.

    Everything is stored in the output folder. A run that was stopped continues; further methods
    may be added to a folder later.
    """
    from respectra.cameras import open_responses
    from respectra.cubes import parse_wavelengths
    from respectra.datasets.collections import open_collection
    from respectra.evaluation import (
        EvaluationOptions,
        evaluate,
        evaluation_scenes_of,
        find_entries,
        report_tables,
        scenes_without_truth,
    )
    from respectra.evaluation.auxiliary import choose_cameras, select_tests
    from respectra.evaluation.rules import PLAIN_METRICS
    from respectra.urls import parse_place

    opening = reading.opening()
    given: dict[str, Any] = {
        "tracks": split_words(track),
        "tests": tuple(
            test.name for test in select_tests(_tests(aux, bool(cameras), lights, references))
        ),
        "seeds": split_numbers("--seed", seeds, "whole numbers such as 0,1", int),
        "floor": floor,
        "on_zero": on_zero,
        "crop": crop,
        "wavelengths_nm": None if resample is None else tuple(parse_wavelengths(resample).tolist()),
        "cluster_init_size": None if official_clusters else 10_000,
        "cameras": choose_cameras(r for path in cameras or () for r in open_responses(path)),
    }
    if metrics is not None:
        given["metrics"] = tuple(dict.fromkeys((*PLAIN_METRICS, *split_words(metrics))))
    options = EvaluationOptions(**given)
    if truth is not None or submitted is not None:
        if truth is None or submitted is None or methods or data or images:
            raise ConfigError("blind mode takes --truth and --submitted, and no methods or --data")
        _score_blind(submitted, truth, options, as_json, opening)
        return
    if not methods:
        raise ConfigError("name a method or weights file, or 'classical' for all classical methods")
    if (data is None) == (images is None):
        raise ConfigError("give the scenes with --data, or images without truth with --images")
    if output is None:
        raise ConfigError("say where the report goes: -o FOLDER")
    collections: dict[str, str] = {}
    if data is not None:
        collection = open_collection(data, **opening)
        collections["main"] = collection.name
        subjects = evaluation_scenes_of(
            collection if scenes is None else collection.select(split_words(scenes))
        )
    else:
        assert images is not None
        collections["main"] = parse_place(images).name
        subjects = scenes_without_truth(images, None if scenes is None else split_words(scenes))
    second = out_of_scope or (data if out_of_scope_scenes is not None else None)
    if second is not None:
        further = open_collection(second, **opening)
        collections["out-of-scope"] = further.name
        if out_of_scope_scenes is not None:
            further = further.select(split_words(out_of_scope_scenes))
        subjects += evaluation_scenes_of(further, "out-of-scope")
    entries = find_entries(
        methods,
        tracks=options.tracks,
        guarantees=[split_words(words) for words in guarantees or ()],
        device=device,
        force=force,
    )
    for one in entries:
        for name, reason in one.facts["absent"].items():
            warn(f"{one.name} takes no part in {name}: {reason}")
    page = parse_place(output) / "report.html"
    with sharing.open() as helpers, show_progress() as progress:
        results = evaluate(
            entries,
            subjects,
            output,
            options,
            report=str(page),
            collections=collections,
            jobs=jobs,
            threads=threads,
            timing_runs=timing_runs,
            progress=progress,
            cluster=helpers,
        )
    _report_failures(results)
    if as_json:
        print_json(_summary(results))
    else:
        print_tables(report_tables(results))
        echo(f"stored in {output}; open {page}")
    if any(row.note.startswith("failed") for row in results.rows):
        raise typer.Exit(1)


def _tests(aux: str, cameras: bool, lights: bool, references: int | None) -> str:
    """Names of the auxiliary tests that the options ask for."""
    more = ["light", "light-told"] if lights else []
    if cameras and "camera" not in aux:
        more += ["camera", "camera-matrix", "camera-told"]
    if references is not None:
        from respectra.cameras.references import MOST

        if not 1 <= references <= MOST:
            raise ConfigError(f"--references takes 1 to {MOST}; got {references}")
        more.append(f"references-{references}")
    return ",".join([aux, *more])


def _summary(results: Results) -> dict[str, Any]:
    """Means by method, track, test and metric, with protocol and costs.

    ``over`` says of each mean that is not over all scenes how many it is over, and of how many.
    """
    means: list[dict[str, Any]] = []
    seen = dict.fromkeys((r.method, r.track, r.role, r.test) for r in results.rows)
    for method, track, role, test in seen:
        rows = results.select(method=method, track=track, role=role, test=test)
        names = dict.fromkeys(name for row in rows for name in row.scores)
        found = {n: results.mean(method, track, test, n, role=role) for n in names}
        some = {n: [m.count, m.expected + m.idle] for n, m in found.items() if not m.over_all}
        scores = {n: m.value for n, m in found.items()}
        row = {"method": method, "track": track, "role": role, "test": test, **scores}
        means.append(row | ({"over": some} if some else {}))
    summary: dict[str, Any] = _finite(
        {
            "protocol": results.protocol.model_dump(mode="json"),
            "fingerprint": results.protocol.fingerprint,
            "means": means,
            "costs": [cost.model_dump(mode="json") for cost in results.costs],
        }
    )
    return summary


def _report_failures(results: Results) -> None:
    failed = [row for row in results.rows if row.note.startswith("failed")]
    for row in failed[:5]:
        warn(f"{row.method} on {row.scene}, {row.track}, {row.test}: {row.note}")
    if len(failed) > 5:
        warn(f"and {len(failed) - 5} more failures; results.csv has them all")


def _score_blind(
    submitted: str,
    truth: str,
    options: EvaluationOptions,
    as_json: bool,
    opening: Mapping[str, Any],
) -> None:
    """Check a submission and print its scores.

    Raises:
        ConfigError: the submission is refused.
    """
    from respectra.datasets.collections import open_collection
    from respectra.evaluation import score_submission, validate_submission

    hidden = open_collection(truth, **opening)
    problems = validate_submission(submitted, hidden)
    if problems:
        if as_json:
            print_json({"valid": False, "problems": [str(problem) for problem in problems]})
        for problem in problems:
            warn(str(problem))
        raise ConfigError(f"the submission is refused: {len(problems)} problems")
    scores = score_submission(submitted, hidden, options)
    mean = {
        name: math.fsum(row[name] for row in scores.values()) / len(scores)
        for name in next(iter(scores.values()))
        if all(name in row for row in scores.values())
    }
    if as_json:
        print_json(_finite({"valid": True, "scenes": scores, "mean": mean}))
        return
    for scene, row in scores.items():
        out.print(f"{scene}  MRAE {row['mrae']:.5f}  RMSE {row['rmse']:.5f}", markup=False)
    line = "  ".join(f"{name} {value:.5f}" for name, value in mean.items())
    out.print(f"mean of {len(scores)} scenes: {line}", markup=False)


def _finite(value: Any) -> Any:
    """The same with null for what JSON cannot say."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
