"""Every metric as an object: what it is called, what it means, and how to compute it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from respectra.errors import ConfigError, DataError
from respectra.evaluation.metrics import absolute, clusters, colour, relative, structure
from respectra.evaluation.metrics.arrays import Array, Pair
from respectra.registry import Registry
from respectra.renaming import lazy_names


@dataclass(frozen=True)
class MetricSettings:
    """Everything that a score depends on besides truth and estimate; belongs beside the result.

    Attributes:
        floor: smallest denominator of a relative error; 0 is official.
        on_zero: what a zero in the truth does when the floor is 0.
        data_range: the dynamic range for PSNR and SSIM, in the unit of the truth.
        response: camera response, shape (band, channel), for the back-projection.
        rendering: how spectra become colours; may be left out for cubes.
        labels: clusters of the truth's spectra, from `spectral_clusters`.
        clusters: how many to look for when the weighted score is asked for without labels.
        seed: of that clustering.

    Example:
        >>> from respectra.evaluation import metrics
        >>> metrics.MetricSettings(floor=0.01).floor
        0.01
    """

    floor: float = 0.0
    on_zero: relative.OnZero = "raise"
    data_range: float = 1.0
    response: Array | None = None
    rendering: colour.Rendering = field(default_factory=colour.Rendering)
    labels: Array | None = None
    clusters: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class ScenePair:
    """One truth, one estimate, the settings, and what several metrics share."""

    truth: Array
    estimate: Array
    settings: MetricSettings

    @functools.cached_property
    def pair(self) -> Pair:
        """Truth and estimate, checked."""
        return Pair.of(self.truth, self.estimate)

    @functools.cached_property
    def colour_differences(self) -> Array:
        """CIEDE2000 of each pixel."""
        return colour.delta_e_2000_map(self.truth, self.estimate, self.settings.rendering)


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: as in tables and on the command line.
        title: as a person reads it.
        unit: of the score; empty for a ratio.
        better: whether ``lower`` or ``higher`` scores are better.
        range: lowest and highest possible score.
        perfect: score of the truth itself.
        reference: where it is defined.
        compute: the score of one scene.
        missing: what the scene lacks for this metric; empty if nothing.

    Example:
        >>> from respectra.evaluation import metrics
        >>> metrics.get_metric("mrae").better
        'lower'
    """

    name: str
    title: str
    unit: str
    better: Literal["lower", "higher"]
    range: tuple[float, float]
    perfect: float
    reference: str
    compute: Callable[[ScenePair], float]
    missing: Callable[[ScenePair], str] = lambda scene: ""


def _by(function: Callable[..., Array], *names: str) -> Callable[[ScenePair], float]:
    """A metric's function, given the settings of these names."""

    def compute(s: ScenePair) -> float:
        settings = {name: getattr(s.settings, name) for name in names}
        return float(function(s.truth, s.estimate, **settings))

    return compute


def _relative_p95(truth: Array, estimate: Array, floor: float, on_zero: relative.OnZero) -> Array:
    return relative.relative_error_quantiles(truth, estimate, (0.95,), floor, on_zero=on_zero)[0]


def _colour_p95(s: ScenePair) -> float:
    return float(s.pair.xp.quantile(s.colour_differences.reshape(-1), 0.95))


def _needs_response(s: ScenePair) -> str:
    return "" if s.settings.response is not None else "a camera response"


def _needs_labels(s: ScenePair) -> str:
    return "" if s.settings.labels is not None else "the labels of spectral_clusters(truth)"


def _needs_wavelengths(s: ScenePair) -> str:
    known = s.settings.rendering.wavelengths_nm is not None or s.pair.wavelengths_nm is not None
    return "" if known else "the wavelengths of the bands"


def _needs_window(s: ScenePair) -> str:
    enough = min(s.pair.truth.shape[-3:-1]) >= structure.WINDOW
    return "" if enough else f"an image of {structure.WINDOW} × {structure.WINDOW} pixels or more"


