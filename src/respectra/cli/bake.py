"""The ``bake`` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from respectra.cli.app import app, echo, print_json
from respectra.cli.help import OUTPUT
from respectra.cli.options import ResultOptions, argument, flag, option, output_option


@app.command()
def bake(
    source: Annotated[str, argument("METHOD|WEIGHTS", "A classical method or a weights file.")],
    output: Annotated[Path, output_option("NAME.lut", "The table to write.")],
    *,
    nodes: Annotated[
        int | None,
        option("N", "Nodes along an axis: 17, 33, 65, ...", unset="as many as the method needs"),
    ] = None,
    geometry: Annotated[
        Literal["auto", "cube", "rays"],
        option(
            None,
            "rays: dark pixels as accurate as bright ones, for methods whose "
            "spectra grow with the light. cube: for any method.",
        ),
    ] = "auto",
    guarantee: Annotated[
        list[str] | None,
        option(
            "NAME",
            "What the table keeps by itself: consistent, non-negative. May be repeated.",
            unset="nothing",
        ),
    ] = None,
    track: Annotated[
        str, option("TRACK", "Track of the pictures, for a method by name.")
    ] = "clean",
    cube_file: Annotated[
        Path | None,
        option(
            "PROOF.cube",
            "Also write a proof for picture editors: sRGB to spectrum to sRGB.",
            OUTPUT,
            unset="no proof",
        ),
    ] = None,
    proof_light: Annotated[
        str, option("NAME", "Light of the proof: D65, A, FL2, ...", OUTPUT)
    ] = "D65",
    pictures: ResultOptions,
    overwrite: Annotated[bool, flag("--overwrite", "Replace existing outputs.", OUTPUT)] = False,
    json: Annotated[bool, flag("--json", "Print the measured error as JSON.", OUTPUT)] = False,
) -> None:
    """Turn a method that looks at one pixel at a time into a look-up table."""
    from respectra.files import atomic_group, ensure_all_absent
    from respectra.inference.tables import bake as make_table
    from respectra.inference.tables.cube_lut import save_proof

    outputs = [output] if cube_file is None else [output, cube_file]
    ensure_all_absent(outputs, overwrite=overwrite)
    known = pictures.known()
    table = make_table(
        source,
        track=track,
        capture=known.capture,
        quantity=known.quantity,
        nodes=nodes,
        geometry=geometry,
        guarantees=guarantee or (),
    )
    with atomic_group(outputs, overwrite=overwrite) as parts:
        table.save(parts[0])
        if cube_file is not None:
            save_proof(table, parts[1], light=proof_light)
    facts = table.facts
    if json:
        print_json({"table": output, "method": table.method, **facts.model_dump(mode="json")})
        return
    kept = f", {' and '.join(facts.guarantees)}" if facts.guarantees else ""
    echo(f"{output}: {table.method} as {facts.geometry} of {facts.nodes} nodes an axis{kept}")
    for where, deviation in (
        ("all colours", facts.error.anywhere),
        ("measured surfaces", facts.error.surfaces),
    ):
        if deviation is not None:
            echo(
                f"  departure on {where}: {deviation.mean:.2g} on average, "
                f"{deviation.p99:.2g} at the 99th percentile, {deviation.maximum:.2g} at most"
            )
