"""The weighted score: MRAE of each cluster of spectra, then the mean over clusters.

Common spectra fill most of a picture, so its MRAE says little about the rare ones. Here every
cluster of the truth counts the same, however few pixels it has.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from respectra.errors import ConfigError, DataError, RespectraError
from respectra.evaluation.metrics.arrays import Array, Pair, Reduction, is_tensor
from respectra.evaluation.metrics.relative import OnZero, relative_sums
from respectra.files import atomic_path
from respectra.guards.npy import read_npy

Labels = npt.NDArray[np.int32]


def spectral_clusters(
    truth: Array,
    clusters: int = 1000,
    seed: int = 0,
    *,
    init_size: int | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> Labels:
    """Group the pixels of one image by the shape of their spectra.

    Mini-batch k-means on L2-normalised spectra, a batch a tenth of the pixels, five starts: the
    official settings, except that the official run has no seed. An image with fewer pixels than
    ``clusters`` gets one cluster a pixel. Black pixels have no spectral shape (officially they turn
    into NaN); they form one more cluster, the last.

    Args:
        truth: shape (y, x, band), linear values. On the CPU.
        clusters: how many groups to look for.
        seed: of the random starts, 0 or more.
        init_size: pixels among which each start looks for its first centres. None: three batches,
            as in the official run; 10 000 are many times as fast and as good.
        cache: folder in which labels are kept and looked up by the values, options and
            scikit-learn's version; this takes minutes for a whole scene, reading it milliseconds.

    Returns:
        Label of each pixel, 0 …, int32, shape (y, x).

    Raises:
        DataError: not one image, or NaN.
        ConfigError: ``clusters`` is not positive, or ``seed`` is negative.
        OutputError: the cache cannot be written.

    Source: report, section 3.5.

    Example:
        >>> import numpy as np
        >>> truth = np.zeros((2, 2, 3)) + [0.1, 0.5, 0.9]
        >>> truth[0] = [0.9, 0.5, 0.1]
        >>> labels = spectral_clusters(truth, clusters=2)
        >>> len(set(labels.ravel().tolist()))
        2
    """
    if clusters < 1:
        raise ConfigError(f"Expected 1 cluster or more, got {clusters}")
    if seed < 0:
        raise ConfigError(f"Expected a seed of 0 or more, got {seed}")
    if init_size is not None and init_size < 1:
        raise ConfigError(f"Expected an init_size of 1 pixel or more, got {init_size}")
    pair = Pair.of(truth, truth)
    if pair.lead:
        raise DataError(f"Expected one image (y, x, band), got leading axes {pair.lead}")
    pair.require_finite()
    values = pair.truth.detach().cpu().numpy() if is_tensor(pair.truth) else pair.truth
    if cache is None:
        return _fit(values, clusters, seed, init_size)
    path = Path(cache) / f"clusters-{_fingerprint(values, clusters, seed, init_size)}.npy"
    labels = _read(path, values.shape[:2])
    if labels is None:
        labels = _fit(values, clusters, seed, init_size)
        with atomic_path(path, overwrite=True, shared=True) as temporary:
            np.save(temporary, labels, allow_pickle=False)
    return labels


def weighted_mrae(
    truth: Array,
    estimate: Array,
    clusters: int = 1000,
    seed: int = 0,
    *,
    labels: Array | None = None,
    floor: float = 0.0,
    on_zero: OnZero = "raise",
    band_axis: int = -1,
    reduction: Reduction = "mean",
) -> Array:
    """MRAE of each cluster of spectra of the truth, mean over clusters, then over images.

    The other arguments, the result and the errors are those of `mrae`; with
    ``on_zero="exclude"``, clusters without any other value are left out.

    Args:
        clusters: how many groups of spectra, where ``labels`` are not given.
        seed: of the clustering.
        labels: from `spectral_clusters` of the same truth, integers, shape (..., y, x). Clustering
            takes far longer than scoring: compute them once for a truth.

    Raises:
        DataError: also for labels that do not fit.
        ConfigError: also as `spectral_clusters`.

    Source: report, section 3.5.

    Example:
        >>> import numpy as np
        >>> truth = np.full((2, 2, 31), 0.5)
        >>> labels = np.array([[0, 0], [0, 1]])
        >>> round(weighted_mrae(truth, 1.1 * truth, labels=labels), 6)
        0.1
    """
    pair = Pair.of(truth, estimate, band_axis)
    xp = pair.xp
    errors, counts = relative_sums(pair, floor, on_zero, "pixel")
    pair.finish(errors, "none")
    if labels is not None:
        groups = _check_labels(labels, pair)
    else:
        flat = pair.truth.reshape(-1, *pair.truth.shape[-3:])
        groups = np.stack([spectral_clusters(one, clusters, seed) for one in flat])
    pixels = pair.pixels
    rows = []
    for e, n, group in zip(
        errors.reshape(-1, pixels),
        counts.reshape(-1, pixels),
        groups.reshape(-1, pixels),
        strict=True,
    ):
        sums, sizes = _group_sums(e, group), _group_sums(n, group)
        filled = sizes > 0
        rows.append((sums[filled] / sizes[filled]).mean())
    return pair.finish(xp.stack(rows).reshape(pair.lead), reduction)


def _group_sums(values: Array, labels: Array) -> Array:
    """Sum of the values with each label: one pass, whatever the number of labels."""
    if not is_tensor(values):
        return np.bincount(labels, weights=values)
    import torch

    index = torch.as_tensor(labels, dtype=torch.int64, device=values.device)
    zeros = torch.zeros(int(index.max()) + 1, dtype=values.dtype, device=values.device)
    return zeros.index_add(0, index, values)


def _check_labels(labels: Array, pair: Pair) -> Array:
    labels = labels.detach().cpu().numpy() if is_tensor(labels) else np.asarray(labels)
    expected = tuple(pair.truth.shape[:-1])
    if labels.dtype.kind not in "iu" or labels.shape != expected or labels.min() < 0:
        raise DataError(
            f"Expected labels as integers from 0 of shape {expected}, "
            f"got {labels.dtype} of shape {labels.shape}; use spectral_clusters(truth)"
        )
    return labels


def _fit(values: Array, clusters: int, seed: int, init_size: int | None) -> Labels:
    from sklearn.cluster import MiniBatchKMeans

    shape = values.shape[:2]
    spectra = values.reshape(-1, values.shape[-1]).astype(np.float32)
    norm = np.linalg.norm(spectra, axis=1)
    lit = norm > 0
    spectra = spectra[lit] / norm[lit, None]
    labels = np.empty(lit.size, np.int32)
    found = min(clusters, len(spectra))
    if found:
        model = MiniBatchKMeans(
            n_clusters=found,
            batch_size=max(1, len(spectra) // 10),
            n_init=5,
            init_size=None if init_size is None else max(found, init_size),
            random_state=seed,
        )
        labels[lit] = model.fit_predict(spectra)
    labels[~lit] = found
    return labels.reshape(shape)


def _fingerprint(values: Array, clusters: int, seed: int, init_size: int | None) -> str:
    from sklearn import __version__

    digest = hashlib.blake2b(digest_size=16)
    digest.update(
        f"{values.shape} {values.dtype} {clusters} {seed} {init_size} {__version__}".encode()
    )
    digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _read(path: Path, shape: tuple[int, ...]) -> Labels | None:
    """Labels kept earlier; None when there are none or the file is damaged."""
    try:
        labels = read_npy(path)
    except (OSError, RespectraError):
        return None
    fits = labels.shape == shape and labels.dtype == np.int32
    return labels if fits else None
