"""The ``calibrate`` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from respectra.cli.app import app, echo, print_json
from respectra.cli.options import argument, flag, option, output_option, split_numbers
from respectra.errors import ConfigError


@app.command()
def calibrate(
    photographs: Annotated[
        list[Path], argument("PHOTO", "Photographs of a colour chart, of one camera and light.")
    ],
    output: Annotated[Path, output_option("FILE.json", "The capture file to write.")],
    chart: Annotated[
        str,
        option(
            "NAME|CSV", "classic24, passport, sg140 (Digital SG), or a CSV of the chart's spectra."
        ),
    ] = "classic24",
    light: Annotated[
        str,
        option("NAME|FILE", "Light on the chart: D50, planck:2856 (kelvin), a file, or unknown."),
    ] = "unknown",
    corners: Annotated[
        str | None,
        option(
            "X,Y,...",
            "Centres in pixels of the first patch, the last of the first row, the last patch "
            "and the first of the last row: x,y,x,y,x,y,x,y.",
            unset="found in the picture",
        ),
    ] = None,
    flat: Annotated[
        Path | None,
        option(
            "PHOTO",
            "A photograph of an even white, against vignetting.",
            unset="light taken as even",
        ),
    ] = None,
    linear: Annotated[
        bool, flag("--linear", "PNG, TIFF: the values are linear, not developed.")
    ] = False,
    overwrite: Annotated[bool, flag("--overwrite", "Replace existing outputs.")] = False,
    use: Annotated[
        str,
        option(
            "NAME",
            "Which of its ways the capture follows: response, matrix, root-polynomial, tone, "
            "gaussian-process, or auto: the Gaussian process for developed photographs, for linear "
            "ones what predicts patches best that it did not see. The file holds all.",
        ),
    ] = "auto",
    json: Annotated[bool, flag("--json", "Print what was found as JSON.")] = False,
) -> None:
    """Calibrate a camera with photographs of a colour chart; writes FILE.json and FILE.png."""
    import numpy as np

    from respectra.cameras import open_image
    from respectra.cameras.calibration import calibrate as run
    from respectra.cameras.calibration.figure import save_figure
    from respectra.files import atomic_group, ensure_all_absent

    picture = output.with_suffix(".png")
    ensure_all_absent([output, picture], overwrite=overwrite)
    points = None
    if corners is not None:
        wanted = "eight numbers x,y,x,y,x,y,x,y"
        points = np.reshape(split_numbers("--corners", corners, wanted, float, counts=(8,)), (4, 2))
    if points is not None and len(photographs) > 1:
        raise ConfigError("--corners are those of one photograph; give one")
    encoding: Any = "linear" if linear else "srgb"
    images = [open_image(path, encoding=encoding, tone="none") for path in photographs]
    field = None if flat is None else open_image(flat, encoding=encoding, tone="none")
    found = run(images, chart=chart, light=light, corners=points, flat=field, use=use)
    with atomic_group([output, picture], overwrite=overwrite) as (capture_part, picture_part):
        found.capture.save(capture_part)
        save_figure(found, images[0], picture_part)
    facts: dict[str, Any] = {
        "capture": output,
        "way": found.way,
        "scores": found.scores,
        "light": None if found.response is None else found.response.light,
        "left_out": found.left_out,
        "residuals": [None if np.isnan(v) else float(v) for v in found.residual],
    }
    if json:
        print_json(facts)
        return
    for way, score in sorted(found.scores.items(), key=lambda pair: pair[1]):
        used = "  <- used" if way == found.way else ""
        echo(f"{way:16} {score:6.1%} error of a patch left out{used}")
    best = found.lights[0].evidence if found.lights else 0.0
    for response in found.lights[:3]:
        echo(f"light {response.light:16} {response.evidence - best:8.1f} (log likelihood)")
    if found.left_out:
        echo(f"left out, clipped or in shadow: {', '.join(map(str, found.left_out))}")
    echo(f"{output}, {picture}")
