"""Writing a scene: a coarse look first, then every block, then the zoom levels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from respectra.files import atomic_path
from respectra.viewer.basis import MAX_RANK, GrowingBasis
from respectra.viewer.blocks import Block, Source
from respectra.viewer.pyramid import Plane, PlaneInfo, level_sizes
from respectra.viewer.rendering import rendering_matrix, scene_light
from respectra.viewer.scene import Manifest

#: A first look has at most this many pixels; everything finer follows.
FIRST_LOOK_PIXELS = 400_000
#: Side of the blocks in which a scene is computed.
_BLOCK = 512

Report = Callable[[str, float], None]


def write_scene(
    source: Source,
    folder: Path,
    report: Report,
    *,
    uncertainty: npt.NDArray[np.float64] | None = None,
    facts: dict[str, str] | None = None,
) -> Manifest:
    """Turn a source into a scene.

    A coarse look is written first and reported as the phase ``first``; then the scene is computed
    block by block and its coarser levels from the finest.

    Args:
        source: the spectra.
        folder: where to; it exists and holds no scene yet.
        report: gets a phase and the share of the work that is done; may raise to stop.
        uncertainty: see :class:`Manifest`.
        facts: what the page tells about the scene.
    """
    return _Writer(source, folder, report, uncertainty, facts or {}).run()


class _Writer:
    def __init__(
        self,
        source: Source,
        folder: Path,
        report: Report,
        uncertainty: npt.NDArray[np.float64] | None,
        facts: dict[str, str],
    ) -> None:
        self.source, self.folder, self.report, self.facts = source, folder, report, facts
        self.uncertainty = uncertainty
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
        self.infos = tuple(infos)
        self.planes = {i.name: Plane(folder, i, source.height, source.width) for i in infos}
        self.largest_error = 0.0
        self.peak = 0.0
        self.invalid = 0
        self.differing = 0
        self.largest_difference = 0

    def run(self) -> Manifest:
        for plane in self.planes.values():
            plane.create()
        first = self._first_level()
        step = 2**first
        look = self.source.block(slice(None, None, step), slice(None, None, step))
        bands = look.spectra.shape[2]
        self.basis = GrowingBasis(look.spectra.reshape(-1, bands))
        self.exposure = _exposure(look.spectra, self.source)
        self._store(first, slice(None), slice(None), look)
        for plane in self.planes.values():
            plane.fill_from(first)
        manifest = self._manifest(first)
        if first == 0:
            return manifest
        self.report("first", 0.1)
        self.peak, self.invalid, self.differing, self.largest_difference = 0.0, 0, 0, 0
        self._compute_all()
        return self._manifest(0)

    def _first_level(self) -> int:
        for level, (height, width) in enumerate(self.sizes):
            if height * width <= FIRST_LOOK_PIXELS:
                return level
        return len(self.sizes) - 1

    def _compute_all(self) -> None:
        height, width = self.source.height, self.source.width
        corners = [(y, x) for y in range(0, height, _BLOCK) for x in range(0, width, _BLOCK)]
        for done, (top, left) in enumerate(corners):
            self.report("computing", 0.1 + 0.8 * done / len(corners))
            rows = slice(top, min(top + _BLOCK, height))
            columns = slice(left, min(left + _BLOCK, width))
            self._store(0, rows, columns, self.source.block(rows, columns))
        self.report("zoom levels", 0.9)
        for plane in self.planes.values():
            plane.fill_from(0, lambda: self.report("zoom levels", 0.93))

    def _store(self, level: int, rows: slice, columns: slice, block: Block) -> None:
        height, width, bands = block.spectra.shape
        coefficients, error = self.basis.encode(block.spectra.reshape(-1, bands))
        shaped = coefficients.reshape(height, width, -1)
        self.planes["coefficients"].write(level, rows, columns, shaped)
        for name, values in block.pictures.items():
            self.planes[name].write(level, rows, columns, values)
        self.largest_error = max(self.largest_error, error)
        self.peak = max(self.peak, float(block.spectra.max()))
        self.invalid += block.invalid
        if "difference" in block.pictures:
            gap = block.pictures["difference"]
            self.differing += int((gap > 0).sum())
            self.largest_difference = max(self.largest_difference, int(gap.max()))

    def _manifest(self, finest: int) -> Manifest:
        known = "difference" in self.planes
        uncertainty = self.uncertainty
        manifest = Manifest(
            height=self.source.height,
            width=self.source.width,
            wavelengths_nm=tuple(self.source.wavelengths_nm.tolist()),
            quantity=self.source.quantity,
            basis=tuple(tuple(row) for row in self.basis.spectra.astype(float).tolist()),
            planes=self.infos,
            finest=finest,
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


def _exposure(spectra: npt.NDArray[np.float32], source: Source) -> float:
    """The factor with which all but the brightest half per cent stay below white."""
    if source.quantity == "reflectance":
        return 1.0
    grid = source.wavelengths_nm
    matrix = rendering_matrix(grid, illuminant=scene_light(source.quantity))
    some = spectra.reshape(-1, spectra.shape[2])[::7]
    level = float(np.quantile((some @ matrix.astype(np.float32)).max(axis=1), 0.995))
    return 1.0 / level if level > 0 else 1.0
