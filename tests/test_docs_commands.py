"""Commands that the pages show exist, and so do their options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from respectra.cli import app, load_commands

_ROOT = Path(__file__).parents[1]
_PAGES = [
    page
    for page in [_ROOT / "README.md", *sorted((_ROOT / "docs").rglob("*.md"))]
    if not {"_build", "auto_gallery", "rooms", "jupyter_execute"} & set(page.parts)
]
_BLOCK = re.compile(r"```[^\n]*\n(.*?)```|`(respectra [^`\n]*)`", re.DOTALL)
load_commands()
_APP: Any = typer.main.get_command(app)


def _lines(text: str) -> list[str]:
    """Command lines of code blocks and of inline code."""
    found = []
    for block, inline in _BLOCK.findall(text):
        for line in re.sub(r"\\\n", " ", block or inline).splitlines():
            found += [
                part.strip().removeprefix("$ ")
                for part in re.split(r"&&|;|(?<=\s)\|(?=\s)|#", line)
                if part.strip().removeprefix("$ ").startswith("respectra ")
            ]
    return found


def _problem(line: str) -> str | None:
    line = line.partition("$(")[0]  # what the shell puts in is not ours
    words = shlex.split(re.sub(r"[…'\"]", " ", line))[1:]
    command = _APP
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    if command is _APP and words and not words[0].startswith("-") and words[0].islower():
        return f"there is no command {words[0]}"
    known = {"--help"}
    for parameter in command.params:
        known |= {*parameter.opts, *parameter.secondary_opts}
    for word in words:
        option = word.partition("=")[0].rstrip(",.)")
        if re.fullmatch(r"--?[a-z][\w-]*", option) and option not in known:
            return f"{command.name} has no option {option}"
    return None


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_commands_of_the_pages_exist(page: Path) -> None:
    problems = [
        f"{line}: {problem}"
        for line in _lines(page.read_text("utf-8"))
        if (problem := _problem(line))
    ]
    assert not problems


def test_a_wrong_command_is_found() -> None:
    assert _problem("respectra bake default-classical -o t.lut --proof p.cube") is not None
    assert _problem("respectra paint x.png") is not None
    assert _problem("respectra data check CUBES --track clean") is None
    assert sum(len(_lines(page.read_text("utf-8"))) for page in _PAGES) > 50
