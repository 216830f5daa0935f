"""Commands about cubes: convert, inspect, check, relight."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from respectra.cli.app import Failures, app, echo, out, print_json, track_progress
from respectra.cli.options import (
    AxesOption,
    CubeFileOptions,
    CubeOptions,
    KeyOption,
    argument,
    flag,
    option,
    output_option,
)
from respectra.errors import ConfigError
from respectra.files import ensure_present
from respectra.urls import parse_place

Cubes = Annotated[list[str], argument("CUBE", "Files, folders or their URLs.")]
AsJson = Annotated[bool, flag("--json", "Print JSON for a program.")]


@app.command()
def convert(
    inputs: Cubes,
    output: Annotated[
        str, output_option("FILE|FOLDER|URL", "A file; a folder for several inputs.")
    ],
    *,
    form: Annotated[
        str | None,
        option(
            "NAME",
            "matlab, matlab-v5, envi, netcdf, zarr, npy, npz, tiff or png (a folder).",
            names=("--format",),
            unset="by the output's suffix",
        ),
    ] = None,
    reading: CubeFileOptions,
    resample: Annotated[
        str | None,
        option(
            "NM",
            "Resample to these bands in nm: 400:700:10, or a list.",
            unset="bands as they are",
        ),
    ] = None,
    overwrite: Annotated[bool, flag("--overwrite", "Replace what is there.")] = False,
) -> None:
    """Save cubes in another format."""
    from respectra.cubes import fit_bands, open_cube, parse_wavelengths, save_cube
    from respectra.cubes.formats import FORMATS

    opening = reading.opening()
    bands = None if resample is None else parse_wavelengths(resample)
    place, sources = parse_place(output), [parse_place(path) for path in inputs]
    is_folder = os.path.isdir(output)  # noqa: PTH112 - no error for a name that is too long
    into_folder = len(inputs) > 1 or (is_folder and place.suffix == "" and form != "png")
    if into_folder:
        if form is None:
            raise ConfigError("several inputs go into a folder: say in which --format")
        suffix = FORMATS.get(form).suffix
        targets = [place / f"{path.stem}{suffix}" for path in sources]
        twice = {str(target) for target in targets if targets.count(target) > 1}
        if twice:
            raise ConfigError(f"several inputs would become {min(twice)}; convert them apart")
    else:
        targets = [place]
        FORMATS.for_writing(place, form)
    failures = Failures()
    saved: list[Path] = []
    pairs = list(zip(sources, targets, strict=True))
    for source, target in track_progress(pairs, "converting", len(pairs)):
        with failures.apart():
            cube = open_cube(source, **opening)
            if bands is not None:
                cube = fit_bands(cube, bands)
            save_cube(cube, target, overwrite=overwrite, format=form)
            echo(f"saved {target}")
            saved += [target] if isinstance(target, Path) else []
    ensure_present(saved)
    failures.end()


@app.command()
def inspect(
    cubes: Cubes, key: KeyOption = None, axes: AxesOption = None, as_json: AsJson = False
) -> None:
    """Say what cube files hold, without reading their values."""
    from respectra.cubes import inspect as inspect_cube
    from respectra.cubes.model import describe_wavelengths

    results: list[dict[str, Any]] = []
    failures = Failures()
    for path in map(parse_place, cubes):
        with failures.apart():
            results.append(inspect_cube(path, key=key, axes=axes))
            if not as_json:
                out.print(f"{path}", markup=False)
                facts = results[-1]
                rows, columns, bands = facts["shape"]
                size = f"{rows} rows, {columns} columns, {bands} bands of {facts['stored_type']}"
                lines = {
                    "format": facts["format"],
                    "size": size,
                    "bands": describe_wavelengths(facts["wavelengths_nm"]),
                    **facts["attributes"],
                    **facts["details"],
                }
                for name, value in lines.items():
                    out.print(f"  {name}: {value}", markup=False)
    if as_json:
        print_json(results)
    failures.end()


@app.command()
def check(cubes: Cubes, reading: CubeFileOptions, as_json: AsJson = False) -> None:
    """Find what in cubes breaks training and scoring; exit code 1 when something does."""
    from respectra.cubes import check as check_cube
    from respectra.cubes import open_cube

    opening = reading.opening()
    results: list[dict[str, Any]] = []
    failures = Failures()
    usable = True
    for path in map(parse_place, cubes):
        with failures.apart():
            report = check_cube(open_cube(path, **opening))
            usable = usable and report.ok
            results.append({"path": str(path), **report.to_dict()})
            if not as_json:
                verdict = "ok" if report.ok else "not usable as it is"
                out.print(
                    f"{path}: {verdict}; values {report.minimum:g} to {report.maximum:g}, "
                    f"mean {report.mean:.4g}",
                    markup=False,
                )
                for finding in report.findings:
                    out.print(f"  {finding.severity}: {finding.message}", markup=False)
    if as_json:
        print_json(results)
    failures.end()
    if not usable:
        raise typer.Exit(1)


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
