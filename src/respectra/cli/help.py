"""How the help reads: commands by what one wants, long lists of options in groups."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

#: The commands by what one wants, in the order of the help.
GROUPS: dict[str, tuple[str, ...]] = {
    "Start here": ("demo", "reconstruct", "serve"),
    "Colour and calibration": ("relight", "calibrate", "cameras", "simulate"),
    "Cubes": ("inspect", "check", "convert"),
    "Train and evaluate": (
        "methods",
        "train",
        "evaluate",
        "leaderboard",
        "report",
        "data",
        "import-weights",
    ),
    "Tools": ("bench", "bake", "export", "plugins"),
}
#: Command -> lines that are shown at the head of its options.
EXAMPLES: dict[str, tuple[str, ...]] = {
    "demo": ("respectra demo --output respectra-demo",),
    "reconstruct": (
        "respectra reconstruct photo.jpg -o photo.zarr --preview",
        "respectra reconstruct shot.tif -o shot.hdr --camera mycamera.csv --light A",
        "respectra reconstruct 'flight/*.NEF' -o cubes --capture mycamera.json",
    ),
    "serve": ("respectra serve --open", "respectra serve --host 0.0.0.0 --token 'a long secret'"),
    "relight": ("respectra relight photo.zarr -o evening.zarr --light planck:2856",),
    "calibrate": ("respectra calibrate chart.NEF --light D50 -o mycamera.json",),
    "cameras": ("respectra cameras", "respectra cameras real-world"),
    "simulate": ("respectra simulate scene.mat -o images --track real-world --seed 1",),
    "inspect": ("respectra inspect photo.zarr",),
    "check": ("respectra check cubes",),
    "convert": ("respectra convert scene.mat -o scene.hdr --resample 400:700:10",),
    "methods": ("respectra methods", "respectra methods awan"),
    "train": (
        "respectra train awan-clean --data cubes -o run",
        "respectra train root-polynomial --data cubes -o run",
    ),
    "evaluate": (
        "respectra evaluate default classical --data cubes -o results --aux official",
        "respectra evaluate mine=run/best.safetensors --data cubes -o results",
    ),
    "leaderboard": ("respectra leaderboard results others --published",),
    "report": ("respectra report results -o report.html",),
    "import-weights": (
        "respectra import-weights mst-plus-plus theirs.pth --track exposed -o w.safetensors",
    ),
    "bench": ("respectra bench default root-polynomial --sizes 0.25,2",),
    "bake": ("respectra bake root-polynomial -o table.lut --cube-file proof.cube",),
    "export": ("respectra export run/best.safetensors -o network.onnx --height 512 --width 482",),
    "plugins": ("respectra plugins",),
    "data check": ("respectra data check cubes",),
    "data prepare": ("respectra data prepare cubes -o store --track clean",),
    "data synthesize": ("respectra data synthesize -o scenes --count 20 --size 512x512",),
}
#: Headings that several commands share.
PICTURES = "How pictures are read"
TOLD = "What is known of the pictures"
CUBE_FILES = "Cube files that do not say it"
RUNNING = "How it runs"
MANY = "Folders and clips"
OUTPUT = "What is written"


class Command(TyperCommand):
    """A command whose options stand in groups: those of the heading they name, the rest first."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write what one types, then arguments, then options by heading."""
        lines = EXAMPLES.get(ctx.command_path.partition(" ")[2], ())
        if lines:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {line}\n" for line in lines))
        _write_options(self, ctx, formatter)


class Group(TyperGroup):
    """Commands, each with the whole sentence that says what it does."""

    #: Heading -> the commands under it; the others stand under one of their own.
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the help."""
        order = [name for names in self.groups.values() for name in names]
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: order.index(name) if name in order else len(order))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, then the options."""
        self.format_commands(ctx, formatter)
        _write_options(self, ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the names with what each does, by heading."""
        left = self.list_commands(ctx)
        width = max(map(len, left), default=0)
        for heading, names in self.groups.items():
            self._write(ctx, formatter, heading, [n for n in names if n in left], width)
            left = [name for name in left if name not in names]
        self._write(ctx, formatter, "Commands", left, width)

    def _write(self, ctx: Any, formatter: Any, heading: str, names: list[str], width: int) -> None:
        commands = [(name, self.get_command(ctx, name)) for name in names]
        rows = [
            (name.ljust(width), command.get_short_help_str(limit=200))
            for name, command in commands
            if command is not None
        ]
        if rows:
            with formatter.section(heading):
                formatter.write_dl(rows)


class Root(Group):
    """The commands, in the order and under the headings of ``GROUPS``."""

    groups = GROUPS


def _write_options(command: Any, ctx: Any, formatter: Any) -> None:
    sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None:
            continue
        is_argument = parameter.param_type_name == "argument"
        heading = getattr(parameter, "rich_help_panel", None) or (
            "Arguments" if is_argument else "Options"
        )
        # An argument's name says what it is; of an option's choices the brackets go.
        names = re.sub(r" <([^<>]*)>$", "" if is_argument else r" \1", record[0])
        sections.setdefault(heading, []).append((names, record[1]))
    for heading, records in sections.items():
        if records:
            with formatter.section(heading):
                formatter.write_dl(records)


class App(typer.Typer):
    """Typer's application with this help."""

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
        """Add a function as a command; a parameter that is a dataclass stands for its options."""
        add = super().command(name, cls=Command, **options)

        def added(function: Callable[..., Any]) -> Callable[..., Any]:
            add(_spread(function))
            return function

        return added


def _spread(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with the fields of its dataclasses in their places among its parameters."""
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {
        name: kind for name, kind in hints.items() if dataclasses.is_dataclass(kind)
    }
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in groups:
            parameters.append(
                parameter.replace(annotation=hints[name], kind=parameter.KEYWORD_ONLY)
            )
            continue
        inner = get_type_hints(groups[name], include_extras=True)
        parameters += [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=inner[field.name],
            )
            for field in dataclasses.fields(groups[name])
        ]

    @functools.wraps(function)
    def command(**values: Any) -> Any:
        for name, group in groups.items():
            names = [field.name for field in dataclasses.fields(group)]
            values[name] = group(**{field: values.pop(field) for field in names})
        return function(**values)

    stated: Any = command
    stated.__signature__ = inspect.Signature(parameters)
    stated.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command
