"""The ``demo`` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from respectra.cli.app import app, out, print_json
from respectra.cli.options import flag, output_option

_WHAT = {
    "photo.png": "the picture: what a camera with known sensitivities makes of the scene",
    "truth.zarr": "the scene's true spectra",
    "recovered.zarr": "the spectra recovered from the picture alone",
    "preview.png": "the recovered spectra as an eye would see them",
    "error.png": "where they are wrong, and by how much",
    "spectra.png": "true and recovered spectra at five points  <- look here first",
    "scores.json": "the scores",
}


@app.command()
def demo(
    output: Annotated[Path, output_option("FOLDER", "Folder to write.")] = Path("respectra-demo"),
    overwrite: Annotated[bool, flag("--overwrite", "Replace the folder if it exists.")] = False,
    json: Annotated[bool, flag("--json", "Print the result as JSON.")] = False,
) -> None:
    """Render a small still life, recover its spectra from the picture, and score them."""
    from respectra.evaluation.demo import run_demo

    result = run_demo(output, overwrite=overwrite)
    if json:
        print_json({"folder": result.folder, "files": result.files, "scores": result.scores})
        return
    scores = result.scores
    out.print(f"Recovered with [bold]{result.method}[/] in {result.seconds * 1000:.0f} ms:")
    out.print(
        f"  MRAE {scores['mrae']:.4f} (floor {scores['mrae_floor']:g})   "
        f"RMSE {scores['rmse']:.4f}   spectral angle {scores['sam_degrees']:.2f}°"
    )
    out.print(f"\nWritten to [bold]{result.folder}/[/]:")
    for name in sorted(result.files, key=list(_WHAT).index):
        out.print(f"  {name:<15} {_WHAT[name]}")
    out.print("\nNow your own photo:  respectra reconstruct photo.jpg -o photo.zarr")
