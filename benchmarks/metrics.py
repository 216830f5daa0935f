"""All metrics of one 482 × 512 × 31 pair on one core, each beside the plain way of computing it.

    python benchmarks/metrics.py

Times are the median of five runs, in CPU time of this process, so that other work on the machine
counts less. The plain ways are the formulas on whole arrays, the official weighted score with one
Boolean mask a cluster, and the libraries that a user would reach for.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import colour
import cv2
import numpy as np
import pages
from skimage.metrics import structural_similarity
from threadpoolctl import threadpool_limits

from respectra.evaluation import metrics as m

GRID = np.arange(400, 701, 10)
RUNS = 5


def median_seconds(function: Callable[[], Any], runs: int = RUNS) -> tuple[float, Any]:
    """Median CPU time, and the last result."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        result = function()
        times.append(time.process_time() - start)
    return statistics.median(times), result


def one_mask_a_cluster(truth: np.ndarray, estimate: np.ndarray, labels: np.ndarray) -> float:
    """The official weighted score: the error of every cluster through its own mask."""
    spectra = [a.reshape(-1, a.shape[-1]) for a in (truth, estimate)]
    flat, scores = labels.reshape(-1), []
    for label in np.unique(flat):
        mask = flat == label
        t, e = spectra[0][mask], spectra[1][mask]
        scores.append(np.mean(np.abs(t - e) / t))
    return float(np.mean(scores))


def plain_sam(truth: np.ndarray, estimate: np.ndarray) -> float:
    cosine = (truth * estimate).sum(-1) / (
        np.linalg.norm(truth, axis=-1) * np.linalg.norm(estimate, axis=-1)
    )
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())


def plain_ergas(truth: np.ndarray, estimate: np.ndarray) -> float:
    mse = ((truth - estimate) ** 2).mean((0, 1))
    return float(100 * np.sqrt((mse / truth.mean((0, 1)) ** 2).mean()))


def plain_ssim(truth: np.ndarray, estimate: np.ndarray) -> float:
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(truth, estimate, channel_axis=2, data_range=1, **options))


def plain_delta_e(truth: np.ndarray, estimate: np.ndarray) -> float:
    cmfs = colour.MSDS_CMFS["CIE 1964 10 Degree Standard Observer"].copy()
    weights = cmfs.align(colour.SpectralShape(400, 700, 10)).values
    white = weights.sum(0)
    labs = [
        colour.XYZ_to_Lab(a @ weights / white[1], white[:2] / white.sum())
        for a in (truth.astype(np.float64), estimate.astype(np.float64))
    ]
    return float(colour.delta_E(*labs, method="CIE 2000").mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    pages.add_option(parser)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    shape = (482, 512, 31)
    truth = rng.uniform(0.05, 0.95, shape).astype(np.float32)
    estimate = (truth * (1 + 0.05 * rng.standard_normal(shape))).astype(np.float32)
    response = rng.uniform(0, 1, (31, 3)).astype(np.float32)
    labels = rng.integers(0, 1000, shape[:2])
    settings = m.Settings(response=response, rendering=m.Rendering(GRID), labels=labels)
    pair = truth, estimate
    m.score(*pair, settings)  # tables of colour-science are read once

    plain: dict[str, Callable[[], float]] = {
        "mrae": lambda: float(np.mean(np.abs(truth - estimate) / truth)),
        "rmse": lambda: float(np.sqrt(np.mean((truth - estimate) ** 2))),
        "psnr": lambda: float(-10 * np.log10(np.mean((truth - estimate) ** 2))),
        "psnr_clamped": lambda: float(
            -10 * np.log10(np.mean((truth.clip(0, 1) - estimate.clip(0, 1)) ** 2))
        ),
        "sam": lambda: plain_sam(*pair),
        "ssim": lambda: plain_ssim(*pair),
        "ergas": lambda: plain_ergas(*pair),
        "back_projection_mrae": lambda: float(
            np.mean(np.abs(truth @ response - estimate @ response) / (truth @ response))
        ),
        "weighted_mrae": lambda: one_mask_a_cluster(truth, estimate, labels),
        "relative_error_p95": lambda: float(np.quantile(np.abs(truth - estimate) / truth, 0.95)),
        "delta_e_2000": lambda: plain_delta_e(*pair),
    }
    rows = []
    for name, function in plain.items():
        ours, score = median_seconds(lambda name=name: m.score(*pair, settings, [name])[name])
        theirs, reference = median_seconds(function, 3)
        rows.append(
            (
                f"`{name}`",
                f"{ours * 1e3:.1f}",
                f"{theirs * 1e3:.1f}",
                f"{theirs / ours:.1f}×",
                f"{abs(score - reference):.1e}",
            )
        )
    page = pages.Page(
        "Metrics",
        """All metrics of one pair of 482 × 512 × 31 on one core, each beside the plain way: the
        formula on whole arrays, the official weighted score with one mask a cluster, and the
        libraries that one would reach for. Median of five runs, processor time.""",
    )
    page.table(("metric", "respectra, ms", "plain, ms", "ratio", "difference"), rows)
    everything, scores = median_seconds(lambda: m.score(*pair, settings))
    page.text(f"All {len(scores)} metrics in one call: {everything:.2f} s.")
    error = np.abs(truth - estimate) / truth
    pixels = error.mean(-1).reshape(-1)
    flat = labels.reshape(-1)
    masks, by_mask = median_seconds(
        lambda: np.mean([pixels[flat == label].mean() for label in range(1000)]), 3
    )
    counts, by_count = median_seconds(
        lambda: np.mean(np.bincount(flat, pixels) / np.bincount(flat))
    )
    page.text(
        f"Means of 1000 clusters alone: {counts * 1e3:.1f} ms by counting, {masks * 1e3:.1f} ms by "
        f"masks of pixel means, {masks / counts:.0f}×, difference {abs(by_mask - by_count):.0e}."
    )
    page.write(arguments.write)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
