"""A scene on disk: what the page shows of a cube, small enough to be sent."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from respectra.config import Config
from respectra.viewer.pyramid import Plane, PlaneInfo


class Manifest(Config):
    """What a page needs to know of a scene before it asks for tiles."""

    height: int
    width: int
    wavelengths_nm: tuple[float, ...]
    quantity: str
    basis: tuple[tuple[float, ...], ...]
    """Spectra in the cube's units; a pixel's spectrum is its coefficients times these."""
    planes: tuple[PlaneInfo, ...]
    finest: int = 0
    """The finest level that is complete."""
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


class Scene:
    """Reads a scene from its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        text = (folder / "scene.json").read_text("utf-8")
        self.manifest = Manifest(**json.loads(text))

    def plane(self, name: str) -> Plane | None:
        """A plane by name, or None."""
        manifest = self.manifest
        for info in manifest.planes:
            if info.name == name:
                return Plane(self.folder, info, manifest.height, manifest.width)
        return None

    def spectra(self, rows: slice, columns: slice, level: int = 0) -> npt.NDArray[np.float32]:
        """Spectra of a rectangle, shape (y, x, band)."""
        plane = self.plane("coefficients")
        assert plane is not None
        stored = plane.read(level, rows, columns, self.manifest.rank).astype(np.float32)
        basis = np.asarray(self.manifest.basis, np.float32)
        return np.asarray(np.einsum("kyx,kb->yxb", stored, basis, optimize=True), np.float32)
