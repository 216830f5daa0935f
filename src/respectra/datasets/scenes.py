"""Scenes, and collections of them: what is known of each file."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from respectra.cameras import Track, open_image
from respectra.cubes import Quantity, open_cube
from respectra.cubes.formats import Stored
from respectra.cubes.io import peek_cube
from respectra.errors import DataError


@dataclass(frozen=True)
class Opening:
    """How the cubes of a folder are opened, where their files do not say; as ``open_cube``.

    Example:
        >>> Opening(axes="band,y,x").to_dict()
        {'axes': 'band,y,x'}
    """

    key: str | None = None
    """Name of the variable."""
    axes: str | None = None
    """The axes of the file's array, such as ``band,y,x``."""
    quantity: Quantity | None = None
    """What the values are."""

    def to_dict(self) -> dict[str, str]:
        """What is given, by name."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value}


AS_THE_FILES_SAY = Opening()


@dataclass(frozen=True)
class Scene:
    """One scene: a cube, and the images of it that exist as files.

    Example:
        >>> from pathlib import Path
        >>> Scene("a", Path("cubes/a.npz")).name
        'a'
    """

    name: str
    cube: Path
    images: Mapping[str, Path] = field(default_factory=dict)
    """Track -> file."""
    group: str = ""
    """The physical scene that it shows; its own name unless several files show one."""
    wavelengths_nm: tuple[float, ...] | None = None
    """The bands, for files that do not say; a file that does is believed."""
    scale: float = 1.0
    """Value = number in the file times this, in a file of codes: one with a number above 1."""
    bad: str = ""
    """Why those who published results left it out, if they did."""
    opening: Opening = AS_THE_FILES_SAY
    """How its cube is opened."""

    def __post_init__(self) -> None:
        if not self.group:
            object.__setattr__(self, "group", self.name)

    def open_cube(self) -> xr.DataArray:
        """The cube, in memory.

        Raises:
            FormatError, DataError: as :func:`respectra.open_cube`.
        """
        grid, how = self.wavelengths_nm, self.opening
        if grid is not None:
            stored = self.peek()
            if stored.wavelengths_nm is not None or stored.shape[2] != len(grid):
                grid = None
        cube = open_cube(
            self.cube, wavelengths_nm=grid, key=how.key, axes=how.axes, quantity=how.quantity
        ).load()
        if self.scale == 1.0 or not (cube.values > 1.0).any():
            return cube
        return cube.copy(data=cube.values * np.float32(self.scale))

    def peek(self) -> Stored:
        """What the cube's file says, without reading its values.

        Raises:
            FormatError, DataError: as :func:`respectra.open_cube`.
        """
        return peek_cube(self.cube, self.opening.key, self.opening.axes)[1]

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
    """Scenes that belong together.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> from pathlib import Path
        >>> Path("cubes").mkdir()
        >>> cube = rs.make_cube(np.full((32, 32, 31), 0.5), range(400, 701, 10))
        >>> rs.save_cube(cube, "cubes/a.npz")
        >>> collection = rs.open_collection("cubes")
        >>> len(collection), collection.layout
        (1, 'cubes')
    """

    name: str
    scenes: tuple[Scene, ...]
    layout: str = "cubes"
    """How they lie on disk; see ``list_layouts()``."""

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
        return dataclasses.replace(self, scenes=tuple(by_name[name] for name in names))
