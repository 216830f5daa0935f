"""Rendering to files: the image exactly as the track writes it, and its recipe beside it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

import xarray as xr

from respectra.cameras.track import Track
from respectra.files import atomic_paths, ensure_absent


class SimulatedFiles(NamedTuple):
    """What a simulation wrote.

    Example:
        >>> import respectra as rs
        >>> files = rs.cameras.simulated_files(rs.get_track("clean"), "images", "scene")
        >>> files.image.name, files.recipe.name
        ('scene_clean.png', 'scene_clean.recipe.json')
    """

    image: Path
    recipe: Path


def simulated_files(track: Track, folder: str | os.PathLike[str], name: str) -> SimulatedFiles:
    """Where ``simulate`` writes: NAME with the track's suffix, and the same with .recipe.json.

    Example:
        >>> import respectra as rs
        >>> rs.cameras.simulated_files(rs.get_track("real-world"), "images", "scene").image.name
        'scene_RealWorld.jpg'
    """
    image = Path(folder) / f"{name}{track.file_suffix}"
    return SimulatedFiles(image, image.with_suffix(".recipe.json"))


def simulate(
    track: Track,
    cube: xr.DataArray,
    folder: str | os.PathLike[str],
    name: str,
    *,
    overwrite: bool = False,
) -> SimulatedFiles:
    """Render a cube into a folder. The scene's key, which the noise depends on, is its name.

    Args:
        track: the camera and its processing.
        cube: dims (y, x, wavelength).
        folder: where to; made if it is not there.
        name: of the scene, without a suffix.
        overwrite: replace existing files.

    Raises:
        OutputError: a file exists or cannot be written; nothing is then left behind.
        DataError: the cube cannot be rendered.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> cube = rs.make_cube(np.full((4, 4, 31), 0.5), range(400, 701, 10))
        >>> files = rs.cameras.simulate(rs.get_track("clean"), cube, "images", "scene")
        >>> rs.open_image(files.image).shape
        (4, 4, 3)
    """
    files = simulated_files(track, folder, name)
    for file in files:
        ensure_absent(file, overwrite=overwrite)
    data = track.encode(track.render_codes(cube, key=name))
    recipe = {
        "image": files.image.name,
        "scene": {"name": name, **{k: str(cube.attrs.get(k, "")) for k in ("source", "quantity")}},
        **track.recipe(key=name),
    }
    with atomic_paths(files, overwrite=overwrite) as (image_part, recipe_part):
        recipe_part.write_text(json.dumps(recipe, indent=2) + "\n", encoding="utf-8")
        image_part.write_bytes(data)
    return files
