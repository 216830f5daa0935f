"""Weights that come from and go to other programs: import-weights, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from respectra.cli.app import app, echo
from respectra.cli.options import argument, flag, option, output_option


@app.command("import-weights")
def import_weights(
    output: Annotated[
        Path,
        output_option("FILE.safetensors", "Weights file to write (safetensors)."),
    ],
    method: Annotated[
        str,
        argument(
            "METHOD|FILE",
            "The method, as 'respectra methods' lists it, and then its file; or the file "
            "alone, whose tensors say of which method it is.",
        ),
    ],
    file: Annotated[
        Path | None, argument("FILE", "The authors' checkpoint.", unset="the first one")
    ] = None,
    track: Annotated[
        str | None,
        option(
            "NAME",
            "Track of the weights: clean, real-world or exposed (2022).",
            unset="as the file tells; needed where it does not",
        ),
    ] = None,
    overwrite: Annotated[bool, flag("--overwrite", "Replace an existing output.")] = False,
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


@app.command()
def export(
    weights: Annotated[Path, argument("WEIGHTS", "Weights file of a network.")],
    output: Annotated[Path, output_option("FILE.onnx", "ONNX file to write.")],
    height: Annotated[int, option("PIXELS", "Height of the pictures.", min=1)] = 512,
    width: Annotated[int, option("PIXELS", "Width of the pictures.", min=1)] = 512,
    overwrite: Annotated[bool, flag("--overwrite", "Replace an existing output.")] = False,
) -> None:
    """Write a network as ONNX for pictures of one size, checked against PyTorch.

    The metadata entry "respectra" says what goes in and what comes out.
    """
    from respectra.errors import OutputError
    from respectra.files import ensure_absent
    from respectra.inference.engines.onnx import export_onnx
    from respectra.methods import load_weights

    if output.suffix.lower() != ".onnx":
        raise OutputError(f"an ONNX file ends with .onnx; got {output.name}")
    ensure_absent(output, overwrite=overwrite)
    loaded = load_weights(weights)
    difference = export_onnx(loaded, output, height=height, width=width, overwrite=overwrite)
    echo(
        f"{output}: {loaded.method}, image (1, 3, {height}, {width}) -> cube "
        f"(1, {loaded.contract.bands}, {height}, {width}); differs from PyTorch by "
        f"{difference:.1e} of the largest value"
    )
