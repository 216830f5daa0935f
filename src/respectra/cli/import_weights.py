"""``respectra import-weights``: checkpoints of the methods' authors become weights files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from respectra.cli.app import app, echo


@app.command("import-weights")
def import_weights(
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.safetensors",
            help="Weights file to write (safetensors).",
        ),
    ],
    method: Annotated[
        str,
        typer.Argument(
            help="The method, as 'respectra methods' lists it, and then its file; or the file "
            "alone, whose tensors say of which method it is.",
            metavar="METHOD|FILE",
        ),
    ],
    file: Annotated[
        Path | None,
        typer.Argument(
            help="The authors' checkpoint.",
            metavar="FILE",
            show_default="the first one",
        ),
    ] = None,
    track: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Track of the weights: clean, real-world or exposed (2022).",
            show_default="as the file tells; needed where it does not",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing output.")
    ] = False,
) -> None:
    """Turn a checkpoint of a method's authors into a weights file.

    The file must hold exactly the tensors of the method; nothing in it is executed. The result
    says what it expects and gives, so that a reconstruction with it does what the authors did.
    """
    from respectra.files import ensure_absent
    from respectra.methods import import_official, save_weights

    ensure_absent(output, overwrite=overwrite)
    name, path = (method, file) if file is not None else (None, Path(method))
    weights = import_official(name, path, track=track)
    save_weights(weights, output, overwrite=overwrite)
    contract = weights.contract
    echo(
        f"{output}: {weights.method}, {weights.parameters:,} values, track {contract.track}, "
        f"{contract.channel_order} input scaled {contract.scaling}, {contract.bands} bands"
    )
