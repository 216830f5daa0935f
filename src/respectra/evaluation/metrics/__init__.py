"""Metrics: pure functions of truth and estimate, and one registry of them.

All take ``(truth, estimate)``, in this order and by these names: NumPy arrays, torch tensors or
cubes of shape (..., y, x, band) and linear values; bands are at ``band_axis=-3`` where the shape is
(..., band, y, x). Each scores every image and returns the mean over images, or with
``reduction="none"`` one score an image: a float, an array or a differentiable tensor. A `DataError`
is raised for shapes that differ and for NaN.

`METRICS` lists them as objects, `score` computes all of one scene, `ScoreTable` collects scenes.
The torchmetrics classes are in ``streaming``, which imports torch, and take both by name.
"""

from respectra.evaluation.metrics.absolute import ergas, psnr, rmse, rmse_by_band, sam, sam_map
from respectra.evaluation.metrics.clusters import spectral_clusters, weighted_mrae
from respectra.evaluation.metrics.colour import (
    Rendering,
    ciede2000,
    delta_e_2000,
    delta_e_2000_map,
    delta_e_2000_quantile,
    relative_xyz_to_lab,
)
from respectra.evaluation.metrics.lazily import score_lazily
from respectra.evaluation.metrics.registry import (
    METRICS,
    Metric,
    MetricSettings,
    ScoreTable,
    get_metric,
    score,
)
from respectra.evaluation.metrics.relative import (
    OnZero,
    back_projection_mrae,
    mrae,
    mrae_by_band,
    mrae_map,
    relative_error_quantiles,
)
from respectra.evaluation.metrics.structure import ssim
from respectra.renaming import lazy_names

__all__ = [
    "METRICS",
    "Metric",
    "MetricSettings",
    "OnZero",
    "Rendering",
    "ScoreTable",
    "back_projection_mrae",
    "ciede2000",
    "delta_e_2000",
    "delta_e_2000_map",
    "delta_e_2000_quantile",
    "ergas",
    "get_metric",
    "mrae",
    "mrae_by_band",
    "mrae_map",
    "psnr",
    "relative_error_quantiles",
    "relative_xyz_to_lab",
    "rmse",
    "rmse_by_band",
    "sam",
    "sam_map",
    "score",
    "score_lazily",
    "spectral_clusters",
    "ssim",
    "weighted_mrae",
]

__getattr__ = lazy_names(__name__, former={"Settings": "MetricSettings"})
