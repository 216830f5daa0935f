"""``respectra report`` makes the page of an evaluation that was stored."""

from __future__ import annotations

from typing import Annotated

import typer

from respectra.cli.app import app, echo


@app.command()
def report(
    folder: Annotated[str, typer.Argument(metavar="RESULTS", help="Folder that evaluate wrote.")],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|URL",
            help="File to write.",
            show_default="report.html in the folder",
        ),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            "--methods",
            metavar="NAME,...",
            help="Methods in the figures.",
            show_default="the best eight",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Show an evaluation as one HTML page that needs no network.

    Tables, error maps, spectra, where errors lie, consistency, cost, and all that is needed to
    reproduce them.
    """
    from respectra.evaluation import save_report
    from respectra.urls import parse_place

    target = str(parse_place(folder) / "report.html") if output is None else output
    chosen = None if methods is None else [m.strip() for m in methods.split(",") if m.strip()]
    save_report(folder, target, methods=chosen, overwrite=overwrite)
    echo(f"saved {target}")
