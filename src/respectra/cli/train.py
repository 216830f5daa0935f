"""The ``train`` command."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from respectra.cli.app import app, echo, err, out, parse_settings, print_json
from respectra.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from respectra.training import AnyRecipe

#: Seconds between two plain lines of progress where there is no terminal.
_EVERY_S = 30.0


@app.command()
def train(
    recipe: Annotated[
        str | None,
        typer.Argument(help="A recipe (METHOD-TRACK), a YAML file, or a classical method."),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data",
            help="Folders of cubes, one store from `data prepare`, or the word synthetic.",
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The run folder.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a value: --set optimizer.lr=2e-4. Repeatable."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Length of the run; schedules shrink with it.")
    ] = None,
    resample: Annotated[
        str | None,
        typer.Option("--resample", help="Learn these bands, whatever the cubes': 400:700:10."),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Another size, such as tiny.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of everything random.")] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue the folder's run, if there is one; with more --steps, beyond its end.",
        ),
    ] = False,
    start: Annotated[
        Path | None, typer.Option("--from", help="Weights to start from, for fine-tuning.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    processes: Annotated[
        int, typer.Option(min=1, help="Processes or GPUs that train together.")
    ] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Processes that cut patches.")] = 0,
    show: Annotated[
        bool, typer.Option("--show", help="Print the recipe as it would be run, and stop.")
    ] = False,
    listing: Annotated[bool, typer.Option("--list", help="List the recipes.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a network by a recipe, or fit a classical method, on your cubes."""
    from respectra.training import list_recipes

    if listing:
        names = list_recipes()
        print_json(names) if json else out.print("\n".join(names))
        return
    bands = [] if resample is None else [f"wavelengths_nm={_bands(resample)}"]
    settings = [*bands, *(changes or [])]
    chosen = _recipe(recipe, output, settings, steps, preset, seed, resume=resume)
    if show:
        _show(chosen)
        return
    if not data or output is None:
        raise ConfigError("training needs --data FOLDER and --output RUN")
    from respectra.training import train as run

    progress = _Plain() if processes > 1 or not err.is_terminal else _Bar()
    with progress:
        result = run(
            chosen,
            "synthetic" if data == [Path("synthetic")] and not data[0].exists() else data,
            output,
            resume=resume,
            start=start,
            device=device,
            processes=processes,
            workers=workers,
            on_estimate=lambda estimate: echo(str(estimate)),
            on_progress=progress,
        )
    if json:
        print_json(
            {"run": result.folder, "best": result.best, "step": result.step, **result.scores}
        )
        return
    scores = ", ".join(f"{name.upper()} {value:.5f}" for name, value in result.scores.items())
    echo(f"{result.best}" + (f": {scores} on the scenes that validate" if scores else ""))


def _bands(text: str) -> list[float]:
    from respectra.cubes import parse_wavelengths

    return list(parse_wavelengths(text).tolist())


def _recipe(
    name: str | None,
    output: Path | None,
    changes: list[str],
    steps: int | None,
    preset: str | None,
    seed: int | None,
    *,
    resume: bool,
) -> AnyRecipe:
    """The recipe that the command line describes; a run that is resumed brings its own."""
    from respectra.training import change_recipe, load_recipe

    frozen = None if output is None else output / "recipe.yaml"
    if name is None:
        if not resume or frozen is None or not frozen.is_file():
            raise ConfigError("name a recipe; `respectra train --list` shows them")
        name = str(frozen)
    settings: dict[str, Any] = {}
    if preset is not None:
        settings["preset"] = preset
    if steps is not None:
        settings["length.steps"] = steps
    if seed is not None:
        settings["seed"] = seed
    settings |= parse_settings(changes)
    return change_recipe(load_recipe(name), settings)


def _show(recipe: AnyRecipe) -> None:
    import yaml

    out.print(
        yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False).rstrip(), markup=False
    )


class _Plain:
    """Progress as plain lines, a few a minute; it can be sent to another process."""

    def __init__(self) -> None:
        self.last = 0.0

    def __enter__(self) -> _Plain:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __call__(self, step: int, steps: int, values: Mapping[str, float]) -> None:
        now = time.monotonic()
        if step == steps or now - self.last >= _EVERY_S:
            self.last = now
            echo(f"step {step}/{steps}  loss {values['loss']:.5g}")


class _Bar:
    """Progress as a bar."""

    def __init__(self) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=err,
            transient=True,
        )
        self.task = self.progress.add_task("training", total=None)

    def __enter__(self) -> _Bar:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def __call__(self, step: int, steps: int, values: Mapping[str, float]) -> None:
        self.progress.update(
            self.task, completed=step, total=steps, description=f"loss {values['loss']:.5g}"
        )
