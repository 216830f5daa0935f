"""Details: what a report shows of a scene beyond its scores, small enough to keep for every scene.

Two kinds of files, both NPZ. For a scene: a preview, the wavelengths, and pixels worth looking at
with their true spectra. For a method on a scene: a map of its errors, its errors by band, by
brightness and by cluster, histograms of its consistency, and its spectra at those pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes import preview
from respectra.errors import RespectraError
from respectra.evaluation import metrics
from respectra.evaluation.auxiliary import Case, image_delta_e, image_errors
from respectra.files import atomic_path
from respectra.guards.npy import read_npz

Arrays = Mapping[str, npt.NDArray[Any]]

#: Longest side of previews and maps.
MAP_SIDE = 192
#: Kinds of spectra of which each lends one pixel.
KINDS = 6
#: Steps of brightness: equally many pixels each.
BRIGHTNESS_STEPS = 10
#: Edges of the histogram of relative errors to the image.
CONSISTENCY_EDGES = np.concatenate([[0.0], np.geomspace(1e-4, 10.0, 51), [np.inf]])
#: Edges of the histogram of colour differences.
DELTA_E_EDGES = np.concatenate([np.linspace(0.0, 20.0, 81), [np.inf]])
#: Best and worst pixels are looked for among those this much as bright as the brightest.
_BRIGHT_ENOUGH = 0.05


def scene_details(case: Case) -> dict[str, npt.NDArray[Any]]:
    """What is known of a scene whatever the method.

    Returns:
        ``preview`` (y, x, 3) uint8 sRGB; ``step``, pixels of the scene a pixel of it; ``shape``;
        with a truth: ``wavelengths_nm`` (band,), ``pixels`` (KINDS, 2) rows and columns of one
        pixel of each kind of spectrum, ``spectra`` (KINDS, band) their truths, ``shares`` (KINDS,)
        of the scene's pixels, and ``brightness_edges`` (BRIGHTNESS_STEPS + 1,) of the mean value.
    """
    height, width = case.image.shape[:2]
    step = -(-max(height, width) // MAP_SIDE)
    truth = case.truth
    if truth is None:
        picture = np.rint(255 * case.image.values ** (1 / 2.2)).astype(np.uint8)
        return {
            "preview": picture[::step, ::step],
            "step": _int(step),
            "shape": _int(height, width),
        }
    valid = np.ones((height, width), bool) if case.valid is None else case.valid
    pixels, shares = _kinds(truth.values, valid, case.random("details"))
    edges = np.quantile(truth.values.mean(axis=2)[valid], np.linspace(0, 1, BRIGHTNESS_STEPS + 1))
    return {
        "preview": preview(truth.isel(y=slice(None, None, step), x=slice(None, None, step))),
        "step": _int(step),
        "shape": _int(height, width),
        "wavelengths_nm": np.asarray(truth["wavelength"].values, np.float64),
        "pixels": pixels.astype(np.int32),
        "spectra": truth.values[pixels[:, 0], pixels[:, 1]].astype(np.float32),
        "shares": shares.astype(np.float32),
        "brightness_edges": edges.astype(np.float32),
    }


def method_details(
    case: Case, estimate: xr.DataArray, scene: Arrays, labels: npt.NDArray[np.int32] | None
) -> dict[str, npt.NDArray[Any]]:
    """What one method did on one scene.

    Args:
        case: the scene.
        estimate: the method's cube of the case's image.
        scene: from :func:`scene_details`.
        labels: clusters of the weighted score, where there are some.

    Returns:
        ``consistency`` and ``consistency_p95`` (histogram over CONSISTENCY_EDGES of the relative
        error to the image), ``delta_e`` and ``delta_e_p95`` (over DELTA_E_EDGES) where the camera
        sees colours. With a truth also ``error_map`` (y, x) float16, the mean relative error of
        blocks of pixels; ``by_band`` (band,), ``rmse_by_band`` (band,), ``by_brightness``
        (BRIGHTNESS_STEPS,); ``cluster_errors`` and ``cluster_sizes``; ``spectra`` (KINDS, band) at
        the scene's pixels; ``best`` and ``worst`` (2,) row and column of the pixels of least and
        largest error among those that are not dark, with ``best_spectra`` and ``worst_spectra``
        (2, band): truth, then estimate.
    """
    found: dict[str, npt.NDArray[Any]] = {}
    valid = np.ones(case.image.shape[:2], bool) if case.valid is None else case.valid
    if case.track.keeps_exposure:
        errors, _ = image_errors(estimate, case.image, case.track)
        found |= _histogram("consistency", errors[valid], CONSISTENCY_EDGES)
        differences = image_delta_e(estimate, case.image, case.track)
        if differences is not None:
            found |= _histogram("delta_e", differences[valid], DELTA_E_EDGES)
    truth = case.truth
    if truth is None:
        return found
    rules = case.rules
    floor, on_zero = rules.floor, rules.on_zero
    # The map shows the whole frame: zeros of pixels that do not count must not stop it.
    shown = "exclude" if on_zero == "raise" else on_zero
    error = np.asarray(metrics.mrae_map(truth, estimate, floor, on_zero=shown))
    rows = truth.values[valid][None], estimate.values[valid][None]
    finite = np.where(np.isfinite(error) & valid, error, np.nan)
    brightness = truth.values.mean(axis=2)
    steps = np.searchsorted(scene["brightness_edges"][1:-1], brightness[valid])
    eligible = np.where(brightness >= _BRIGHT_ENOUGH * brightness[valid].max(), finite, np.nan)
    if np.isnan(eligible).all():
        eligible = np.where(np.isnan(finite), 0.0, finite)
    best, worst = (
        np.array(np.unravel_index(place, error.shape), np.int32)
        for place in (np.nanargmin(eligible), np.nanargmax(eligible))
    )
    found |= {
        "error_map": _block_mean(finite, int(scene["step"][0])).astype(np.float16),
        "by_band": np.asarray(metrics.mrae_by_band(*rows, floor, on_zero=on_zero), np.float32),
        "rmse_by_band": np.asarray(metrics.rmse_by_band(*rows), np.float32),
        "by_brightness": _means(finite[valid], steps, BRIGHTNESS_STEPS)[0],
        "spectra": _at(estimate, scene["pixels"]),
        "best": best,
        "worst": worst,
        "best_spectra": np.concatenate([_at(truth, best[None]), _at(estimate, best[None])]),
        "worst_spectra": np.concatenate([_at(truth, worst[None]), _at(estimate, worst[None])]),
    }
    if labels is not None:
        kept = labels[valid]
        means, sizes = _means(finite[valid], kept, int(kept.max()) + 1)
        found |= {"cluster_errors": means, "cluster_sizes": sizes}
    return found


def save_details(arrays: Arrays, path: Path) -> None:
    """Write details, whole or not at all."""
    with atomic_path(path, overwrite=True) as temporary:
        np.savez_compressed(temporary, **dict(arrays))  # type: ignore[arg-type]


def load_details(path: Path) -> dict[str, npt.NDArray[Any]] | None:
    """Read details; None where there are none, or damaged ones."""
    try:
        return read_npz(path)
    except (OSError, RespectraError):
        return None


def _kinds(
    values: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_], rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """A pixel in the middle of each of a few kinds of spectra, the most frequent kind first."""
    from sklearn.cluster import KMeans

    places = np.argwhere(valid)
    chosen = places[rng.choice(len(places), min(4000, len(places)), replace=False)]
    spectra = values[chosen[:, 0], chosen[:, 1]].astype(np.float64)
    norm = np.linalg.norm(spectra, axis=1)
    bright = norm >= np.median(norm)
    chosen, shapes = chosen[bright], spectra[bright] / norm[bright, None].clip(min=1e-12)
    kinds = min(KINDS, len(np.unique(shapes, axis=0)))
    model = KMeans(kinds, n_init=2, random_state=0).fit(shapes)
    distance = model.transform(shapes)
    counts = np.bincount(model.labels_, minlength=kinds)
    order = np.argsort(-counts, kind="stable")
    pixels = np.stack([chosen[np.argmin(distance[:, kind])] for kind in order])
    return pixels, counts[order] / counts.sum()


def _histogram(
    name: str, values: npt.NDArray[np.float64], edges: npt.NDArray[np.float64]
) -> dict[str, npt.NDArray[Any]]:
    counts, _ = np.histogram(values, edges)
    p95 = np.array([np.quantile(values, 0.95)], np.float32)
    return {name: counts.astype(np.int64), f"{name}_p95": p95}


def _block_mean(values: npt.NDArray[Any], step: int) -> npt.NDArray[np.float64]:
    """Mean over blocks of step × step pixels; of what is there, at the borders."""
    rows, columns = (-(-n // step) for n in values.shape)
    padded = np.full((rows * step, columns * step), np.nan)
    padded[: values.shape[0], : values.shape[1]] = values
    blocks = padded.reshape(rows, step, columns, step)
    there = ~np.isnan(blocks)
    total, count = np.where(there, blocks, 0.0).sum(axis=(1, 3)), there.sum(axis=(1, 3))
    return np.where(count > 0, total / count.clip(min=1), np.nan)


def _means(
    values: npt.NDArray[Any], groups: npt.NDArray[Any], count: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Mean and size of each group; NaN for an empty one."""
    there = ~np.isnan(values)
    sums = np.bincount(groups[there], weights=values[there], minlength=count)
    sizes = np.bincount(groups[there], minlength=count)
    means = np.where(sizes > 0, sums / sizes.clip(min=1), np.nan)
    return means.astype(np.float32), sizes.astype(np.int32)


def _at(cube: xr.DataArray, pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return np.asarray(cube.values[pixels[:, 0], pixels[:, 1]], np.float32)


def _int(*values: int) -> npt.NDArray[np.int32]:
    return np.array(values, np.int32)
