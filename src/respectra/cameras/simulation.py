"""Rendering to files: the image exactly as the track writes it, and its recipe beside it."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import xarray as xr

from respectra import storage, uploads
from respectra.cameras.track import Track
from respectra.cameras.tracks import get_track
from respectra.cubes import open_cube
from respectra.errors import ConfigError, OutputError, RespectraError
from respectra.files import atomic_paths, ensure_all_absent
from respectra.urls import Place, Url, parse_place


class SimulatedFiles(NamedTuple):
    """What a simulation wrote.

    Example:
        >>> import respectra as rs
        >>> files = rs.cameras.simulated_files(rs.get_track("clean"), "images", "scene")
        >>> files.image.name, files.recipe.name
        ('scene_clean.png', 'scene_clean.recipe.json')
    """

    image: Place
    recipe: Place


def simulated_files(
    track: Track, folder: str | os.PathLike[str] | Url, name: str
) -> SimulatedFiles:
    """Where ``simulate`` writes: NAME with the track's suffix, and the same with .recipe.json.

    Example:
        >>> import respectra as rs
        >>> rs.cameras.simulated_files(rs.get_track("real-world"), "images", "scene").image.name
        'scene_RealWorld.jpg'
    """
    image = f"{name}{track.file_suffix}"
    recipe = str(Path(image).with_suffix(".recipe.json"))
    place = parse_place(folder)
    return SimulatedFiles(place / image, place / recipe)


def simulate(
    track: Track | str,
    cube: xr.DataArray | str | os.PathLike[str] | Url,
    folder: str | os.PathLike[str] | Url,
    name: str | None = None,
    *,
    overwrite: bool = False,
) -> SimulatedFiles:
    """Render a cube into a folder. The scene's key, which the noise depends on, is its name.

    What is there already and is the same, byte for byte, is left as it is.

    Args:
        track: the camera and its processing, or the name of a track.
        cube: dims (y, x, wavelength), or its file, or its URL.
        folder: where to; made if it is not there. At a URL, the image is put last and whole.
        name: of the scene, without a suffix; that of the file by default.
        overwrite: replace existing files.

    Raises:
        OutputError: a file exists and is another one, or cannot be written; nothing is then left
            behind.
        DataError: the cube cannot be rendered.
        ConfigError: an unknown track, or a cube that is no file and has no name.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> cube = rs.make_cube(np.full((4, 4, 31), 0.5), range(400, 701, 10))
        >>> files = rs.simulate("clean", cube, "images", "scene")
        >>> rs.open_image(files.image).shape
        (4, 4, 3)
    """
    if isinstance(track, str):
        track = get_track(track)
    if not isinstance(cube, xr.DataArray):
        name = parse_place(cube).stem if name is None else name
        cube = open_cube(cube)
    if name is None:
        raise ConfigError("a cube in memory needs the name of its scene: simulate(..., name=...)")
    files = simulated_files(track, folder, name)
    recipe = {
        "image": files.image.name,
        "scene": {"name": name, **{k: str(cube.attrs.get(k, "")) for k in ("source", "quantity")}},
        **track.recipe(key=name),
    }
    text = (json.dumps(recipe, indent=2) + "\n").encode()
    there: OutputError | None = None
    try:
        _ensure_absent(files, overwrite=overwrite)
    except OutputError as error:
        if not _holds(files.recipe, text):
            raise
        there = error
    data = track.encode(track.render_codes(cube, key=name))
    if there is not None:
        if _holds(files.image, data):
            return files
        if storage.exists(files.image):
            raise there
        overwrite = True  # of a run that was stopped after the recipe, which is the same
    with contextlib.ExitStack() as stack:
        if isinstance(files.image, Url):
            written = [stack.enter_context(uploads.uploading(files.image, overwrite=overwrite))]
            written.append(written[0].with_name(files.recipe.name))
        else:
            written = stack.enter_context(atomic_paths(_paths(files), overwrite=overwrite))
        written[0].write_bytes(data)
        written[1].write_bytes(text)
    return files


def _holds(place: Place, data: bytes) -> bool:
    """Whether a file is there and is this."""
    try:
        with storage.local_copy(place) as path:
            return path.read_bytes() == data
    except (OSError, RespectraError):
        return False


def _ensure_absent(files: SimulatedFiles, *, overwrite: bool) -> None:
    """Refuse what exists already before anything is rendered."""
    if isinstance(files.image, Path):
        ensure_all_absent(_paths(files), overwrite=overwrite)
        return
    for file in files:
        storage.ensure_absent(file, overwrite=overwrite)


def _paths(files: SimulatedFiles) -> list[Path]:
    return [file for file in files if isinstance(file, Path)]


def simulate_file(
    track: Track,
    cube: Place,
    folder: Place,
    *,
    overwrite: bool = False,
    **reading: Any,
) -> SimulatedFiles:
    """As :func:`simulate`, of a file that is opened in some way; see ``respectra.open_cube``."""
    opened = open_cube(cube, **reading)
    return simulate(track, opened, folder, cube.stem, overwrite=overwrite)
