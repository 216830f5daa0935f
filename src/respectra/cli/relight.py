"""The ``relight`` command."""

from __future__ import annotations

from typing import Annotated

from respectra.cli.app import app, echo
from respectra.cli.options import CubeOptions, argument, flag, option, output_option
from respectra.urls import parse_place


@app.command()
def relight(
    cube: Annotated[str, argument("CUBE", "Reflectance, or radiance under a known light.")],
    output: Annotated[str, output_option("CUBE|URL", "The cube to write.")],
    light: Annotated[
        str,
        option(
            "NAME|FILE",
            "The new light: A, D50, FL2, LED-B3, ..., planck:2856 or daylight:5200 (kelvin), "
            "a file; or reflectance, which takes the light off.",
        ),
    ],
    *,
    present: Annotated[
        str | None,
        option("NAME|FILE", "The light that a radiance is under.", unset="as the cube says"),
    ] = None,
    reading: CubeOptions,
    overwrite: Annotated[bool, flag("--overwrite", "Replace existing outputs.")] = False,
) -> None:
    """Put a cube under another light."""
    from respectra import cubes, storage

    place = parse_place(output)
    storage.ensure_absent(place, overwrite=overwrite)
    opened = cubes.open_cube(parse_place(cube), **reading.opening())
    if light == "reflectance":
        result = cubes.to_reflectance(opened, present)
    else:
        result = cubes.relight(opened, light, present=present)
    cubes.save_cube(result, place, overwrite=overwrite)
    under = "" if light == "reflectance" else f" under {result.attrs['light']}"
    echo(f"{output}: {result.attrs['quantity']}{under}")
