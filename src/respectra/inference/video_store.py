"""The Zarr store of a clip, which grows by frames: spectra, or coefficients on a basis."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from respectra.cubes.formats._dataset import BASIS, COEFFICIENTS, MEAN, clip_attrs
from respectra.cubes.formats.zarr import CHUNK_SIDE, add_array, cube_attributes, remove_partial
from respectra.cubes.writers import CubeType
from respectra.errors import OutputError
from respectra.files import make_folder, move_into_place, remove
from respectra.inference.backends.base import Factors
from respectra.inference.growing import number_of
from respectra.inference.tiling import Layout, Region
from respectra.inference.video_reader import Clip
from respectra.journal import Journal
from respectra.typing import Float32Array

#: Dimensions of a reconstructed clip, all but the last.
_DIMS = ("time", "y", "x")
#: Change from frame to frame is taken on a grid of at most this many pixels.
FLICKER_PIXELS = 65_536


@dataclass(frozen=True)
class Flicker:
    """Change from frame to frame, beyond what moves in the clip itself.

    The relative change of two successive frames a and b is the sum of ``abs(b - a)`` over half
    the sum of ``abs(a) + abs(b)``, over bands and a regular grid of at most 65 536 pixels; here
    are the means over all pairs.

    Example:
        >>> Flicker(spectra=0.5, image=0.25).excess
        0.25
    """

    spectra: float
    """Of the recovered spectra, as they are stored."""
    image: float
    """Of the linear values from which they were recovered."""

    @property
    def excess(self) -> float:
        """What the method adds; near 0 for a method that is steady."""
        return self.spectra - self.image


@dataclass(frozen=True)
class Written:
    """All pieces of a frame are on their way before this; what is still to be noted of it."""

    index: int
    time_s: float
    image: Float32Array
    """Linear values on the grid of pixels on which change is taken."""


def grid_step(height: int, width: int) -> int:
    """Distance of the pixels on which change is taken."""
    return max(1, int(np.ceil((height * width / FLICKER_PIXELS) ** 0.5)))


class VideoStore:
    """A Zarr store that grows by frames, and its journal: one record a complete frame.

    The first record says which folder the store is, by its number on the disk; see
    ``growing.PiecesDone``. The facts are what a half-done clip must agree on to be taken up;
    coefficients are stored with the basis of their factors.
    """

    def __init__(self, folder: Path, facts: dict[str, Any], factors: Factors | None = None) -> None:
        self.folder, self.factors = folder, factors
        self._journal = Journal(folder / "journal", facts)
        self._grown: list[int] | None = None
        self.skipped_s: list[float] = []
        """Where no frame could be decoded, once the clip is complete."""
        self._name = "cube" if factors is None else COEFFICIENTS
        self.times_s: list[float] = []
        self._changes: list[tuple[float, float]] = []
        self._array: Any = None
        self._before: tuple[Float32Array, Float32Array] | None = None
        self._grid: Float32Array | None = None

    @classmethod
    def resume(
        cls, folder: Path, facts: dict[str, Any], factors: Factors | None = None
    ) -> VideoStore:
        """What an earlier run with the same facts left, or an empty one."""
        import zarr

        store = cls(folder, facts, factors)
        try:
            store._journal = Journal.resume(folder / "journal", facts)
            first, *rest = store._journal.records
            store._grown = first["grown"]
            for record in rest:
                store._take(record)
            if number_of(store._path) == store._grown:
                store._array = zarr.open_array(store._path, path=store._name, mode="r+")
        except (OSError, ValueError, KeyError, TypeError):
            return cls(folder, facts, factors)
        return store

    def _take(self, record: dict[str, Any]) -> None:
        if "skipped_s" in record:
            self.skipped_s = record["skipped_s"]
            return
        self.times_s.append(record["time_s"])
        if record["change"] is not None:
            self._changes.append(tuple(record["change"]))

    def is_in_place(self, target: Path) -> bool:
        """Whether an earlier run has moved the complete clip to its place."""
        return self._array is None and bool(self.times_s) and number_of(target) == self._grown

    @property
    def is_begun(self) -> bool:
        """Whether there are complete frames of an earlier run."""
        return self._array is not None and bool(self.times_s)

    @property
    def _path(self) -> Path:
        return self.folder / "cube.zarr"

    def create(
        self, clip: Clip, layout: Layout, grid: npt.NDArray[np.float64], dtype: CubeType
    ) -> None:
        """Begin an empty store of frames on a grid of wavelengths in nm."""
        import zarr

        remove(self.folder)
        make_folder(self.folder)
        self.times_s, self._changes = [], []
        count = grid.size if self.factors is None else len(self.factors.basis)
        group = zarr.create_group(self._path, zarr_format=3)
        self._array = group.create_array(
            self._name,
            shape=(max(1, clip.expected), clip.height, clip.width, count),
            chunks=(1, *(min(CHUNK_SIDE, side) for side in layout.sides), count),
            dtype=dtype,
            dimension_names=(*_DIMS, "wavelength" if self.factors is None else "component"),
        )
        if self.factors is not None:
            mean = self.factors.mean
            mean = np.zeros(grid.size, np.float32) if mean is None else mean
            add_array(group, BASIS, ("component", "wavelength"), self.factors.basis)
            add_array(group, MEAN, ("wavelength",), mean)
        add_array(group, "wavelength", ("wavelength",), grid, {"units": "nm"})
        self._grown = number_of(self._path)
        self._journal.begin()
        self._journal.append({"grown": self._grown})

    def write(self, index: int, region: Region, values: Float32Array) -> None:
        """Write one piece of a frame: spectra, or coefficients."""
        array = self._array
        if index >= array.shape[0]:  # the clip did not say how long it is
            array.resize((2 * array.shape[0], *array.shape[1:]))
        stored = values.astype(array.dtype, copy=False)
        array[(index, *region)] = stored
        _, height, width, count = array.shape
        step = grid_step(height, width)
        if self._grid is None:
            self._grid = np.empty((-(-height // step), -(-width // step), count), np.float32)
        rows, columns = (slice(-(-s.start // step), -(-s.stop // step)) for s in region)
        top, left = (-s.start % step for s in region)
        self._grid[rows, columns] = stored[top::step, left::step]

    def complete(self, frame: Written) -> None:
        """Note that all pieces of a frame are written, and how much has changed since the last."""
        if self._grid is None:  # of an earlier run; the next frame is compared with it
            step = grid_step(*self._array.shape[1:3])
            stored = self._array[frame.index, ::step, ::step].astype(np.float32)
            self._before = (self._spectra(stored), frame.image)
            return
        before, self._before = self._before, (self._spectra(self._grid), frame.image)
        self._grid = None
        now = self._before
        change = None
        if before is not None:
            change = (_relative_change(before[0], now[0]), _relative_change(before[1], now[1]))
            self._changes.append(change)
        self._journal.append({"time_s": frame.time_s, "change": change})
        self.times_s.append(frame.time_s)

    def _spectra(self, stored: Float32Array) -> Float32Array:
        return stored if self.factors is None else self.factors.expand(stored)

    def flicker(self) -> Flicker | None:
        """Means over all pairs of frames."""
        if not self._changes:
            return None
        spectra, image = np.mean(self._changes, axis=0)
        return Flicker(float(spectra), float(image))

    def finish(self, target: Path, attrs: dict[str, Any], *, overwrite: bool) -> None:
        """Complete the store and move it into its place; the caller holds the lock of that."""
        import zarr

        if not self.times_s:
            raise OutputError(f"no frame was reconstructed; {target} is not written")
        remove_partial(self._path)
        array = self._array
        if array.shape[0] != len(self.times_s):
            array.resize((len(self.times_s), *array.shape[1:]))
        clip = {} if self.factors is None else clip_attrs(self.factors.clip)
        array.update_attributes({**cube_attributes(attrs), **clip})
        group = zarr.open_group(self._path, mode="r+")
        add_array(group, "time", ("time",), np.array(self.times_s), {"units": "s"})
        self._journal.append({"skipped_s": attrs.get("skipped_s", [])})
        move_into_place([(self._path, target)], overwrite=overwrite)


def _relative_change(before: Float32Array, after: Float32Array) -> float:
    """Sum of absolute differences over the mean of both sums of magnitudes; 0 for black frames."""
    whole = (np.abs(before).sum(dtype=np.float64) + np.abs(after).sum(dtype=np.float64)) / 2
    change = np.abs(after - before).sum(dtype=np.float64)
    return float(change / whole) if whole > 0 else 0.0
