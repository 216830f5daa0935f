"""What synthetic scenes are made of: random numbers, measured spectra, and pictures of shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.datasets.lighting import light_maps
from respectra.datasets.spectra import illuminants, reflectances
from respectra.datasets.textures import dead_leaves, power_law_fields

#: The bands of synthetic scenes, nm.
GRID = torch.tensor(CHALLENGE_WAVELENGTHS_NM, dtype=torch.float32)
BANDS = len(GRID)
#: Rows and columns of the patches that are cut out of pictures.
PATCH_SIDE = 32
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


class Randomness:
    """Random numbers of one generator."""

    def __init__(self, generator: torch.Generator) -> None:
        self.g = generator

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform random numbers."""
        return low + (high - low) * torch.rand(*shape, generator=self.g)

    def number(self, low: float = 0.0, high: float = 1.0) -> float:
        """One of them."""
        return float(self.uniform(1, low=low, high=high))

    def chance(self, share: float) -> bool:
        """True in this share of cases."""
        return self.number() < share

    def pick(self, count: int) -> int:
        """A whole number below ``count``."""
        return int(torch.randint(count, (1,), generator=self.g))


def smooth_factor(width_nm: float) -> Tensor:
    """(band, band): times white noise gives curves that are smooth over this width."""
    distance = (GRID[:, None] - GRID) / width_nm
    covariance = torch.exp(-0.5 * distance**2).double() + 1e-6 * torch.eye(BANDS).double()
    return torch.as_tensor(torch.linalg.cholesky(covariance).float())


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


class Layouts:
    """A store of pictures without colour: which thing a pixel shows, mixture, shade, gloss."""

    def __init__(self, count: int, seed: int, side: int = 128) -> None:
        rng = np.random.default_rng(seed)
        rows, columns = np.arange(side)[:, None], np.arange(side)
        every = []
        for _ in range(count):
            layout = dead_leaves(
                side, side, round(np.exp(rng.uniform(np.log(15), np.log(400)))), rng
            )
            fields = power_law_fields(6, side, side, rng, (0.9, 1.6))
            diffuse, mirrored = (m.sum(axis=-1) for m in light_maps(layout, fields, 3, rng))
            field_of = rng.integers(len(fields), size=layout.count)[layout.thing]
            contrast = np.exp(rng.uniform(np.log(0.3), np.log(4), layout.count))[layout.thing]
            bias = rng.normal(1.0, 1.2, layout.count)[layout.thing]
            share = 1 / (
                1 + np.exp(np.clip(contrast * (fields[field_of, rows, columns] - bias), -30, 30))
            )
            level = diffuse.mean()
            every.append((layout.thing, share, np.maximum(diffuse / level, 1e-3), mirrored / level))
        self.things = torch.tensor(np.stack([layers[0] for layers in every]), dtype=torch.long)
        self.maps = torch.tensor(np.stack([layers[1:] for layers in every]), dtype=torch.float32)

    def patches(self, n: int, draws: Randomness) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Thing (n, pixel), and share, shade and gloss, (n, pixel, 1) each, of random patches."""
        which = torch.randint(len(self.things), (n,), generator=draws.g).view(n, 1, 1)
        last = self.things.shape[1] - PATCH_SIDE + 1
        y, x = torch.randint(last, (2, n, 1), generator=draws.g) + torch.arange(PATCH_SIDE)
        things = self.things[which, y[:, :, None], x[:, None, :]]
        maps = self.maps[
            which[..., None], torch.arange(3), y[:, :, None, None], x[:, None, :, None]
        ]
        share, shade, gloss = maps.reshape(n, -1, 3, 1).unbind(dim=2)
        return things.reshape(n, -1), share, shade, gloss
