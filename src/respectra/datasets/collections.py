"""From a folder of files to a collection of scenes."""

from __future__ import annotations

import dataclasses
import os
import warnings
from typing import get_args

from respectra.cubes import Quantity
from respectra.cubes.formats import FORMATS
from respectra.cubes.formats._axes import parse_axes
from respectra.datasets.layouts import LAYOUTS, Files, FolderLayout, cube_files, walk
from respectra.datasets.scenes import Collection, Opening, Scene
from respectra.datasets.splits import list_official_splits, official_split
from respectra.errors import DataError, RespectraWarning, unknown_name
from respectra.storage import local_folder

__all__ = ["Collection", "Opening", "Scene", "list_layouts", "open_collection"]


def open_collection(
    folder: str | os.PathLike[str],
    *,
    layout: str | None = None,
    key: str | None = None,
    axes: str | None = None,
    quantity: Quantity | None = None,
) -> Collection:
    """Find the scenes of a folder and of those below it.

    The layout is recognised by the names of the files: the challenges' (``ARAD_HS_####.mat``,
    ``ARAD_1K_####.mat``, ``BGU_HS_#####.mat``, with their images), ICVL's, CAVE's folders, and
    otherwise any files that hold cubes. Images called NAME plus a track's ending belong to NAME.

    Args:
        folder: where the cubes are; of a URL, a copy is kept in the cache folder.
        layout: one of :func:`list_layouts`, where it should not be recognised.
        key: name of the variable that is the cube, where files hold several.
        axes: the axes of the files' arrays, such as ``"band,y,x"``, where they do not say.
        quantity: what the values are, where the files do not say or are wrong.

    Raises:
        DataError: the folder is missing or holds no cube.
        ConfigError: unknown layout, quantity or axes.
        FormatError: a URL cannot be reached.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> from pathlib import Path
        >>> Path("cubes").mkdir()
        >>> cube = rs.make_cube(np.full((32, 32, 31), 0.5), range(400, 701, 10))
        >>> rs.save_cube(cube, "cubes/a.npz")
        >>> [scene.name for scene in open_collection("cubes")]
        ['a']
    """
    root = local_folder(folder)
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; give the folder that holds the cubes")
    by_name = {entry.name: entry for entry in LAYOUTS}
    if layout is not None and layout not in by_name:
        raise unknown_name("layout", layout, by_name)
    if axes is not None:
        parse_axes(axes)
    if quantity is not None and quantity not in get_args(Quantity):
        raise unknown_name("quantity", quantity, get_args(Quantity))
    opening = Opening(key, axes, quantity)
    files = walk(root, opening)
    for entry in LAYOUTS if layout is None else (by_name[layout],):
        scenes = entry.find(files)
        if scenes:
            known = official_split(entry.name).bad if entry.name in list_official_splits() else {}
            scenes = [
                dataclasses.replace(s, bad=known.get(s.name, ""), opening=opening) for s in scenes
            ]
            scenes.sort(key=lambda scene: scene.name)
            _say_what_is_left(files, scenes, entry)
            return Collection(root.name, tuple(scenes), entry.name)
    suffixes = sorted({suffix for entry in FORMATS for suffix in entry.suffixes})
    wanted = "cube" if layout is None else f"cube laid out as {layout} ({by_name[layout].title})"
    raise DataError(f"{root} holds no {wanted}; known suffixes: {', '.join(suffixes)}")


def _say_what_is_left(files: Files, scenes: list[Scene], entry: FolderLayout) -> None:
    """Warn of cubes that a layout does not take: others than its own, or two of one name."""
    taken = {scene.cube for scene in scenes}
    left = [path for path in cube_files(files) if path not in taken]
    if left:
        shown = ", ".join(path.relative_to(files.root).as_posix() for path in left[:5])
        more = f" and {len(left) - 5} more" if len(left) > 5 else ""
        warnings.warn(
            f"{len(left)} left out of {files.root}: {shown}{more}; the folder is read as "
            f"{entry.name} ({entry.title}), and they are not laid out so, or share their names "
            "with others: put them into a folder of their own",
            RespectraWarning,
            stacklevel=3,
        )


def list_layouts() -> list[str]:
    """Names of the layouts that are recognised, in the order in which they are tried.

    Example:
        >>> list_layouts()
        ['arad-2020', 'arad-1k', 'bgu', 'icvl', 'cave', 'archives', 'cubes']
    """
    return [entry.name for entry in LAYOUTS]
