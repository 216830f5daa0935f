"""``respectra plugins``: what other packages add, and what of it cannot be loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from respectra.cli.app import app, out, print_json

if TYPE_CHECKING:
    from respectra.registry import Registry


@app.command()
def plugins(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """List what other packages add: methods, formats, tracks, responses, metrics, tests."""
    found = [
        {
            "kind": registry.kind,
            "name": name,
            "package": registry.origin(name),
            "group": registry.group,
            "problem": registry.problem(name),
        }
        for registry in registries()
        for name in registry.others()
    ]
    if as_json:
        print_json(found)
    elif not found:
        out.print("no other package adds anything; docs/plugins.md says how one does")
    else:
        _print(found)


def registries() -> tuple[Registry[Any], ...]:
    """The registries that other packages can add to."""
    from respectra.cameras.responses import OTHERS
    from respectra.cameras.tracks import tracks
    from respectra.cubes.formats import FORMATS
    from respectra.evaluation.auxiliary import TESTS
    from respectra.evaluation.metrics import METRICS
    from respectra.methods.registry import methods

    return methods(), FORMATS.entries, tracks(), OTHERS, METRICS, TESTS


def _print(found: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold underline")
    for heading in ("Kind", "Name", "Package", "State"):
        table.add_column(heading, no_wrap=heading != "State")
    for entry in found:
        state = (
            "[green]ready[/]" if entry["problem"] is None else f"[red]{escape(entry['problem'])}[/]"
        )
        table.add_row(entry["kind"], escape(entry["name"]), escape(entry["package"]), state)
    out.print(table, soft_wrap=False)
