"""The ``train`` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from respectra.cli.app import app, echo, out, parse_settings, print_json, show_progress
from respectra.cli.help import RUNNING
from respectra.cli.options import CubeOptions, argument, flag, option, output_option
from respectra.errors import ConfigError

_CHANGES = "What of the recipe changes"
#: Seconds between two plain lines of progress where there is no terminal.
_EVERY_S = 30.0


@app.command()
def train(
    recipe: Annotated[
        str | None,
        argument("RECIPE", "A recipe (METHOD-TRACK), a YAML file, or a classical method."),
    ] = None,
    *,
    data: Annotated[
        list[str] | None,
        option(
            "FOLDER",
            "A folder of cubes, or one store from `data prepare`, here or by URL; may be "
            "repeated. Or the word synthetic: scenes without end, for respectra.",
            unset="needed to train",
        ),
    ] = None,
    output: Annotated[
        Path | None, output_option("FOLDER", "The run folder.", unset="needed to train")
    ] = None,
    changes: Annotated[
        list[str] | None,
        option(
            "NAME=VALUE",
            "Change a value: --set optimizer.lr=2e-4. May be repeated.",
            _CHANGES,
            names=("--set",),
            unset="as the recipe says",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        option(
            "N",
            "Length of the run in optimiser steps; schedules shrink with it.",
            _CHANGES,
            unset="as the recipe says",
            min=1,
        ),
    ] = None,
    resample: Annotated[
        str | None,
        option(
            "NM",
            "Learn these bands in nm, whatever the cubes': 400:700:10.",
            _CHANGES,
            unset="the cubes' bands",
        ),
    ] = None,
    preset: Annotated[
        str | None,
        option(
            "NAME",
            "Another size of the network, such as tiny.",
            _CHANGES,
            unset="as the recipe says",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        option("SEED", "Seed of everything random.", _CHANGES, unset="as the recipe says", min=0),
    ] = None,
    reading: CubeOptions,
    resume: Annotated[
        bool,
        flag(
            "--resume",
            "Continue the folder's run, if there is one; with more --steps, beyond its end.",
        ),
    ] = False,
    start: Annotated[
        Path | None,
        option(
            "FILE",
            "Weights to start from, for fine-tuning.",
            names=("--from",),
            unset="random weights",
        ),
    ] = None,
    device: Annotated[str, option("NAME", "auto, cpu or cuda.", RUNNING)] = "auto",
    processes: Annotated[
        int, option("N", "Processes or GPUs of a machine that train together.", RUNNING, min=1)
    ] = 1,
    nodes: Annotated[
        int,
        option(
            "N",
            "Machines that train together; under torchrun or srun this follows by itself.",
            RUNNING,
            min=1,
        ),
    ] = 1,
    workers: Annotated[
        int, option("N", "Processes that cut patches; 0: the one that trains.", RUNNING, min=0)
    ] = 0,
    show: Annotated[bool, flag("--show", "Print the recipe as it would be run, and stop.")] = False,
    listing: Annotated[bool, flag("--list", "List the recipes.")] = False,
    json: Annotated[bool, flag("--json", "Print the result as JSON.")] = False,
) -> None:
    """Train a network by a recipe, or fit a classical method, on your cubes."""
    from respectra.cubes import parse_wavelengths
    from respectra.training import change_recipe, list_recipes, load_recipe

    if listing:
        names = list_recipes()
        print_json(names) if json else out.print("\n".join(names))
        return
    said = {
        "preset": preset,
        "length.steps": steps,
        "seed": seed,
        "wavelengths_nm": None if resample is None else parse_wavelengths(resample).tolist(),
        **{f"data.{name}": value for name, value in reading.opening().items()},
    }
    settings = {name: value for name, value in said.items() if value is not None}
    settings |= parse_settings(changes or [])
    if recipe is None:  # a run that is resumed brings its own
        frozen = None if output is None else output / "recipe.yaml"
        if not resume or frozen is None or not frozen.is_file():
            raise ConfigError("name a recipe; `respectra train --list` shows them")
        recipe = str(frozen)
    chosen = change_recipe(load_recipe(recipe), settings)
    if show:
        import yaml

        text = yaml.safe_dump(chosen.model_dump(mode="json"), sort_keys=False)
        out.print(text.rstrip(), markup=False)
        return
    if not data or output is None:
        raise ConfigError("training needs --data FOLDER and --output RUN")
    from respectra.training import train as run
    from respectra.training.nodes import find_team

    # What is sent to other processes can be no bar.
    with show_progress(every_s=_EVERY_S, plain=processes * nodes > 1) as progress:
        result = run(
            chosen,
            "synthetic" if data == ["synthetic"] and not Path("synthetic").exists() else data,
            output,
            resume=resume,
            start=start,
            device=device,
            processes=processes,
            nodes=nodes,
            workers=workers,
            on_estimate=lambda estimate: echo(str(estimate)),
            progress=progress,
        )
    if not find_team(processes, nodes).writes:
        return
    if json:
        print_json(
            {"run": result.folder, "best": result.best, "step": result.step, **result.scores}
        )
        return
    scores = ", ".join(f"{name.upper()} {value:.5f}" for name, value in result.scores.items())
    echo(f"{result.best}" + (f": {scores} on the scenes that validate" if scores else ""))
