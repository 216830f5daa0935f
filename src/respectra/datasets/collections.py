"""A collection: a folder of scenes, and what is known of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import xarray as xr

from respectra.cameras import Track, open_image
from respectra.cubes import open_cube
from respectra.cubes.formats import FORMATS
from respectra.errors import DataError


@dataclass(frozen=True)
class Scene:
    """One scene: a cube, and the images of it that exist as files."""

    name: str
    cube: Path
    images: Mapping[str, Path] = field(default_factory=dict)
    """Track -> file."""

    def open_cube(self) -> xr.DataArray:
        """The cube."""
        return open_cube(self.cube)

    def image(self, track: Track, cube: xr.DataArray | None = None) -> xr.DataArray:
        """The image of a track: the file where there is one, rendered otherwise.

        Args:
            track: the camera.
            cube: the scene's cube, if it is open already.
        """
        if track.name in self.images:
            return open_image(self.images[track.name])
        return track.render(self.open_cube() if cube is None else cube, key=self.name)


@dataclass(frozen=True)
class Collection:
    """Scenes that belong together."""

    name: str
    scenes: tuple[Scene, ...]

    def __len__(self) -> int:
        return len(self.scenes)

    def __iter__(self) -> Iterator[Scene]:
        return iter(self.scenes)

    def select(self, names: tuple[str, ...]) -> Collection:
        """The scenes of those names, in that order.

        Raises:
            DataError: one of them is not in the collection.
        """
        by_name = {scene.name: scene for scene in self.scenes}
        missing = [name for name in names if name not in by_name]
        if missing:
            raise DataError(
                f"no scene {', '.join(missing)} in {self.name}; it has {', '.join(by_name)}"
            )
        return Collection(self.name, tuple(by_name[name] for name in names))


def open_collection(folder: str | os.PathLike[str]) -> Collection:
    """Find the scenes of a folder: every file or store that holds a cube.

    Images beside a cube named as in the challenge (``NAME_clean.png``, ``NAME_RealWorld.jpg``)
    belong to it.

    Raises:
        DataError: the folder is missing or holds no cube.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; give the folder that holds the cubes")
    suffixes = {suffix for entry in FORMATS for suffix in entry.suffixes}
    cubes = sorted(
        path
        for path in root.iterdir()
        if path.suffix.lower() in suffixes and not path.name.startswith(".")
    )
    if not cubes:
        raise DataError(f"{root} holds no cube; known suffixes: {', '.join(sorted(suffixes))}")
    return Collection(root.name, tuple(Scene(p.stem, p, _images_of(p)) for p in cubes))


def _images_of(cube: Path) -> dict[str, Path]:
    """Images beside a cube, by track."""
    patterns = {"clean": "_clean.png", "real-world": "_RealWorld.jpg"}
    found = {track: cube.with_name(cube.stem + end) for track, end in patterns.items()}
    return {track: path for track, path in found.items() if path.is_file()}
