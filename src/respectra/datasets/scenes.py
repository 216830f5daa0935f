"""Scenes, and collections of them: what is known of each file, and which pixels were measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras import Track, open_image
from respectra.cubes import Quantity, open_cube, require_cube
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
        >>> import respectra as rs
        >>> from respectra.datasets.still_life import still_life
        >>> rs.save_cube(still_life(32, 32), "cubes/a.npz")
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


#: A spectrum that this share of the pixels has to the last digit was filled in, not measured. The
#: laboratory scenes reach 0.3 % even with 8 bits; a filled triangle of a flight strip has 13 %.
_FILLED_SHARE = 0.01
_FILLED_PIXELS = 9


def valid_pixels(cube: xr.DataArray) -> npt.NDArray[np.bool_]:
    """The pixels that were measured, shape (y, x).

    A pixel is not when a value is not finite or is negative, when it holds no light in any band,
    or when at least 1 % of the pixels (and at least 9) share its spectrum to the last digit: areas
    that a flight did not cover or a sensor saturated in. Where that would leave out more than half
    of a cube, the cube is taken for an artificial one, and equal spectra count as measured. A zero
    in some bands does not make a pixel invalid: scores and losses declare a floor for it.

    Raises:
        DataError: not a cube.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> values = np.random.default_rng(0).random((4, 5, 31), np.float32)
        >>> values[0, 0] = 0
        >>> rs.datasets.valid_pixels(rs.make_cube(values, range(400, 701, 10))).sum().item()
        19
    """
    values = require_cube(cube).values
    pixels = values.reshape(-1, values.shape[2])
    usable = np.isfinite(pixels).all(axis=1)
    with np.errstate(invalid="ignore"):
        usable &= (pixels >= 0).all(axis=1) & (pixels > 0).any(axis=1)
    # A number for each spectrum: equal spectra have equal ones, and others hardly ever do.
    weights = np.random.default_rng(0).random(pixels.shape[1])
    number = np.where(usable, np.nan_to_num(pixels, posinf=0.0, neginf=0.0) @ weights, -1.0)
    _, which, counts = np.unique(number, return_inverse=True, return_counts=True)
    filled = usable & (counts[which] >= max(_FILLED_PIXELS, _FILLED_SHARE * len(pixels)))
    if 2 * np.count_nonzero(filled) <= len(pixels):
        usable &= ~filled
    return np.asarray(usable.reshape(values.shape[:2]), np.bool_)
