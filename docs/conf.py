"""Sphinx configuration: builds offline, warnings are errors (``make docs``)."""

from __future__ import annotations

import inspect
import os
import sys
import typing
from pathlib import Path

import numpy.typing

import respectra

sys.path.insert(0, str(Path(__file__).parent))

from inventory import ROOMS, inventory

# Its long union would stand in every signature; annotations are looked up when they are shown.
numpy.typing.ArrayLike = type("ArrayLike", (), {"__module__": "numpy.typing"})

project = "Respectra"
author = "The Respectra developers"
copyright = "The Respectra developers"  # noqa: A001 - Sphinx's own name
release = respectra.__version__
version = release

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
root_doc = "index"
exclude_patterns = ["_build", "gallery/*.rst", "gallery/*.py", "**sg_execution_times.rst"]
exclude_patterns += [f"auto_gallery/*.{end}" for end in ("py", "ipynb", "zip", "json", "md5")]

# Notebooks are pages of text; each build runs them from start to end.
nb_execution_mode = "force"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
# What a tutorial writes is gone with its folder.
nb_execution_in_temp = True
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4

autosummary_generate = True
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"plot_",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "min_reported_time": 1e9,
}

html_theme = "pydata_sphinx_theme"
html_title = "Respectra"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_theme_options = {
    "navigation_with_keys": False,
    "show_nav_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
# References to types of other projects are not followed: the build needs no network.
nitpicky = False
suppress_warnings = ["autosectionlabel.*", "ref.python"]

# Progress bars and colours would fill the pages of notebooks.
os.environ.setdefault("TERM", "dumb")


def _write_reference(app: object) -> None:
    """One page a room: every public name once, from its docstring."""
    folder = Path(__file__).with_name("reference") / "rooms"
    folder.mkdir(exist_ok=True)
    for room, names in inventory().items():
        package = f"respectra.{room}".strip(".")
        title = ROOMS.get(room, "Of respectra itself")
        lines = [f"# {title}", "", f"`{package}`", "", "```{eval-rst}"]
        for name, value in names.items():
            kind = "class" if inspect.isclass(value) else "function"
            if inspect.isclass(value) and issubclass(value, Exception):
                kind = "exception"
            lines += [f".. auto{kind}:: {package}.{name}"]
            lines += ["   :members:", "   :undoc-members:"] if kind == "class" else []
            lines.append("")
        lines.append("```")
        page = folder / f"{room.replace('.', '-') or 'respectra'}.md"
        page.write_text("\n".join(lines) + "\n", "utf-8")


def _write_commands(app: object) -> None:
    """One page of what ``--help`` says of every command."""
    import typer

    from respectra.cli import app as commands
    from respectra.cli import load_commands
    from respectra.cli.help import GROUPS

    load_commands()
    root: typing.Any = typer.main.get_command(commands)
    lines = ["# Commands and options", ""]
    for heading, names in GROUPS.items():
        lines += [f"## {heading}", ""]
        for name in names:
            command = root.commands[name]
            found = {name: command}
            for part, child in getattr(command, "commands", {}).items():
                found[f"{name} {part}"] = child
            for title, one in found.items():
                context = one.make_context(f"respectra {title}", [], resilient_parsing=True)
                shown = one.get_help(context).rstrip()
                lines += [f"### {title}", "", "```text", shown, "```", ""]
    page = Path(__file__).with_name("reference") / "rooms" / "commands.md"
    page.write_text("\n".join(lines), "utf-8")


def setup(app: typing.Any) -> None:
    """Called by Sphinx."""
    app.connect("builder-inited", _write_reference)
    app.connect("builder-inited", _write_commands)
