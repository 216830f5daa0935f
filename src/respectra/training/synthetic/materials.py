"""Measured spectra that anybody can install: what synthetic scenes are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.datasets.spectra import illuminants, reflectances

BANDS = len(CHALLENGE_WAVELENGTHS_NM)
#: Collections of objects; the earth's are those of ``earthlib``.
OBJECTS = (
    "colorchecker-babelcolor",
    "colorchecker-ohta",
    "colorchecker-iso17321",
    "pmc",
    "cqs",
    "cie-ces99",
    "rawtoaces",
)
#: Shares of the lights of scenes.
LIGHTS: Mapping[str, Mapping[str, float]] = {
    "equal": {"equal": 1.0},
    "mostly-white": {"equal": 0.7, "daylight": 0.2, "blackbody": 0.1},
    "daylight": {"daylight": 0.7, "equal": 0.3},
    "mixed": {"equal": 0.35, "daylight": 0.3, "blackbody": 0.2, "cie": 0.1, "lamps": 0.05},
}


class Spectra:
    """Measured spectra on the challenge's bands, with frequencies.

    Args:
        lights: of the scenes, a key of ``LIGHTS``.
    """

    def __init__(self, lights: str) -> None:
        self.objects = torch.tensor(
            np.vstack([_positive(reflectances(name).values) for name in OBJECTS]),
            dtype=torch.float32,
        )
        earth = reflectances("earthlib")
        keep = np.max(earth.values, axis=1) > 0
        labels = earth.coords["category"].values[keep]
        # The square root of a category's size is its weight: soils would drown everything.
        _, member, count = np.unique(labels, return_inverse=True, return_counts=True)
        self.earth = torch.tensor(_positive(earth.values), dtype=torch.float32)
        self.earth_weights = torch.tensor(count[member] ** -0.5, dtype=torch.float32)
        values, weights = [], []
        for name, share in LIGHTS[lights].items():
            e = np.ones((1, BANDS)) if name == "equal" else illuminants(name).values
            e = e[e.min(axis=1) >= 0]
            values.append(e / e.mean(axis=1, keepdims=True))
            weights.append(np.full(len(e), share / len(e)))
        self.lights = torch.tensor(np.vstack(values), dtype=torch.float32)
        self.light_weights = torch.tensor(np.concatenate(weights), dtype=torch.float32)


def _positive(values: Any) -> Any:
    values = np.asarray(values)
    return np.clip(values[values.max(axis=1) > 0], 1e-4, None)
