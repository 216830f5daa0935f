"""Writing a scene: a coarse look first, then every block, those nearest to the pointer first."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from respectra.files import atomic_path
from respectra.progress import Progress
from respectra.typing import Float32Array
from respectra.viewer.averaging import mean_of_halves
from respectra.viewer.basis import MAX_RANK, GrowingBasis
from respectra.viewer.blocks import ColourSource, SceneBlock, Source
from respectra.viewer.palette import Palette, numbers_file, open_table
from respectra.viewer.pyramid import Plane, PlaneInfo, level_sizes
from respectra.viewer.rendering import rendering_matrix, scene_light
from respectra.viewer.scene import BLOCK, FIRST_LOOK, SceneManifest

#: A first look has at most this many pixels; everything finer follows.
FIRST_LOOK_PIXELS = 120_000
#: Time between two statements of what can be read already.
_NEWS_S = 0.3
#: Levels from this one on are stored where finer ones can be looked up by colour.
_STORED_FROM = 2
#: Vectors for deviations, which need not be known as exactly as spectra.
_DEVIATION_RANK = 20

Array = npt.NDArray[Any]
#: Gives the (row, column) that somebody looks at, or None.
Focus = Callable[[], tuple[int, int] | None]


def write_scene(
    source: Source,
    folder: Path,
    progress: Progress,
    *,
    focus: Focus = lambda: None,
    uncertainty: npt.NDArray[np.float64] | None = None,
    facts: dict[str, str] | None = None,
) -> SceneManifest:
    """Turn a source into a scene.

    A coarse look is written first and told as ``first look``; then the scene is computed block by
    block, each with its coarser levels.

    Args:
        source: the spectra.
        folder: where to; it exists and holds no scene yet.
        progress: counts blocks; may raise to stop.
        focus: where to go on; by default outwards from the middle.
        uncertainty: see :class:`SceneManifest`.
        facts: what the page tells about the scene.
    """
    return _Writer(source, folder, progress, focus, uncertainty, facts or {}).run()


class _Writer:
    def __init__(
        self,
        source: Source,
        folder: Path,
        progress: Progress,
        focus: Focus,
        uncertainty: npt.NDArray[np.float64] | None,
        facts: dict[str, str],
    ) -> None:
        self.source, self.folder, self.progress, self.facts = source, folder, progress, facts
        self.focus, self.uncertainty = focus, uncertainty
        self.sizes = level_sizes(source.height, source.width)
        rank = min(MAX_RANK, len(source.wavelengths_nm))
        infos = [PlaneInfo(name="coefficients", channels=rank, dtype="float16")]
        for name in source.pictures:
            single = name == "difference"
            infos.append(
                PlaneInfo(
                    name=name,
                    channels=1 if single else 3,
                    dtype="uint8",
                    reduce="max" if single else "mean",
                )
            )
        if source.deviates:
            few = min(_DEVIATION_RANK, rank)
            infos.append(PlaneInfo(name="deviation", channels=few, dtype="float16"))
        self.infos = tuple(infos)
        self.stored_from = 0
        if isinstance(source, ColourSource):
            self.stored_from = min(_STORED_FROM, len(self.sizes) - 1)
        size = (source.height, source.width)
        self.planes = {
            info.name: Plane(folder, info, *size, stored_from=self.stored_from) for info in infos
        }
        self.palette: Palette | None = None
        self.deviations: GrowingBasis | None = None
        self.ready: list[tuple[int, int]] = []
        self.largest_error = 0.0
        self.peak = 0.0
        self.invalid = 0
        self.differing = 0
        self.largest_difference = 0

    def run(self) -> SceneManifest:
        for plane in self.planes.values():
            plane.create()
        first = self._first_level()
        if isinstance(self.source, ColourSource):
            self._begin_colours(self.source, first)
        else:
            self._begin(first)
        if first:
            self._fill_from(first)
            self._manifest(first)
            self.progress(0, 1, FIRST_LOOK)
            # What is counted by pixels is counted anew; what holds for colours stays true.
            self.invalid, self.differing = 0, 0
        self._compute_all(first)
        return self._manifest(0)

    def _first_level(self) -> int:
        """The level that is shown first; 0 where all of it is done at once."""
        for level, (height, width) in enumerate(self.sizes):
            if height * width <= FIRST_LOOK_PIXELS:
                return max(level, self.stored_from) if level else 0
        return len(self.sizes) - 1

    def _begin(self, first: int) -> None:
        """Fit the basis to every 2^first-th pixel, and show these."""
        step = 2**first
        look = self.source.block(slice(None, None, step), slice(None, None, step))
        self._adopt(look.spectra)
        if first:
            height, width = self.sizes[first]
            self._store_look(first, _shaped(self._encode(look), height, width))

    def _begin_colours(self, source: ColourSource, first: int) -> None:
        """The same by colours."""
        step = 2**first
        colours = source.colours(slice(None, None, step), slice(None, None, step))
        distinct, places, counts = np.unique(colours, return_inverse=True, return_counts=True)
        look, final = (
            source.preview(distinct, counts) if first else (source.block_of(distinct), True)
        )
        self._adopt(look.spectra, places.ravel())
        values = self._encode(look)
        channels = {info.name: info.channels for info in self.infos}
        self.palette = Palette(self.folder, channels)
        if final:
            self.palette.learn(distinct, values)
        self.numbers = np.memmap(
            numbers_file(self.folder), np.int32, "w+", shape=(source.height, source.width)
        )
        if first:
            looked = {name: array[places.ravel()] for name, array in values.items()}
            self._store_look(first, _shaped(looked, *self.sizes[first]))

    def _store_look(self, first: int, values: dict[str, Array]) -> None:
        for name, array in self._count(values).items():
            self.planes[name].write(first, slice(None), slice(None), array)

    def _adopt(self, spectra: Float32Array, places: npt.NDArray[np.integer] | None = None) -> None:
        """Fit the basis and the exposure; ``places`` say which spectrum each pixel has."""
        self.basis = GrowingBasis(spectra)
        self.exposure = _exposure(spectra, places, self.source)

    def _compute_all(self, first: int) -> None:
        height, width = self.source.height, self.source.width
        left_over = {(y, x) for y in range(0, height, BLOCK) for x in range(0, width, BLOCK)}
        coarsest = min(max(first, self.stored_from), len(self.sizes) - 1)
        total, told = len(left_over), time.monotonic()
        middle = (height / 2, width / 2)
        while left_over:
            near = self.focus() or middle
            top, left = min(left_over, key=lambda corner: _distance(corner, near))
            left_over.remove((top, left))
            rows = slice(top, min(top + BLOCK, height))
            columns = slice(left, min(left + BLOCK, width))
            self._compute(rows, columns, coarsest)
            self.ready.append((top // BLOCK, left // BLOCK))
            if first and (time.monotonic() - told > _NEWS_S or len(self.ready) == 1):
                self._manifest(first)
                told = time.monotonic()
            self.progress(len(self.ready), total, "block")
        self._fill_from(coarsest)

    def _compute(self, rows: slice, columns: slice, coarsest: int) -> None:
        """A block in all levels from the finest to ``coarsest``."""
        levels = range(self.stored_from, coarsest + 1)
        size = (rows.stop - rows.start, columns.stop - columns.start)
        source = self.source
        if self.palette is None or not isinstance(source, ColourSource):
            values = self._count(_shaped(self._encode(source.block(rows, columns)), *size))
            for name, array in values.items():
                self.planes[name].write_levels(levels, rows.start, columns.start, array)
            return
        numbers = self.palette.numbers(
            source.colours(rows, columns), lambda fresh: self._encode(source.block_of(fresh))
        )
        self.numbers[rows, columns] = numbers
        for name, plane in self.planes.items():
            table = open_table(self.folder, name, plane.info.dtype, plane.info.channels)
            if name == "difference":
                self._count({name: table[numbers]})
            if not levels:
                continue
            if plane.info.dtype == "float16":
                array = mean_of_halves(numbers, table, self._used(name), 2**levels.start)
            else:
                array = plane.reduced(numbers, table, levels.start)
            plane.write_levels(levels, rows.start, columns.start, array)

    def _encode(self, block: SceneBlock) -> dict[str, Array]:
        """Values by plane, shape (pixel, channel)."""
        coefficients, error = self.basis.encode(block.spectra)
        self.largest_error = max(self.largest_error, error)
        self.peak = max(self.peak, float(block.spectra.max()))
        self.invalid += block.invalid
        values: dict[str, Array] = {"coefficients": coefficients, **block.pictures}
        if block.deviation is not None:
            if self.deviations is None:
                self.deviations = GrowingBasis(block.deviation, max_rank=_DEVIATION_RANK)
            values["deviation"] = self.deviations.encode(block.deviation)[0]
        return values

    def _count(self, values: dict[str, Array]) -> dict[str, Array]:
        if "difference" in values:
            gap = values["difference"]
            self.differing += int(np.count_nonzero(gap))
            self.largest_difference = max(self.largest_difference, int(gap.max()))
        return values

    def _used(self, name: str) -> int:
        """Channels of a plane that hold anything."""
        bases = {"coefficients": self.basis, "deviation": self.deviations}
        basis = bases.get(name)
        return basis.rank if basis else self.planes[name].info.channels

    def _fill_from(self, level: int) -> None:
        for name, plane in self.planes.items():
            plane.fill_from(level, self._used(name))

    def _manifest(self, finest: int) -> SceneManifest:
        known = "difference" in self.planes
        uncertainty = self.uncertainty
        manifest = SceneManifest(
            height=self.source.height,
            width=self.source.width,
            wavelengths_nm=tuple(self.source.wavelengths_nm.tolist()),
            quantity=self.source.quantity,
            light=None if self.source.light is None else tuple(self.source.light.tolist()),
            basis=_rows(self.basis),
            deviation_basis=_rows(self.deviations) if self.deviations else (),
            planes=self.infos,
            stored_from=self.stored_from,
            finest=finest,
            ready=tuple(self.ready) if finest else (),
            largest_error=self.largest_error,
            peak=self.peak,
            exposure=self.exposure,
            invalid_pixels=self.invalid,
            differing_pixels=self.differing if known else None,
            largest_difference=self.largest_difference if known else None,
            uncertainty=None if uncertainty is None else tuple(uncertainty.tolist()),
            facts=self.facts,
        )
        with atomic_path(self.folder / "scene.json", overwrite=True) as temporary:
            temporary.write_text(manifest.model_dump_json(), "utf-8")
        return manifest


def _rows(basis: GrowingBasis) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in basis.spectra.astype(float).tolist())


def _shaped(values: dict[str, Array], height: int, width: int) -> dict[str, Array]:
    """From (pixel, channel) to (channel, y, x)."""
    return {name: array.T.reshape(-1, height, width) for name, array in values.items()}


def _distance(corner: tuple[int, int], point: tuple[float, float]) -> float:
    """Squared distance from the middle of a block."""
    half = BLOCK / 2
    return (corner[0] + half - point[0]) ** 2 + (corner[1] + half - point[1]) ** 2


def _exposure(
    spectra: Float32Array, places: npt.NDArray[np.integer] | None, source: Source
) -> float:
    """The factor with which all but the brightest half per cent stay below white."""
    if source.quantity == "reflectance":
        return 1.0
    grid = source.wavelengths_nm
    scene = scene_light(source.quantity, source.light)
    matrix = rendering_matrix(grid, illuminant="D65", scene=scene)
    light = (spectra @ matrix.astype(np.float32)).max(axis=1)
    level = float(np.quantile(light if places is None else light[places], 0.995))
    return 1.0 / level if level > 0 else 1.0
