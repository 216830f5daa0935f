"""How commands state their options: what each takes, what it means, under which heading."""

from __future__ import annotations

from typing import Any

import typer


def option(
    metavar: str | None,
    text: str,
    panel: str | None = None,
    *,
    names: tuple[str, ...] = (),
    unset: str | bool = True,
    **limits: Any,
) -> Any:
    """An option with a value.

    Args:
        metavar: what stands for the value in the help; None for a choice, which lists its words.
        text: what it means.
        panel: the heading of the help that it stands under, where not the first.
        names: how it is written, where not as the function calls it.
        unset: what holds without it, in words, where the default does not say it.
        limits: ``min`` and ``max``, of a number.
    """
    return typer.Option(
        *names, metavar=metavar, help=text, rich_help_panel=panel, show_default=unset, **limits
    )


def flag(name: str, text: str, panel: str | None = None) -> Any:
    """An option that is given or not."""
    return typer.Option(name, help=text, rich_help_panel=panel)


def argument(metavar: str | None, text: str, *, unset: str | bool = True) -> Any:
    """A value by its place on the command line."""
    return typer.Argument(metavar=metavar, help=text, show_default=unset)
