"""The weighted score and the clustering it stands on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from respectra.errors import ConfigError, DataError
from respectra.evaluation import metrics as m


def _official(truth: np.ndarray, estimate: np.ndarray, labels: np.ndarray) -> float:
    """One Boolean mask a cluster, as the challenge scored."""
    scores = []
    for label in np.unique(labels):
        mask = labels == label
        scores.append(np.mean(np.abs(truth[mask] - estimate[mask]) / truth[mask]))
    return float(np.mean(scores))


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_weighted_mrae_agrees_with_one_mask_a_cluster(rng, kind):
    truth, estimate = rng.uniform(0.1, 1, (2, 30, 20, 5))
    labels = rng.integers(0, 40, (30, 20))
    labels[labels == 7] = 8  # a cluster that nobody is in does not count
    score = float(m.weighted_mrae(kind(truth), kind(estimate), labels=kind(labels)))
    assert score == pytest.approx(_official(truth, estimate, labels), rel=1e-12)


def test_weighted_mrae_of_one_cluster_is_mrae(rng):
    truth, estimate = rng.uniform(0.1, 1, (2, 6, 7, 5))
    assert m.weighted_mrae(truth, estimate, clusters=1) == pytest.approx(m.mrae(truth, estimate))


def test_rare_spectra_count_as_much_as_common_ones():
    truth, labels = np.ones((10, 10, 2)), np.zeros((10, 10), int)
    labels[0, 0] = 1
    estimate = truth.copy()
    estimate[0, 0] = 1.5
    assert m.mrae(truth, estimate) == pytest.approx(0.005)
    assert m.weighted_mrae(truth, estimate, labels=labels) == pytest.approx(0.25)


def test_clusters_are_of_shape_not_of_brightness(rng):
    shapes = np.array([[1, 2, 3], [3, 1, 1], [1, 5, 1]])
    which = rng.integers(0, 3, (20, 20))
    truth = shapes[which] * rng.uniform(0.1, 1, (20, 20, 1))
    labels = m.spectral_clusters(truth, 3)
    assert len({(a, b) for a, b in zip(which.flat, labels.flat, strict=True)}) == 3


def test_same_seed_same_labels(rng):
    truth = rng.uniform(0.1, 1, (30, 30, 5)).astype(np.float32)
    first = m.spectral_clusters(truth, 12, seed=3)
    assert first.dtype == np.int32
    np.testing.assert_array_equal(first, m.spectral_clusters(truth, 12, seed=3))
    np.testing.assert_array_equal(first, m.spectral_clusters(torch.tensor(truth), 12, seed=3))
    assert (first != m.spectral_clusters(truth, 12, seed=4)).any()


def test_black_pixels_form_the_last_cluster(rng):
    truth = rng.uniform(0.1, 1, (8, 8, 3))
    truth[:2] = 0
    labels = m.spectral_clusters(truth, 4)
    assert (labels[:2] == 4).all()
    assert labels[2:].max() < 4


def test_fewer_pixels_than_clusters():
    labels = m.spectral_clusters(np.array([[[1.0, 2.0], [2.0, 1.0]]]), 1000)
    assert sorted(labels.flat) == [0, 1]
    assert m.spectral_clusters(np.zeros((2, 2, 3)), 5).tolist() == [[0, 0], [0, 0]]


def test_labels_are_kept_and_a_damaged_file_is_replaced(rng, tmp_path: Path):
    truth = rng.uniform(0.1, 1, (10, 10, 3))
    first = m.spectral_clusters(truth, 5, cache=tmp_path / "kept")
    (file,) = (tmp_path / "kept").iterdir()
    np.save(file, first + 1)
    np.testing.assert_array_equal(m.spectral_clusters(truth, 5, cache=file.parent), first + 1)
    file.write_bytes(b"damaged")
    np.testing.assert_array_equal(m.spectral_clusters(truth, 5, cache=file.parent), first)
    m.spectral_clusters(truth * 2, 5, cache=file.parent)
    assert len(list(file.parent.iterdir())) == 2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda a: m.spectral_clusters(a, 0), ConfigError, "1 cluster or more, got 0"),
        (lambda a: m.spectral_clusters(a, 2, -1), ConfigError, "seed of 0 or more, got -1"),
        (lambda a: m.spectral_clusters(a[None]), DataError, r"one image .* leading axes \(1,\)"),
        (lambda a: m.spectral_clusters(a * np.nan), DataError, "24 NaN"),
        (lambda a: m.weighted_mrae(a, a, labels=a[..., 0]), DataError, "labels as integers"),
        (
            lambda a: m.weighted_mrae(a, a, labels=np.zeros((2, 2), int)),
            DataError,
            r"of shape \(2, 3\), got int64 of shape \(2, 2\)",
        ),
    ],
)
def test_bad_input_is_explained(call, error, message):
    with pytest.raises(error, match=message):
        call(np.ones((2, 3, 4)))
