"""What the page shows, read from stored results: only what is there and has the right shape."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from respectra.evaluation.details import (
    BRIGHTNESS_STEPS,
    CONSISTENCY_EDGES,
    DELTA_E_EDGES,
    Arrays,
    load_details,
)
from respectra.evaluation.results import PLAIN, Results, Row, details_path, scene_path
from respectra.evaluation.tables import ranking
from respectra.typing import FloatArray

#: Methods that figures show; more lines than this cannot be told apart.
MOST_METHODS = 8
#: Scenes that are shown one by one.
MOST_SCENES = 20


@dataclass(frozen=True)
class Pixel:
    """A pixel of a scene with its true and its recovered spectrum, shape (band,)."""

    row: int
    column: int
    truth: FloatArray
    estimate: FloatArray

    def error(self, floor: float) -> float | None:
        """Mean relative error over the bands; None where a zero leaves it undefined."""
        below = np.maximum(self.truth, floor)
        if (below <= 0).any():
            return None
        return float(np.mean(np.abs(self.truth - self.estimate) / below))


@dataclass(frozen=True)
class MethodView:
    """What one method did on one scene; None where it is not known."""

    grid: tuple[float, ...]
    """Wavelengths in nm of the bands."""
    error_map: FloatArray | None
    by_band: FloatArray | None
    by_brightness: FloatArray | None
    cluster_errors: FloatArray | None
    consistency: FloatArray | None
    delta_e: FloatArray | None
    consistency_p95: float | None
    delta_e_p95: float | None
    spectra: FloatArray | None
    best: Pixel | None
    worst: Pixel | None


@dataclass(frozen=True)
class SceneView:
    """One scene as one track sees it.

    Attributes:
        name: of the scene.
        role: ``main`` or ``out-of-scope``.
        preview: (y, x, 3), or None.
        step: pixels of the scene a pixel of previews and maps.
        wavelengths_nm: of the spectra; empty without a truth.
        pixels: (kind, 2), row and column of a pixel of each kind of spectrum.
        spectra: (kind, band), their truths.
        shares: (kind,), of the pixels looked at.
        methods: by name.
    """

    name: str
    role: str
    preview: npt.NDArray[np.uint8] | None
    step: int
    wavelengths_nm: FloatArray
    pixels: npt.NDArray[np.int64]
    spectra: FloatArray
    shares: FloatArray
    methods: Mapping[str, MethodView]


@dataclass(frozen=True)
class TrackView:
    """A track.

    Attributes:
        name: of the track.
        scenes: those that are shown one by one.
        methods: by name, what each did on every scene that is not out of scope, pictures left out.
        grid: wavelengths in nm that most scenes have.
    """

    name: str
    scenes: tuple[SceneView, ...]
    methods: Mapping[str, Sequence[MethodView]]
    grid: tuple[float, ...]


def charted_methods(results: Results, wanted: Sequence[str] | None = None) -> tuple[str, ...]:
    """The methods of the figures: those wanted, or the best by their mean rank over the tracks.

    Those that keep guarantees differ little from themselves without and are in figures on demand.
    """
    if wanted is not None:
        return tuple(wanted)
    every = [ranking(results, track) for track in results.protocol.options.tracks]

    def place(name: str) -> float:
        ranks = [ranks[name] for ranks in every if name in ranks]
        return sum(ranks) / len(ranks) if ranks else math.inf

    plain = [name for name in results.names if not results.guarantees(name)]
    return tuple(sorted(plain or results.names, key=place)[:MOST_METHODS])


def plain_scores(results: Results, track: str) -> dict[tuple[str, str, str], float]:
    """MRAE by (role, scene, method): mean over seeds."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for row in results.select(track=track, test=PLAIN):
        if "mrae" in row.scores:
            found.setdefault((row.role, row.scene, row.method), []).append(row.scores["mrae"])
    return {key: math.fsum(values) / len(values) for key, values in found.items()}


def shown_scenes(results: Results) -> tuple[tuple[str, str], ...]:
    """(role, scene) of the scenes shown one by one: all, or spread evenly over their order."""
    every = [(scene.role, scene.name) for scene in results.protocol.scenes]
    if len(every) <= MOST_SCENES:
        return tuple(every)
    places = np.rint(np.linspace(0, len(every) - 1, MOST_SCENES)).astype(int)
    return tuple(every[place] for place in places)


