"""``respectra report`` makes the page of an evaluation that was stored."""

from __future__ import annotations

from typing import Annotated

from respectra.cli.app import app, echo
from respectra.cli.options import argument, flag, option, output_option, split_words


@app.command()
def report(
    folder: Annotated[str, argument("RESULTS", "Folder that evaluate wrote.")],
    output: Annotated[
        str | None, output_option("FILE|URL", "File to write.", unset="report.html in the folder")
    ] = None,
    methods: Annotated[
        str | None, option("NAME,...", "Methods in the figures.", unset="the best eight")
    ] = None,
    overwrite: Annotated[bool, flag("--overwrite", "Replace the file.")] = False,
) -> None:
    """Show an evaluation as one HTML page that needs no network.

    Tables, error maps, spectra, where errors lie, consistency, cost, and all that is needed to
    reproduce them.
    """
    from respectra.evaluation import save_report
    from respectra.urls import parse_place

    target = str(parse_place(folder) / "report.html") if output is None else output
    chosen = None if methods is None else split_words(methods)
    save_report(folder, target, methods=chosen, overwrite=overwrite)
    echo(f"saved {target}")
