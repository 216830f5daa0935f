"""What is public: listed, documented, and of one kind everywhere."""

import importlib
import importlib.util
import inspect
import pkgutil
import re
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

import respectra as rs
import respectra.cli
from respectra.cli import app as commands
from respectra.errors import MissingExtraError

ROOT = Path(__file__).parents[1]
#: What it shares with the other modules of the package is no one else's to use.
SHARED = {"respectra.errors"}
#: Folders whose files are found by a registry or name no more than themselves.
FOUND = {"respectra.cli", "respectra.__main__"}


def _modules() -> list[str]:
    """The package, its rooms and all packages below, and the modules beside them."""
    found = ["respectra"]
    for info in pkgutil.walk_packages(rs.__path__, "respectra."):
        parts = info.name.split(".")
        private = any(part.startswith("_") for part in parts)
        if (info.ispkg or len(parts) == 2) and not private and info.name not in FOUND:
            found.append(info.name)
    return found


def _names(module: str) -> list[str]:
    return list(getattr(importlib.import_module(module), "__all__", []))


MODULES = _modules()


def test_the_rooms_are_among_them():
    assert {f"respectra.{room}" for room in rs._ROOMS} <= set(MODULES)
    assert {"respectra.errors", "respectra.cubes.formats", "respectra.progress"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_lists_its_names_and_they_are_documented(name):
    module = importlib.import_module(name)
    assert inspect.getdoc(module)
    own = [
        key
        for key, value in vars(module).items()
        if not key.startswith("_")
        and getattr(value, "__module__", None) == name
        and not isinstance(value, TypeVar | ParamSpec)
    ]
    listed = _names(name)
    if name not in SHARED:
        assert sorted(set(own) - set(listed)) == []
    assert len(set(listed)) == len(listed)
    for key in listed:
        try:
            value = getattr(module, key)
        except (ImportError, MissingExtraError) as error:
            pytest.skip(f"{key} needs an extra: {error}")
        if inspect.isclass(value) or inspect.isroutine(value):
            assert inspect.getdoc(value), f"{name}.{key} says nothing of itself"


def _lists() -> list[str]:
    return sorted({f"{m}.{n}" for m in MODULES for n in _names(m) if n.startswith("list_")})


@pytest.mark.parametrize("name", _lists())
def test_what_lists_gives_a_list_of_names(name):
    module, _, function = name.rpartition(".")
    found = getattr(importlib.import_module(module), function)()
    assert type(found) is list
    assert found
    assert all(isinstance(one, str) for one in found)


def test_each_list_is_one_function():
    functions: dict[str, set[int]] = {}
    for name in _lists():
        module, _, function = name.rpartition(".")
        value = getattr(importlib.import_module(module), function)
        functions.setdefault(function, set()).add(id(value))
    assert [name for name, several in functions.items() if len(several) > 1] == []


def _value(name: str):
    """What a dotted name below the package is, and what it is part of."""
    value, whole = rs, None
    for part in name.split("."):
        whole = value
        try:
            value = getattr(value, part)
        except AttributeError:
            value = importlib.import_module(f"{value.__name__}.{part}")
    return value, whole


def _in_the_reference() -> set[int]:
    spec = importlib.util.spec_from_file_location("_inventory", ROOT / "docs/inventory.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {id(value) for names in module.inventory().values() for value in names.values()}


#: Pages, without those that are written when the site is built.
PAGES = [
    page
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if not {"_build", "auto_gallery", "rooms", "jupyter_execute"} & set(page.parts)
]
#: On pages they look like names of Python: groups of entry points, an accessor, files.
OTHERS = re.compile(r"(formats|tracks|tests|responses|metrics|plot_spectra|md|safetensors)$")


def _named(text: str) -> set[str]:
    """Names below the package that a page speaks of."""
    found = set(re.findall(r"\b(?:rs|respectra)\.([A-Za-z_]+(?:\.[A-Za-z_]\w*)*)", text))
    for module, names in re.findall(r"from respectra\.?([\w.]*) import ([\w, ]+)", text):
        found |= {f"{module}.{name.strip()}".lstrip(".") for name in names.split(",")}
    return {name for name in found if not OTHERS.match(name)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_calls_is_there(page):
    for name in _named(page.read_text("utf-8")):
        try:
            _value(name)
        except MissingExtraError as error:
            pytest.skip(f"{name} needs an extra: {error}")


def test_a_name_that_is_not_there_is_found():
    assert _named("`rs.cubes.resampled` [here](method.md) `respectra.tests`") == {"cubes.resampled"}
    with pytest.raises(ImportError):
        _value("cubes.resampled")


def _rows() -> dict[str, str]:
    """Command -> what calls do the same, from the page that says so."""
    text = (ROOT / "docs/reference/python-and-commands.md").read_text("utf-8")
    return dict(re.findall(r"^\| `respectra ([a-z -]+)` \| (.+) \|$", text, re.MULTILINE))


def _commands() -> list[str]:
    import typer.main

    for module in pkgutil.iter_modules(respectra.cli.__path__):  # which registers the commands
        importlib.import_module(f"respectra.cli.{module.name}")

    def walk(group, before: str = ""):
        for name, command in group.commands.items():
            yield from (
                walk(command, f"{before}{name} ")
                if hasattr(command, "commands")
                else [before + name]
            )

    return sorted(walk(typer.main.get_command(commands)))


def test_every_command_is_a_documented_call():
    assert sorted(_rows()) == _commands()


@pytest.mark.parametrize("command", sorted(_rows()))
def test_the_calls_exist_and_say_what_they_do(command):
    calls = re.findall(r"`(?:rs|respectra)\.([\w.]+)`", _rows()[command])
    assert calls
    reference = _in_the_reference()
    for call in calls:
        try:
            value, whole = _value(call)
        except MissingExtraError as error:
            pytest.skip(f"{call} needs an extra: {error}")
        assert inspect.getdoc(value), call
        assert {id(value), id(whole)} & reference, f"{call} does not stand in the reference"
