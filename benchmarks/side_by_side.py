"""Every network at its tiny preset, beside one another: one recipe, a learning rate of its own.

    python benchmarks/side_by_side.py --out runs/side [--data SCENES] [--quick]

The same scenes (synthetic ones, and a share of the folder's), the same steps, the same three
seeds. Each network first trains once with each of the same five learning rates; the one with the
lowest MRAE on the same validation scenes is its own, so that none is judged by another's. Then
the runs of its seeds are scored on scenes that no run saw. Classical methods are fitted on the
same scenes; the project's own network stands there twice, trained like the others and as shipped.

What is finished is one JSON line in OUT/runs.jsonl, scores.jsonl or costs.jsonl and is not done
again; a run that was killed goes on where it was. Times are taken last, one method after another:
remove costs.jsonl to take them again. The table is OUT/table.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

import respectra as rs
from respectra.datasets.collections import open_collection
from respectra.datasets.still_life import still_life
from respectra.datasets.synthesize import SynthesisOptions, synthesize_scene
from respectra.evaluation import (
    EvaluationOptions,
    evaluate,
    evaluation_scenes_of,
    find_entries,
)
from respectra.evaluation.measuring import measured, repeated
from respectra.journal import Journal
from respectra.methods import get_network, list_methods
from respectra.methods.measure import count_gmac, count_parameters
from respectra.threads import available_cores
from respectra.training import change_recipe, load_recipe, recipe_of, train

#: The same five for every network.
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
SEEDS = (0, 1, 2)
#: Smallest denominator of loss and scores: scenes hold zeros and are dark.
FLOOR = 0.01
TESTS = ("shuffle-4", "brightness-0.5", "brightness-2")
#: Rows and columns of the image whose time and memory are measured.
FRAME = (482, 512)
PARTS = ("train", "validation", "test", "other")
#: Column of the table -> role, test and metric.
COLUMNS = {
    "MRAE": ("main", "plain", "mrae"),
    "RMSE": ("main", "plain", "rmse"),
    "PSNR": ("main", "plain", "psnr"),
    "SAM": ("main", "plain", "sam"),
    "Out of scope": ("out-of-scope", "plain", "mrae"),
    "Shuffle 4": ("main", "shuffle-4", "mrae"),
    "Light ×0.5": ("main", "brightness-0.5", "mrae"),
    "Light ×2": ("main", "brightness-2", "mrae"),
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is run; the same for every network."""

    steps: int
    batch: int
    size: int
    scenes: Mapping[str, int]
    """Synthetic scenes by part."""
    side: int
    """Rows and columns of synthetic scenes."""
    seeds: tuple[int, ...] = SEEDS
    rates: tuple[float, ...] = RATES

    def key(self) -> str:
        """What results of another plan are told by."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


FULL = Plan(3000, 16, 32, {"train": 48, "validation": 6, "test": 8, "other": 6}, 128)
QUICK = Plan(150, 8, 24, {"train": 24, "validation": 4, "test": 8, "other": 6}, 64)


class Lines:
    """Finished work by its key, a line of a journal each."""

    def __init__(self, path: Path) -> None:
        self.journal = Journal.resume(path)
        self.found = {entry["key"]: entry for entry in self.journal.records}

    def add(self, key: str, **facts: Any) -> dict[str, Any]:
        if not self.journal.begun:
            self.journal.begin()
        self.journal.append({"key": key, **facts})
        self.found[key] = self.journal.records[-1]
        return self.found[key]


# --- scenes -----------------------------------------------------------------------------------


def make_scenes(folder: Path, plan: Plan, data: Path | None) -> None:
    """Folders ``train``, ``validation``, ``test``, ``other``: synthetic scenes, and links.

    Physical scenes of ``data`` are dealt out by their order: of five, one validates, one tests.
    ``other`` is out of scope: still lifes, made by another procedure.
    """
    options = SynthesisOptions(height=plan.side, width=plan.side)
    for number, part in enumerate(PARTS):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for index in range(plan.scenes[part]):
            path = folder / part / f"synthetic-{part}-{index:03}.npz"
            if not path.exists():
                other = part == "other"
                cube = (
                    still_life(plan.side, plan.side, seed=index)
                    if other
                    else synthesize_scene(100 + number, index, options)
                )
                rs.save_cube(cube, path)
    if data is None:
        return
    collection = open_collection(data)
    groups = sorted({scene.group for scene in collection})
    deal = ("train", "validation", "train", "test", "train")
    for scene in collection:
        part = deal[groups.index(scene.group) % len(deal)]
        link = folder / part / scene.cube.name
        if not link.is_symlink():
            link.symlink_to(scene.cube.resolve())


# --- training ---------------------------------------------------------------------------------


def network_recipe(method: str, plan: Plan, rate: float, seed: int, validation: Sequence[str]):
    """The common recipe, with the input that the network's own recipe states."""
    try:
        given = load_recipe(f"{method}-clean").input.model_dump()
    except rs.RespectraError:  # another package's: values as they are
        given = {}
    card = get_network(method).card
    side = card.native_tile or max(plan.size, -(-card.size_minimum // 8) * 8)
    return recipe_of(
        {
            "name": f"{method}-clean",
            "method": method,
            "preset": "tiny",
            "input": given,
            "data": {"validation_scenes": tuple(validation)},
            "patches": {"size": side, "symmetries": "all"},
            "batch": plan.batch,
            "optimizer": {"lr": rate},
            "schedule": {"name": "one-cycle", "initial_lr": rate / 10, "final_lr": rate / 1000},
            "loss": {"mrae": {"floor": FLOOR}},
            "length": {"steps": plan.steps},
            "validation": {"every": max(1, plan.steps // 4), "floor": FLOOR},
            "clip_gradient": 1.0,
            "seed": seed,
        }
    )


def train_once(
    method: str, plan: Plan, rate: float, seed: int, out: Path, lines: Lines, device: str
) -> dict[str, Any]:
    """One run; its line is kept. A run whose loss becomes infinite scores infinity."""
    key = f"{method} {rate:g} {seed}"
    if key in lines.found:
        return lines.found[key]
    scenes = [out / "scenes" / part for part in ("train", "validation")]
    names = [scene.name for scene in open_collection(scenes[1])]
    recipe = network_recipe(method, plan, rate, seed, names)
    start = time.perf_counter()
    try:
        result = train(
            recipe, scenes, out / "runs" / f"{method}-{rate:g}-{seed}", resume=True, device=device
        )
    except rs.RespectraError as error:
        facts: dict[str, Any] = {"mrae": None, "problem": str(error), "weights": None}
    else:
        score = result.scores.get("mrae", math.nan)
        facts = {"mrae": score if math.isfinite(score) else None}
        facts["weights"] = str(result.best.relative_to(out))
    seconds = round(time.perf_counter() - start, 1)
    return lines.add(key, method=method, rate=rate, seed=seed, seconds=seconds, **facts)


def own_rate(method: str, plan: Plan, out: Path, lines: Lines, device: str) -> float | None:
    """The rate with the lowest MRAE on the validation scenes; None where every run failed."""
    runs = [train_once(method, plan, rate, SEEDS[0], out, lines, device) for rate in plan.rates]
    good = [run for run in runs if run["mrae"] is not None]
    return min(good, key=lambda run: run["mrae"])["rate"] if good else None


def fit_classical(method: str, out: Path) -> Path:
    """A classical method, fitted on the training scenes."""
    scenes = [out / "scenes" / part for part in ("train", "validation")]
    names = tuple(scene.name for scene in open_collection(scenes[1]))
    recipe = change_recipe(
        load_recipe(f"{method}-clean"),
        {"data.validation_scenes": names, "validation.floor": FLOOR},
    )
    return train(recipe, scenes, out / "runs" / method, resume=True).best


# --- scoring ----------------------------------------------------------------------------------


def score(name: str, source: str, out: Path, lines: Lines, **facts: Any) -> dict[str, Any]:
    """Scores of one set of weights; kept as a line."""
    key = f"{name} {source}"
    if key in lines.found:
        return lines.found[key]
    subjects = evaluation_scenes_of(open_collection(out / "scenes" / "test"))
    subjects += evaluation_scenes_of(open_collection(out / "scenes" / "other"), "out-of-scope")
    options = EvaluationOptions(metrics=("mrae", "rmse", "psnr", "sam"), tests=TESTS, floor=FLOOR)
    entry = find_entries([f"{name}={source}"], tracks=options.tracks)
    report = out / "scored" / key.replace("/", "_").replace(" ", "_")
    results = evaluate(entry, subjects, report, options, timing_runs=0)
    scores = {
        column: results.mean(name, "clean", test, metric, role=role).value
        for column, (role, test, metric) in COLUMNS.items()
    }
    return lines.add(key, method=name, source=source, scores=scores, **facts)


def cost(source: str) -> dict[str, Any]:
    """Time and peak memory of one image of 482 x 512, in a process of its own."""
    image = rs.get_track("clean").render(still_life(*FRAME, seed=0))
    recover = rs.load(source)
    _, first = measured(lambda: recover(image))  # loads and allocates
    return {
        "seconds": repeated(lambda: recover(image), first, 3).seconds,
        "peak_mib": first.added_mib,
    }


def costs_of(entries: Sequence[Mapping[str, Any]], out: Path) -> dict[str, dict[str, Any]]:
    """Costs by method, measured last, when nothing else runs."""
    lines = Lines(out / "costs.jsonl")
    spawn = multiprocessing.get_context("spawn")
    for name, source in {entry["method"]: entry["source"] for entry in entries}.items():
        if name not in lines.found:
            with ProcessPoolExecutor(
                1, spawn, initializer=torch.set_num_threads, initargs=(available_cores(),)
            ) as process:
                lines.add(name, **process.submit(cost, source).result())
    return lines.found


def run_all(options: argparse.Namespace, plan: Plan) -> Iterator[dict[str, Any]]:
    """Every entry of the table, one after another."""
    out: Path = options.out
    runs, scores = Lines(out / "runs.jsonl"), Lines(out / "scores.jsonl")
    wanted = [name for name in options.only.split(",") if name]
    for method in list_methods("network"):
        if wanted and method not in wanted:
            continue
        rate = own_rate(method, plan, out, runs, options.device)
        if rate is None:
            print(f"{method}: every learning rate failed", flush=True)
            continue
        print(f"{method}: learning rate {rate:g}", flush=True)
        for seed in plan.seeds:
            run = train_once(method, plan, rate, seed, out, runs, options.device)
            told = {"rate": rate, "seed": seed}
            if run["weights"] is not None:
                yield score(method, run["weights"], out, scores, kind="network", **told)
    for method in list_methods("classical"):
        if wanted and method not in wanted and "classical" not in wanted:
            continue
        weights = fit_classical(method, out).relative_to(out)
        yield score(method, str(weights), out, scores, kind="classical")
    yield score("respectra-shipped", "respectra", out, scores, kind="shipped")


# --- the table --------------------------------------------------------------------------------


def table(
    entries: Sequence[Mapping[str, Any]], costs: Mapping[str, Mapping[str, Any]]
) -> tuple[list[str], list[list[str]]]:
    """Columns and rows: means over seeds, the spread of MRAE, best first."""
    by_method: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        by_method.setdefault(entry["method"], []).append(entry)
    rows = sorted(by_method.items(), key=lambda item: _average(item[1], "MRAE") or math.inf)
    heads = ["method", "rate", *COLUMNS, "parameters", "GMAC", "s", "MiB"]
    return heads, [_cells(name, runs, costs.get(name)) for name, runs in rows]


def _cells(
    name: str, runs: Sequence[Mapping[str, Any]], cost: Mapping[str, Any] | None
) -> list[str]:
    cells = [name, f"{runs[0]['rate']:g}" if "rate" in runs[0] else "–"]
    for column in COLUMNS:
        value = _average(runs, column)
        digits = 2 if column in ("PSNR", "SAM") else 4
        cell = "–" if value is None else f"{value:.{digits}f}"
        if column == "MRAE" and len(runs) > 1 and value is not None:
            cell += f" ± {statistics.stdev(run['scores'][column] for run in runs):.4f}"
        cells.append(cell)
    network = runs[0]["kind"] == "network"
    cells.append(f"{count_parameters(name, preset='tiny'):,}" if network else "–")
    cells.append(f"{count_gmac(name, preset='tiny'):.1f}" if network else "–")
    for fact, digits in (("seconds", 3), ("peak_mib", 0)):
        cells.append("–" if cost is None else f"{cost[fact]:.{digits}f}")
    return cells


def about(plan: Plan, *, measured: bool) -> str:
    """What the table holds, in words."""
    threads = available_cores()
    scenes = "Synthetic and measured scenes" if measured else "Synthetic scenes"
    return (
        f"Every network at its tiny preset: {plan.steps} steps of {plan.batch} patches of "
        f"{plan.size} pixels, {len(plan.seeds)} seeds, the best of {len(plan.rates)} learning "
        f"rates on the same validation scenes; beside the classical methods, fitted on the same "
        f"scenes, and the project's own network as it ships. {scenes} that no run saw, "
        f"clean track, floor {FLOOR:g}; out of scope are still lifes of another making. "
        f"GMAC, seconds (median of three, {threads} threads) and MiB (peak, added by the first): "
        f"one image of 482 × 512. So few steps say how fast a network learns, not how good it "
        f"becomes."
    )


def _average(runs: Sequence[Mapping[str, Any]], column: str) -> float | None:
    values = [run["scores"][column] for run in runs]
    return None if any(value is None for value in values) else statistics.fmean(values)


def main(arguments: Sequence[str] | None = None) -> None:
    from pages import Page, add_option  # beside this script; the tests import it from elsewhere

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="a folder of measured scenes, besides")
    parser.add_argument("--only", default="", help="methods, with commas; classical: all of these")
    parser.add_argument("--quick", action="store_true", help="minutes; says little")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seeds", type=int, help="how many")
    parser.add_argument("--rates", type=int, help="how many of the five, from the middle")
    parser.add_argument("--device", default="auto")
    add_option(parser)
    options = parser.parse_args(arguments)
    plan = QUICK if options.quick else FULL
    if options.steps:
        plan = dataclasses.replace(plan, steps=options.steps)
    if options.seeds:
        plan = dataclasses.replace(plan, seeds=tuple(range(options.seeds)))
    if options.rates:
        first = (len(RATES) - options.rates) // 2
        plan = dataclasses.replace(plan, rates=RATES[first : first + options.rates])
    options.out, options.write = options.out.resolve(), options.write and options.write.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    kept = options.out / "plan.json"
    key = json.dumps([plan.key(), str(options.data and options.data.resolve())])
    if kept.is_file() and kept.read_text() != key:
        raise SystemExit(f"{options.out} holds runs of another plan; choose another folder")
    kept.write_text(key)
    make_scenes(options.out / "scenes", plan, options.data)
    os.chdir(options.out)  # weights are named relative to it
    entries = []
    for entry in run_all(options, plan):
        entries.append(entry)
        shown = {name: round(value or math.nan, 4) for name, value in entry["scores"].items()}
        print(entry["method"], entry.get("seed", ""), shown, flush=True)
    page = Page("Networks side by side", about(plan, measured=options.data is not None))
    page.table(*table(entries, costs_of(entries, options.out)))
    for place in (options.out / "table.md", options.write):
        page.write(place)


if __name__ == "__main__":
    main()
