"""A track over all of its scenes: where errors lie by band, brightness and cluster; consistency."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from respectra.evaluation.report.details import (
    MethodView,
    SceneView,
    read_scene,
    shown_scenes,
)
from respectra.evaluation.results import Results
from respectra.typing import FloatArray


@dataclass
class Totals:
    """What one method did on all scenes of a track that are not out of scope."""

    by_band: list[tuple[tuple[float, ...], FloatArray]] = field(default_factory=list)
    by_brightness: list[FloatArray] = field(default_factory=list)
    clusters: list[FloatArray] = field(default_factory=list)
    consistency: list[FloatArray] = field(default_factory=list)
    delta_e: list[FloatArray] = field(default_factory=list)
    consistency_p95: list[float] = field(default_factory=list)
    delta_e_p95: list[float] = field(default_factory=list)

    def add(self, scene: SceneView, view: MethodView) -> None:
        """Count one more scene."""
        if view.by_band is not None:
            self.by_band.append((tuple(scene.wavelengths_nm.tolist()), view.by_band))
        for kept, found in (
            (self.by_brightness, view.by_brightness),
            (self.clusters, view.cluster_errors),
            (self.consistency, view.consistency),
            (self.delta_e, view.delta_e),
        ):
            if found is not None:
                kept.append(found)
        for quantiles, quantile in (
            (self.consistency_p95, view.consistency_p95),
            (self.delta_e_p95, view.delta_e_p95),
        ):
            if quantile is not None:
                quantiles.append(quantile)

    def mean_by_band(self, grid: tuple[float, ...]) -> FloatArray | None:
        """Mean over the scenes on one grid of wavelengths."""
        rows = [values for own, values in self.by_band if own == grid]
        return mean_of(rows)

    def cluster_curve(self, shares: FloatArray) -> FloatArray | None:
        """Errors of the clusters of all scenes together, at these shares of them."""
        if not self.clusters:
            return None
        errors = np.concatenate(self.clusters)
        errors = errors[np.isfinite(errors)]
        return np.quantile(errors, shares) if errors.size else None


@dataclass(frozen=True)
class TrackView:
    """A track.

    Attributes:
        name: of the track.
        scenes: those that are shown one by one.
        totals: by method, over all scenes.
        grid: wavelengths in nm that most scenes have.
    """

    name: str
    scenes: tuple[SceneView, ...]
    totals: Mapping[str, Totals]
    grid: tuple[float, ...]


def read_track(results: Results, track: str, methods: Sequence[str]) -> TrackView:
    """Everything about a track; the pictures of shown scenes only."""
    shown = set(shown_scenes(results))
    totals = {method: Totals() for method in methods}
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
                totals[method].add(scene, view)
    grid = grids.most_common(1)[0][0] if grids else ()
    return TrackView(track, tuple(scenes), totals, grid)


def mean_of(rows: Sequence[FloatArray]) -> FloatArray | None:
    """Mean of rows, each value over those that are finite."""
    if not rows:
        return None
    stack = np.stack(rows)
    there = np.isfinite(stack)
    total, count = np.where(there, stack, 0.0).sum(axis=0), there.sum(axis=0)
    return np.asarray(np.where(count > 0, total / count.clip(min=1), np.nan))
