"""A metric: the largest absolute error of a scene."""

from __future__ import annotations

import math

import numpy as np

from respectra.evaluation.metrics import Metric
from respectra.evaluation.metrics.registry import ScenePair


def _largest_error(scene: ScenePair) -> float:
    return float(np.abs(np.asarray(scene.truth) - np.asarray(scene.estimate)).max())


LARGEST_ERROR = Metric(
    name="largest_error",
    title="Largest error",
    unit="of the cube",
    better="lower",
    range=(0.0, math.inf),
    perfect=0.0,
    reference="Respectra, examples/plugin",
    compute=_largest_error,
)
