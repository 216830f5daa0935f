"""The help: commands by what one wants; every option with its meaning, default and unit."""

from __future__ import annotations

import inspect
import re
import shlex
import subprocess
import sys
import typing
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer
from benchmarks.kills import COMMANDS, Command
from typer.models import ArgumentInfo, OptionInfo

from respectra.cli import app, load_commands
from respectra.cli.app import run
from respectra.cli.help import EXAMPLES, GROUPS

load_commands()

#: What a number may be counted in; N is a plain count, of what the help says.
UNITS = {"N", "PIXELS", "SECONDS", "MINUTES", "MIB", "MEGAPIXELS", "SEED", "PORT", "VALUE", "CODE"}


def _commands(typer_app: Any = app, before: str = "") -> Iterator[tuple[str, Callable[..., Any]]]:
    for entry in typer_app.registered_commands:
        yield before + (entry.name or entry.callback.__name__), entry.callback
    for group in typer_app.registered_groups:
        yield from _commands(group.typer_instance, f"{before}{group.typer_instance.info.name} ")


_COMMANDS = dict(_commands())


def _parameters(function: Callable[..., Any]) -> Iterator[tuple[str, Any, Any, Any]]:
    """Name, type, default (``empty`` where it must be given), and typer's description of each."""
    hints = typing.get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        kind, *notes = typing.get_args(hints[name])
        (info,) = [note for note in notes if isinstance(note, OptionInfo | ArgumentInfo)]
        yield name, kind, parameter.default, info


def _complaints(kind: Any, default: Any, info: Any) -> Iterator[str]:
    text = info.help or ""
    plain = {kind, *typing.get_args(kind)}
    if not text.rstrip().endswith((".", "...")):
        yield "no help that ends as a sentence does"
    if re.search(r"\d{3}:\d{3}:\d", text) and "nm" not in text:
        yield "wavelengths without nm"
    if isinstance(info, ArgumentInfo):
        return
    if plain & {int, float} and info.metavar not in UNITS:
        yield f"a number in what? metavar={info.metavar!r} is none of {sorted(UNITS)}"
    if default is None and not isinstance(info.show_default, str):
        yield "says not what holds without it: show_default"
    names = [name for name in (info.default, *(info.param_decls or ())) if isinstance(name, str)]
    if kind is bool and not any(name.startswith("--") for name in names):
        yield "a flag without its one name"


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_option_says_what_it_means_its_default_and_its_unit(name: str) -> None:
    found = [
        f"{parameter}: {complaint}"
        for parameter, kind, default, info in _parameters(_COMMANDS[name])
        for complaint in _complaints(kind, default, info)
    ]
    assert not found


def test_a_long_help_is_in_groups() -> None:
    root: Any = typer.main.get_command(app)
    for name, function in _COMMANDS.items():
        groups = Counter(
            info.rich_help_panel or "Options"
            for *_, info in _parameters(function)
            if isinstance(info, OptionInfo)
        )
        assert max(groups.values(), default=0) <= 10, name
        command = root
        for part in name.split():
            command = command.commands[part]
        shown = command.get_help(command.make_context(part, [], resilient_parsing=True))
        assert all(f"\n{heading}:\n" in shown for heading in groups), name
        assert not re.search(r"<[a-zA-Z\[]", shown), f"{name} shows a type of Python"


def test_the_commands_stand_by_what_one_wants(capfd: pytest.CaptureFixture[str]) -> None:
    listed = [name for names in GROUPS.values() for name in names]
    assert sorted(listed) == sorted({name.split()[0] for name in _COMMANDS})
    assert run(["--help"]) == 0
    shown = capfd.readouterr().out
    places = [shown.index(f"\n{heading}:\n") for heading in GROUPS]
    places += [shown.index("\nOptions:\n")]
    assert places == sorted(places)
    names = [shown.index(f"\n  {name} ") for name in listed]
    assert names == sorted(names)
    assert "..." not in shown.replace("ARGS]...", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(
    shell: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = {
        "bash": {"COMP_WORDS": "respectra rel", "COMP_CWORD": "1"},
        "zsh": {"_TYPER_COMPLETE_ARGS": "respectra rel"},
        "fish": {
            "_TYPER_COMPLETE_ARGS": "respectra rel",
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        },
    }
    for name, value in {"_RESPECTRA_COMPLETE": f"complete_{shell}", **asked[shell]}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["respectra"])
    with pytest.raises(SystemExit):
        run([])
    shown = capfd.readouterr().out
    assert "relight" in shown
    assert "reconstruct" not in shown


def test_commands_of_a_group_are_told_whole(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "--help"]) == 0
    shown = capfd.readouterr().out
    assert [shown.index(f"\n  {name} ") for name in ("check", "prepare", "synthesize")]
    assert "..." not in shown.replace("ARGS]...", "")
    assert "\nCubes:\n" not in shown


def test_completion_can_be_shown_and_costs_no_import(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capfd.readouterr().out
    assert "--install-completion" in shown
    code = "import sys, respectra.cli as c; c.load_commands(); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], text=True, capture_output=True, check=True, timeout=600
    ).stdout.split()
    assert not {"torch", "xarray", "typer.rich_utils"} & set(loaded)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_command_lines_of_the_kills_are_understood(command: Command) -> None:
    load_commands()
    group: Any = typer.main.get_command(app)
    words = command.line.format_map({"in": "i", "out": "o", "w": "w"}).split()
    while hasattr(group, "resolve_command"):
        _, group, words = group.resolve_command(group.context_class(group), words)
    parser = group.make_parser(group.context_class(group))
    values, left, _ = parser.parse_args(list(words))  # an unknown option is an error
    assert values
    assert not left


def test_every_command_has_examples_that_can_be_typed(capsys: pytest.CaptureFixture[str]) -> None:
    assert EXAMPLES.keys() == _COMMANDS.keys()
    root: Any = typer.main.get_command(app)
    for name, lines in EXAMPLES.items():
        for line in lines:
            first, *words = shlex.split(line)
            assert first == "respectra"
            command = root
            for part in name.split():
                assert words.pop(0) == part
                command = command.commands[part]
            command.make_context(name, words)  # refuses what is unknown or left out
    assert run(["data", "prepare", "--help"]) == 0
    assert EXAMPLES["data prepare"][0] in capsys.readouterr().out
