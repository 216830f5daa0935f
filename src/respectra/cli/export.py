"""``respectra export``: networks for other people's runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from respectra.cli.app import app, echo
from respectra.cli.options import argument, flag, option, output_option


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