_INF = math.inf
_FROM_ZERO = (0.0, _INF)
_ALL = (
    Metric(
        "mrae", "MRAE", "", "lower", _FROM_ZERO, 0.0, "NTIRE 2020 report, eq. 1",
        _by(relative.mrae, "floor", "on_zero"),
    ),
    Metric(
        "rmse", "RMSE", "of the cube", "lower", _FROM_ZERO, 0.0, "NTIRE 2020 report, eq. 2",
        _by(absolute.rmse),
    ),
    Metric(
        "psnr", "PSNR", "dB", "higher", (-_INF, _INF), _INF,
        "10 log10(range² / MSE), over all bands", _by(absolute.psnr, "data_range"),
    ),
    Metric(
        "psnr_clamped", "PSNR, clamped", "dB", "higher", _FROM_ZERO, _INF,
        "Cai et al. 2022, MST++ toolbox: both limited to [0, range] first",
        _by(functools.partial(absolute.psnr, clamp=True), "data_range"),
    ),
    Metric(
        "sam", "Spectral angle", "°", "lower", (0.0, 180.0), 0.0,
        "Kruse et al. 1993, Remote Sensing of Environment 44",
        _by(functools.partial(absolute.sam, unit="deg")),
    ),
    Metric(
        "ssim", "SSIM", "", "higher", (-1.0, 1.0), 1.0,
        "Wang et al. 2004, IEEE Transactions on Image Processing 13 (4)",
        _by(structure.ssim, "data_range"), _needs_window,
    ),
    Metric(
        "ergas", "ERGAS", "", "lower", _FROM_ZERO, 0.0,
        "Wald, Data Fusion (2002); resolution ratio 1", _by(absolute.ergas, "on_zero"),
    ),
    Metric(
        "back_projection_mrae", "Physical MRAE", "", "lower", _FROM_ZERO, 0.0,
        "NTIRE 2020 report, section 3.4",
        _by(relative.back_projection_mrae, "response", "floor", "on_zero"), _needs_response,
    ),
    Metric(
        "weighted_mrae", "Weighted MRAE", "", "lower", _FROM_ZERO, 0.0,
        "NTIRE 2020 report, section 3.5",
        _by(clusters.weighted_mrae, "clusters", "seed", "labels", "floor", "on_zero"),
        _needs_labels,
    ),
    Metric(
        "relative_error_p95", "Relative error, 95 %", "", "lower", _FROM_ZERO, 0.0,
        "95 % quantile over all values of an image", _by(_relative_p95, "floor", "on_zero"),
    ),
    Metric(
        "delta_e_2000", "ΔE 2000", "", "lower", _FROM_ZERO, 0.0,
        "CIE 142-2001", lambda s: float(s.colour_differences.mean()), _needs_wavelengths,
    ),
    Metric(
        "delta_e_2000_p95", "ΔE 2000, 95 %", "", "lower", _FROM_ZERO, 0.0,
        "CIE 142-2001; 95 % quantile over pixels", _colour_p95, _needs_wavelengths,
    ),
)  # fmt: skip


def _accept(name: str, entry: object) -> Metric:
    if not isinstance(entry, Metric):
        raise TypeError(f"expected a respectra.evaluation.metrics.Metric, got {entry!r}")
    if entry.name != name:
        raise ValueError(f"it calls itself {entry.name!r}; both names must be the same")
    return entry


#: Every metric by name, in the order of the tables. Other packages add theirs through the entry
#: points ``respectra.metrics``.
METRICS: Registry[Metric] = Registry("metric", group="respectra.metrics", accept=_accept)
for _metric in _ALL:
    METRICS.add(_metric.name, functools.partial(_accept, _metric.name, _metric))


