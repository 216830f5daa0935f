"""A scene on disk: what the page shows of a cube, small enough to be sent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from respectra.config import Config
from respectra.guards.text import read_object
from respectra.viewer.pyramid import Plane, PlaneInfo

#: What progress calls a scene that can be looked at before all of it is computed.
FIRST_LOOK = "first look"
#: The known spectra that a scene was recovered with, where there were any.
REFERENCES_FILE = "references.csv"
#: Side of the blocks in which a scene is computed.
BLOCK = 512


class SceneManifest(Config):
    """What a page needs to know of a scene before it asks for tiles."""

    height: int
    width: int
    wavelengths_nm: tuple[float, ...]
    quantity: str
    light: tuple[float, ...] | None = None
    """Of radiance: relative power of the light on the scene in bands, where it is known."""
    basis: tuple[tuple[float, ...], ...]
    """Spectra in the cube's units; a pixel's spectrum is its coefficients times these."""
    deviation_basis: tuple[tuple[float, ...], ...] = ()
    """The same for standard deviations that the method gives pixel by pixel."""
    planes: tuple[PlaneInfo, ...]
    stored_from: int = 0
    """The finest level that is stored; finer ones are looked up by colour."""
    finest: int = 0
    """The finest level that is complete."""
    ready: tuple[tuple[int, int], ...] = ()
    """While finer levels are computed: (row, column) of the blocks that are there in all levels."""
    largest_error: float = 0.0
    """Largest difference between the cube and what coefficients and basis give."""
    peak: float = 1.0
    """Brightest value, for the scale of plots."""
    exposure: float = 1.0
    """Factor on linear light with which most of the scene is visible."""
    invalid_pixels: int = 0
    differing_pixels: int | None = None
    """Pixels whose 8-bit code changes when the camera renders the recovered spectra."""
    largest_difference: int | None = None
    uncertainty: tuple[float, ...] | None = None
    """Standard deviation of the error in each band over the mean of the spectrum."""
    facts: dict[str, str] = {}  # noqa: RUF012 - pydantic copies it

    @property
    def rank(self) -> int:
        """Coefficients of a pixel."""
        return len(self.basis)

    def covers(self, level: int, rows: slice, columns: slice) -> bool:
        """Whether a rectangle of a level can be read."""
        if level >= self.finest:
            return True
        ready, side = set(self.ready), BLOCK >> level
        return all(
            (y, x) in ready
            for y in range(rows.start // side, (rows.stop - 1) // side + 1)
            for x in range(columns.start // side, (columns.stop - 1) // side + 1)
        )

    def level_of(self, y: int, x: int) -> int:
        """The finest level at which a pixel of the scene can be read."""
        return 0 if self.covers(0, slice(y, y + 1), slice(x, x + 1)) else self.finest


class StoredScene:
    """Reads a scene from its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = SceneManifest(**read_object(folder / "scene.json"))

    def plane(self, name: str) -> Plane | None:
        """A plane by name, or None."""
        manifest = self.manifest
        for info in manifest.planes:
            if info.name == name:
                size = (manifest.height, manifest.width)
                return Plane(self.folder, info, *size, stored_from=manifest.stored_from)
        return None

    def spectra(
        self, rows: slice, columns: slice, level: int = 0, band: int | None = None
    ) -> npt.NDArray[np.float32]:
        """Spectra of a rectangle, shape (y, x, band); of one band alone, (y, x)."""
        plane = self.plane("coefficients")
        assert plane is not None
        stored = plane.read(level, rows, columns, self.manifest.rank).astype(np.float32)
        basis = np.asarray(self.manifest.basis, np.float32)
        basis = basis if band is None else basis[:, band]
        return np.asarray(np.tensordot(stored, basis, axes=(0, 0)), np.float32)
