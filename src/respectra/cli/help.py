"""How the help reads: commands by what one wants, long lists of options in groups."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from respectra.cli.examples import EXAMPLES

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
        """Add a function as a command."""
        return super().command(name, cls=Command, **options)
