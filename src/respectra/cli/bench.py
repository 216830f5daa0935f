"""The ``bench`` command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from respectra.cli.app import PlainLines, app, echo, make_table, out
from respectra.cli.options import (
    ResultOptions,
    argument,
    flag,
    option,
    output_option,
    split_numbers,
)

if TYPE_CHECKING:
    from rich.table import Table

    from respectra.evaluation.benchmarking import Benchmark


@app.command()
def bench(
    methods: Annotated[
        list[str] | None,
        argument(
            "METHOD|WEIGHTS", "Methods by name or weights files; by default what reconstruct uses."
        ),
    ] = None,
    *,
    sizes: Annotated[
        str, option("MEGAPIXELS", "Sizes of the pictures, with commas between.")
    ] = "0.25,2,8.3",
    threads: Annotated[int | None, option("N", "Threads to use.", unset="all cores", min=1)] = None,
    patience: Annotated[
        float, option("SECONDS", "Leave out what takes longer for one picture.", min=0.1)
    ] = 60.0,
    output: Annotated[
        Path | None,
        output_option("FOLDER", "Folder for bench.json and bench.png.", unset="only printed"),
    ] = None,
    pictures: ResultOptions,
    overwrite: Annotated[bool, flag("--overwrite", "Replace existing outputs.")] = False,
    json: Annotated[bool, flag("--json", "Print the result as JSON.")] = False,
) -> None:
    """Measure how fast methods run here, and how near to what the machine can do."""
    from rich.console import Console

    from respectra.evaluation.benchmarking import benchmark, save_benchmark
    from respectra.files import ensure_all_absent

    megapixels = split_numbers("--sizes", sizes, "numbers such as 0.25,2,8.3", float)
    if output is not None:
        ensure_all_absent([output / "bench.json", output / "bench.png"], overwrite=overwrite)

    known = pictures.known()
    result = benchmark(
        methods or ["default"],
        sizes_mp=megapixels,
        threads=threads,
        patience_s=patience,
        progress=PlainLines(),
        capture=known.capture,
        quantity=known.quantity,
    )
    if output is not None:
        save_benchmark(result, output, overwrite=overwrite)
        echo(f"saved {output / 'bench.json'} and {output / 'bench.png'}")
    if json:
        out.file.write(result.model_dump_json(indent=2) + "\n")
    else:
        out.print(str(result.roofline), markup=False)
        # As wide as it is also where the output is no terminal, which has no width.
        Console(file=out.file, width=max(out.width, 110)).print(_table(result))


def _table(result: Benchmark) -> Table:
    table = make_table("method", "engine", "type")
    for name in ("MP", "s", "MP/s", "peak MiB", "added MiB", "memory", "arithmetic"):
        table.add_column(name, justify="right", no_wrap=True)

    def shown(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    for run in result.runs:
        table.add_row(
            run.method,
            run.engine,
            run.dtype,
            f"{run.height * run.width / 1e6:.2f}",
            shown(run.seconds, ".3g"),
            shown(run.megapixels_s, ".3g"),
            shown(run.peak_memory_mib, ".0f"),
            shown(run.added_memory_mib, ".0f"),
            shown(run.memory_share, ".1%"),
            shown(run.arithmetic_share, ".1%"),
        )
    return table
