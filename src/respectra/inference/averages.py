"""Means, medians and spreads of the answers of an ensemble, few of which are held at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from respectra.typing import Float32Array

#: Rows of which a median is taken at a time.
_ROWS = 64


def mean_of(
    answers: Iterator[Float32Array], weights: Sequence[float] | None = None
) -> Float32Array:
    """Mean of at least one array, of one shape, with positive weights or none; one is held."""
    mean, total = np.zeros(0, np.float32), 0.0
    for number, answer in enumerate(answers):
        weight = 1.0 if weights is None else weights[number]
        total += weight
        if number == 0:
            mean = np.array(answer, dtype=np.float32, order="C")
        else:
            step = answer - mean
            step *= np.float32(weight / total)
            mean += step
    return mean


def moments(
    answers: Iterator[Float32Array], weights: Sequence[float] | None = None
) -> tuple[Float32Array, Float32Array]:
    """Mean and standard deviation of such arrays (Welford; West, 1979); the latter of one is 0."""
    mean = spread = np.zeros(0, np.float32)
    total = 0.0
    for number, answer in enumerate(answers):
        weight = 1.0 if weights is None else weights[number]
        total += weight
        if number == 0:
            mean = np.array(answer, dtype=np.float32, order="C")
            spread = np.zeros_like(mean)
        else:
            step = answer - mean
            mean += np.float32(weight / total) * step
            spread += np.float32(weight) * step * (answer - mean)
    np.maximum(spread, 0.0, out=spread)
    return mean, np.sqrt(spread / np.float32(total))


def median_of(answers: Sequence[Float32Array]) -> Float32Array:
    """Median of each value of arrays of one shape, some rows at a time."""
    out = np.empty_like(answers[0], order="C")
    for top in range(0, len(out), _ROWS):
        rows = slice(top, top + _ROWS)
        out[rows] = np.median(np.stack([answer[rows] for answer in answers]), axis=0)
    return out