def get_metric(name: str) -> Metric:
    """A metric by its name.

    Raises:
        ConfigError: no such metric; names those nearest to it.

    Example:
        >>> get_metric("psnr").unit
        'dB'
    """
    return METRICS.find(name)


def score(
    truth: Array,
    estimate: Array,
    settings: MetricSettings | None = None,
    names: Sequence[str] | None = None,
) -> dict[str, float]:
    """Score one estimate by many metrics.

    Args:
        truth: shape (y, x, band), linear values; a cube, an array or a tensor.
        estimate: the same shape and kind.
        settings: floor, response, wavelengths and so on.
        names: metrics wanted. By default all for which ``settings`` has what is needed; the
            weighted score among them only when labels are given, for clustering takes long.

    Returns:
        Score by metric name, in the order asked for.

    Raises:
        DataError: from the metrics; more than one image.
        ConfigError: an unknown metric, or one that lacks something it needs.

    Example:
        >>> import numpy as np
        >>> truth = np.full((4, 4, 31), 0.5)
        >>> scores = score(truth, 1.5 * truth, names=["mrae", "rmse"])
        >>> scores["mrae"], scores["rmse"]
        (0.5, 0.25)
    """
    scene = ScenePair(truth, estimate, settings or MetricSettings())
    if scene.pair.lead:
        raise ConfigError(
            f"Expected one image (y, x, band), got leading axes {scene.pair.lead}; "
            "score images one by one and collect them in a ScoreTable"
        )
    if names is None:
        chosen = [metric for _, metric in METRICS.usable() if not metric.missing(scene)]
    else:
        chosen = [get_metric(name) for name in names]
    for metric in chosen:
        lacks = metric.missing(scene)
        if lacks and metric.name != "weighted_mrae":
            raise ConfigError(f"metric {metric.name!r} needs {lacks}; give it in the settings")
    return {metric.name: metric.compute(scene) for metric in chosen}


@dataclass
class ScoreTable:
    """Scores by scene; its totals are means over scenes, each scene counting the same.

    Attributes:
        rows: scene -> metric -> score, in the order in which they were added.

    Example:
        >>> table = ScoreTable()
        >>> table.add("a", {"mrae": 0.04})
        >>> table.add("b", {"mrae": 0.06})
        >>> table.mean()
        {'mrae': 0.05}
    """

    rows: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(self, scene: str, scores: Mapping[str, float]) -> None:
        """Add the scores of one scene.

        Raises:
            DataError: the scene is there already, other metrics than the scenes before, or NaN.
        """
        if scene in self.rows:
            raise DataError(f"Expected each scene once, got {scene!r} again")
        if self.rows:
            expected = list(next(iter(self.rows.values())))
            if set(scores) != set(expected):
                raise DataError(
                    f"Expected the metrics {', '.join(expected)} for scene {scene!r}, "
                    f"got {', '.join(scores) or 'none'}"
                )
        broken = [name for name, value in scores.items() if math.isnan(value)]
        if broken:
            raise DataError(f"Expected numbers for scene {scene!r}, got NaN as {', '.join(broken)}")
        self.rows[scene] = dict(scores)

    def merge(self, others: Iterable[ScoreTable]) -> ScoreTable:
        """A new table with the scenes of this one and of others, such as other processes' shares.

        Raises:
            DataError: as `add`.
        """
        merged = ScoreTable()
        for table in (self, *others):
            for scene, scores in table.rows.items():
                merged.add(scene, scores)
        return merged

    def mean(self) -> dict[str, float]:
        """Mean over scenes of each metric, as the challenge ranks.

        Raises:
            DataError: there are no scenes.
        """
        if not self.rows:
            raise DataError("Expected the scores of one scene or more, got none")
        columns = next(iter(self.rows.values()))
        return {
            name: math.fsum(row[name] for row in self.rows.values()) / len(self.rows)
            for name in columns
        }


__getattr__ = lazy_names(__name__, former={"Scene": "ScenePair", "Settings": "MetricSettings"})
