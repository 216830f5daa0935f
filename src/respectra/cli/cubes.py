"""Commands about cubes: convert, inspect, check."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from respectra.cli.app import app, echo, fail, out, print_json, track_progress
from respectra.cli.cube_options import AxesOption, KeyOption, QuantityOption, WavelengthsOption
from respectra.cli.options import argument, flag, option
from respectra.errors import ConfigError, RespectraError
from respectra.files import ensure_present
from respectra.urls import parse_place

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import xarray as xr

    from respectra.urls import Place

Cubes = Annotated[list[str], argument("CUBE", "Files, folders or their URLs.")]
Resample = Annotated[
    str | None,
    option(
        "NM",
        "Resample to these bands in nm: 400:700:10, or a list.",
        names=("--resample",),
        unset="bands as they are",
    ),
]
AsJson = Annotated[bool, flag("--json", "Print JSON for a program.")]


@app.command()
def convert(
    inputs: Cubes,
    output: Annotated[
        str,
        option("FILE|FOLDER|URL", "A file; a folder for several inputs.", names=("--output", "-o")),
    ],
    form: Annotated[
        str | None,
        option(
            "NAME",
            "matlab, matlab-v5, envi, netcdf, zarr, npy, npz, tiff or png (a folder).",
            names=("--format",),
            unset="by the output's suffix",
        ),
    ] = None,
    wavelengths: WavelengthsOption = None,
    key: KeyOption = None,
    axes: AxesOption = None,
    quantity: QuantityOption = None,
    resample: Resample = None,
    overwrite: Annotated[bool, flag("--overwrite", "Replace what is there.")] = False,
) -> None:
    """Save cubes in another format."""
    from respectra.cubes import fit_bands, save_cube
    from respectra.cubes.formats import FORMATS

    options = _options(wavelengths, key, axes, quantity)
    bands = _grid(resample)
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
    failures = 0
    saved: list[Path] = []
    for source, target in track_progress(
        list(zip(sources, targets, strict=True)), "converting", len(inputs)
    ):
        try:
            cube = _open(source, options)
            if bands is not None:
                cube = fit_bands(cube, bands)
            save_cube(cube, target, overwrite=overwrite, format=form)
        except RespectraError as error:
            fail(str(error))
            failures += 1
        else:
            echo(f"saved {target}")
            saved += [target] if isinstance(target, Path) else []
    ensure_present(saved)
    if failures:
        raise typer.Exit(1)


@app.command()
def inspect(
    cubes: Cubes, key: KeyOption = None, axes: AxesOption = None, as_json: AsJson = False
) -> None:
    """Say what cube files hold, without reading their values."""
    from respectra.cubes import inspect as inspect_cube
    from respectra.cubes.model import describe_wavelengths

    results: list[dict[str, Any]] = []
    failed = False
    for path in map(parse_place, cubes):
        try:
            facts = inspect_cube(path, key=key, axes=axes)
        except RespectraError as error:
            fail(str(error))
            failed = True
            continue
        results.append(facts)
        if not as_json:
            rows, columns, bands = facts["shape"]
            out.print(f"{path}", markup=False)
            lines = {
                "format": facts["format"],
                "size": f"{rows} rows, {columns} columns, {bands} bands of {facts['stored_type']}",
                "bands": describe_wavelengths(facts["wavelengths_nm"]),
                **facts["attributes"],
                **facts["details"],
            }
            for name, value in lines.items():
                out.print(f"  {name}: {value}", markup=False)
    if as_json:
        print_json(results)
    if failed:
        raise typer.Exit(1)


@app.command()
def check(
    cubes: Cubes,
    wavelengths: WavelengthsOption = None,
    key: KeyOption = None,
    axes: AxesOption = None,
    quantity: QuantityOption = None,
    as_json: AsJson = False,
) -> None:
    """Find what in cubes breaks training and scoring; exit code 1 when something does."""
    from respectra.cubes import check as check_cube

    options = _options(wavelengths, key, axes, quantity)
    results: list[dict[str, Any]] = []
    failed = False
    for path in map(parse_place, cubes):
        try:
            report = check_cube(_open(path, options))
        except RespectraError as error:
            fail(str(error))
            failed = True
            continue
        failed = failed or not report.ok
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
    if failed:
        raise typer.Exit(1)


def _options(
    wavelengths: str | None, key: str | None, axes: str | None, quantity: str | None
) -> dict[str, Any]:
    return {
        "wavelengths_nm": _grid(wavelengths),
        "key": key,
        "axes": axes,
        "quantity": quantity,
    }


def _open(path: Place, options: dict[str, Any]) -> xr.DataArray:
    from respectra.cubes import open_cube

    return open_cube(path, **options)


def _grid(text: str | None) -> npt.NDArray[np.float64] | None:
    from respectra.cubes import parse_wavelengths

    return None if text is None else parse_wavelengths(text)