def read_track(results: Results, track: str, methods: Sequence[str]) -> TrackView:
    """Everything about a track; the pictures of shown scenes only."""
    shown = set(shown_scenes(results))
    every: dict[str, list[MethodView]] = {method: [] for method in methods}
    scenes = []
    grids: Counter[tuple[float, ...]] = Counter()
    for record in results.protocol.scenes:
        scene = read_scene(results, record.role, track, record.name, methods)
        if scene is None:
            continue
        if (record.role, record.name) in shown:
            scenes.append(scene)
        if record.role == "main":
            if scene.wavelengths_nm.size:
                grids[tuple(scene.wavelengths_nm.tolist())] += 1
            for method, view in scene.methods.items():
                every[method].append(dataclasses.replace(view, error_map=None, spectra=None))
    grid = grids.most_common(1)[0][0] if grids else ()
    return TrackView(track, tuple(scenes), every, grid)


def read_scene(
    results: Results, role: str, track: str, name: str, methods: Sequence[str]
) -> SceneView | None:
    """A scene with its methods; None where no details of it are stored."""
    if results.folder is None:
        return None
    scene = _read(results.folder, scene_path(results.folder, role, track, name))
    if scene is None:
        return None
    wavelengths, pixels = _array(scene, "wavelengths_nm", None), _array(scene, "pixels", None, 2)
    kinds, bands = (0 if known is None else len(known) for known in (pixels, wavelengths))
    spectra, shares = _array(scene, "spectra", kinds, bands), _array(scene, "shares", kinds)
    if wavelengths is None or pixels is None or spectra is None or shares is None:
        wavelengths, pixels, spectra, shares = (np.empty(n) for n in (0, (0, 2), (0, 0), 0))
    grid = tuple(wavelengths.tolist())
    views = {}
    for method in methods:
        about = Row(role, name, track, 0, method, PLAIN)
        found = _read(results.folder, details_path(results.folder, about))
        if found is not None:
            views[method] = _method_view(found, grid, len(pixels))
    preview, step = scene.get("preview"), _array(scene, "step", None)
    good = preview is not None and preview.ndim == 3 and preview.shape[2] == 3 and preview.size > 0
    return SceneView(
        name=name,
        role=role,
        preview=np.asarray(preview, np.uint8) if good else None,
        step=1 if step is None else max(1, int(step[0])),
        wavelengths_nm=wavelengths,
        pixels=pixels.astype(np.int64),
        spectra=spectra,
        shares=shares,
        methods=views,
    )


def known(views: Sequence[MethodView], name: str) -> list[Any]:
    """What is known under a name of :class:`MethodView`, scene by scene."""
    return [value for view in views if (value := getattr(view, name)) is not None]


def _method_view(found: Arrays, grid: tuple[float, ...], kinds: int) -> MethodView:
    bands = len(grid)
    return MethodView(
        grid=grid,
        error_map=_array(found, "error_map", None, None),
        by_band=_array(found, "by_band", bands),
        by_brightness=_array(found, "by_brightness", BRIGHTNESS_STEPS),
        cluster_errors=_array(found, "cluster_errors", None),
        consistency=_array(found, "consistency", CONSISTENCY_EDGES.size - 1),
        delta_e=_array(found, "delta_e", DELTA_E_EDGES.size - 1),
        consistency_p95=_number(found, "consistency_p95"),
        delta_e_p95=_number(found, "delta_e_p95"),
        spectra=_array(found, "spectra", kinds, bands),
        best=_pixel(found, "best", bands),
        worst=_pixel(found, "worst", bands),
    )


def _pixel(found: Arrays, name: str, bands: int) -> Pixel | None:
    place, spectra = _array(found, name, 2), _array(found, f"{name}_spectra", 2, bands)
    if place is None or spectra is None or not np.isfinite(spectra).all():
        return None
    return Pixel(int(place[0]), int(place[1]), spectra[0], spectra[1])


def _read(folder: Path, path: Path) -> Arrays | None:
    """Details, but only from within the folder: names of scenes and methods come from files."""
    if not path.resolve().is_relative_to(folder.resolve()):
        return None
    return load_details(path)


def _array(arrays: Arrays, name: str, *shape: int | None) -> FloatArray | None:
    """Numbers of a shape, in which None is any length; None where that is not what is stored."""
    found = arrays.get(name)
    if found is None or found.dtype.kind not in "fiu" or found.ndim != len(shape) or not found.size:
        return None
    if any(side not in (None, own) for side, own in zip(shape, found.shape, strict=True)):
        return None
    return found.astype(np.float64)


def _number(arrays: Arrays, name: str) -> float | None:
    found = _array(arrays, name, 1)
    return float(found[0]) if found is not None and np.isfinite(found[0]) else None
