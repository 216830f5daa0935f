"""``respectra plugins``: what other packages add, and what of it cannot be loaded."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from rich.markup import escape

from respectra.cli.app import app, make_table, out, print_json
from respectra.cli.options import flag


@app.command()
def plugins(
    as_json: Annotated[bool, flag("--json", "Print JSON for a program.")] = False,
) -> None:
    """List what other packages add: methods, formats, tracks, responses, metrics, tests."""
    from respectra.plugins import find_plugins

    found = [asdict(plugin) for plugin in find_plugins()]
    if as_json:
        print_json(found)
    elif not found:
        out.print("no other package adds anything; docs/plugins.md says how one does")
    else:
        _print(found)


def _print(found: list[dict[str, Any]]) -> None:
    table = make_table("Kind", "Name", "Package")
    table.add_column("State")
    for entry in found:
        state = (
            "[green]ready[/]" if entry["problem"] is None else f"[red]{escape(entry['problem'])}[/]"
        )
        table.add_row(entry["kind"], escape(entry["name"]), escape(entry["package"]), state)
    out.print(table, soft_wrap=False)
