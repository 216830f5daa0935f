"""Commands about cameras: simulate, cameras."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from respectra.cli.app import Failures, app, echo, out, parse_settings, print_json, track_progress
from respectra.cli.options import (
    CubeFileOptions,
    WorkerOptions,
    argument,
    flag,
    option,
    output_option,
)
from respectra.errors import ConfigError, RespectraError
from respectra.files import ensure_present, file_lock
from respectra.registry import own_package, package_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import xarray as xr

    from respectra.urls import Place


@app.command()
def simulate(
    cubes: Annotated[list[str], argument("CUBE", "Files, folders or their URLs.")],
    folder: Annotated[str, output_option("FOLDER|URL", "Folder for the images.")],
    *,
    track: Annotated[str, option("NAME", "clean, real-world (2020) or exposed (2022).")] = "clean",
    response: Annotated[
        str | None,
        option(
            "NAME|FILE",
            "Another camera: its name, or a CSV, NPZ or MATLAB file.",
            unset="the track's own",
        ),
    ] = None,
    seed: Annotated[int, option("SEED", "Where the noise comes from.")] = 0,
    settings: Annotated[
        list[str] | None,
        option(
            "NAME=VALUE",
            "Change an option of the track, which 'respectra cameras TRACK' lists. "
            "May be repeated.",
            names=("--set",),
            unset="as the challenge",
        ),
    ] = None,
    reading: CubeFileOptions,
    sharing: WorkerOptions,
    overwrite: Annotated[bool, flag("--overwrite", "Replace what is there.")] = False,
) -> None:
    """Render cubes as a camera would; writes each image and its recipe."""
    from respectra import cameras, storage
    from respectra.cameras.simulation import simulate_file
    from respectra.cubes.parts import find_cubes
    from respectra.urls import parse_place

    camera = cameras.get_track(
        track, seed=seed, response=_response(response), **_options(settings or [])
    )
    places = find_cubes(cubes)
    names = [place.stem for place in places]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ConfigError(f"several cubes are called {min(twice)}; render them into two folders")
    render = functools.partial(simulate_file, overwrite=overwrite, **reading.opening())
    output = parse_place(folder)
    if not isinstance(output, Path):
        storage.require_bucket(output)
    jobs = ((place, (camera, place, output)) for place in places)
    failures = Failures()
    files: list[Path] = []
    with contextlib.ExitStack() as stack:
        if isinstance(output, Path):  # a bucket knows no locks
            stack.enter_context(file_lock(output, inside=True))
        helpers = stack.enter_context(sharing.open())
        done = _one_by_one(render, jobs) if helpers is None else helpers.run(render, jobs)
        for path, result in track_progress(done, "rendering", len(places)):
            if isinstance(result, RespectraError):
                text = str(result)
                failures.add(text if str(path) in text else f"{path}: {text}")
            elif isinstance(result, BaseException):
                raise result
            else:
                echo(f"saved {result.image}")
                files += [file for file in result if isinstance(file, Path)]
    ensure_present(files)
    failures.end()


def _one_by_one(
    render: Callable[..., Any], jobs: Iterable[tuple[Place, tuple[Any, ...]]]
) -> Iterator[tuple[Place, Any]]:
    for path, arguments in jobs:
        try:
            yield path, render(*arguments)
        except RespectraError as error:
            yield path, error


@app.command()
def cameras(
    name: Annotated[str | None, argument("NAME|FILE", "A response, a track or a file.")] = None,
    as_json: Annotated[bool, flag("--json", "Print JSON for a program.")] = False,
) -> None:
    """List the camera responses and the tracks, or print one of them."""
    from respectra import cameras as room

    if name is None:
        facts = _listing()
        if as_json:
            print_json(facts)
            return
        for title in ("tracks", "responses"):
            out.print(title)
            for entry in facts[title]:
                package = entry["package"]
                source = "" if package == own_package() else f" [{package}]"
                out.print(f"  {entry['name']}: {entry['summary']}{source}", markup=False)
    elif name in room.list_tracks():
        facts = _track(name)
        if as_json:
            print_json(facts)
            return
        out.print(f"{name}: {facts['summary']}", markup=False)
        out.print(f"  response: {facts['response']}", markup=False)
        for option in facts["options"]:
            out.print(f"  {option['name']} = {option['default']}", markup=False)
    else:
        response = _response(name)
        if isinstance(response, str) or response is None:
            response = room.native_response(name)
        _print_response(response, as_json)


def _response(text: str | None) -> str | xr.DataArray | None:
    """A name as it is; a file's response when the text is a path."""
    from respectra.cameras import open_response

    if text is not None and (Path(text).suffix or Path(text).is_file()):
        return open_response(text)
    return text


def _options(settings: list[str]) -> dict[str, Any]:
    """Options of a track; those with a flag of their own are pointed to it."""
    options = parse_settings(settings)
    for name in options.keys() & {"seed", "response"}:
        raise ConfigError(f"{name} has an option of its own: --{name} {options[name]}")
    return options


def _listing() -> dict[str, Any]:
    from respectra import cameras as room
    from respectra.cameras.responses import OTHERS
    from respectra.cameras.tracks import tracks

    own = room.built_in_responses()
    return {
        "tracks": [
            {
                "name": name,
                "summary": room.track_summary(name),
                "package": package_of(tracks(), name),
            }
            for name in room.list_tracks()
        ],
        "responses": [
            {
                "name": name,
                "summary": room.native_response(name).attrs["source"],
                "package": own_package() if name in own else OTHERS.origin(name),
            }
            for name in room.list_responses()
        ],
    }


def _track(name: str) -> dict[str, Any]:
    from respectra import cameras as room

    fields = room.track_options(name).model_fields
    options = [{"name": key, "default": field.default} for key, field in fields.items()]
    return {
        "name": name,
        "summary": room.track_summary(name),
        "response": room.default_response(name),
        "options": options,
    }


def _print_response(response: xr.DataArray, as_json: bool) -> None:
    rows = zip(response["wavelength"].values.tolist(), response.values.tolist(), strict=True)
    if as_json:
        table = [{"wavelength_nm": nm, "R": r, "G": g, "B": b} for nm, (r, g, b) in rows]
        print_json({**response.attrs, "values": table})
        return
    out.print(f"# {response.attrs['name']}: {response.attrs['source']}", markup=False)
    out.print("wavelength_nm,R,G,B")
    for nm, (r, g, b) in rows:
        out.print(f"{nm:g},{r!r},{g!r},{b!r}", markup=False)
