"""What evaluations stored: leaderboard, report; how tables stand in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.markup import escape

from respectra.cli.app import app, echo, out
from respectra.cli.options import argument, flag, option, output_option, split_words

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from respectra.evaluation import ReportTable


@app.command()
def leaderboard(
    folders: Annotated[list[str], argument("RESULTS", "Folders that evaluate wrote.")],
    form: Annotated[
        str, option("NAME", "terminal, markdown or html.", names=("--format",))
    ] = "terminal",
    metric: Annotated[str, option("NAME", "Score to rank by.")] = "mrae",
    test: Annotated[
        str, option("NAME", "plain, or an auxiliary test such as shuffle-4.")
    ] = "plain",
    published: Annotated[
        bool, flag("--published", "Add the report's tables, as published on ARAD.")
    ] = False,
    output: Annotated[
        Path | None, output_option("FILE", "File to write instead.", unset="only printed")
    ] = None,
    overwrite: Annotated[bool, flag("--overwrite", "Replace the file.")] = False,
) -> None:
    """Rank the methods of one or more evaluations by track."""
    from respectra.errors import unknown_name
    from respectra.evaluation import make_leaderboard, published_table
    from respectra.evaluation.leaderboard import to_html, to_markdown
    from respectra.files import atomic_path

    writers = {
        "terminal": lambda tables: "\n\n".join(table.to_text() for table in tables) + "\n",
        "markdown": to_markdown,
        "html": to_html,
    }
    if form not in writers:
        raise unknown_name("format", form, writers)
    boards = make_leaderboard(folders, metric=metric, test=test)
    if published:
        boards += tuple(published_table(number) for number in ("1", "2", "3"))
    if output is not None:
        with atomic_path(output, overwrite=overwrite) as path:
            path.write_text(writers[form](boards), "utf-8")
        echo(f"saved {output}")
    elif form == "terminal":
        print_tables(boards)
    else:
        out.print(writers[form](boards), markup=False, end="")


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


def print_tables(tables: Sequence[ReportTable]) -> None:
    """Tables as wide as the terminal; as text into a pipe."""
    for table in tables:
        if out.is_terminal:
            for part in table.split(out.width):
                out.print(_rich(part), soft_wrap=False)
            for note in table.notes:
                out.print(f"[dim]{escape(note)}[/]")
        else:
            out.print(table.to_text(), markup=False)
        out.print()


def _rich(table: ReportTable) -> RichTable:
    from rich.table import Table as RichTable

    shown = RichTable(title=escape(table.title), title_justify="left", box=None, pad_edge=False)
    for column, left in zip(table.columns, table.left, strict=True):
        shown.add_column(escape(column), justify="left" if left else "right")
    for row in table.rows:
        shown.add_row(*(escape(cell) for cell in row))
    return shown
